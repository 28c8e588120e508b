"""Does the friction of a glass match its blast radius, and can its promises be kept?

Source: SOURCE.md, core concept 3: friction scales with the blast radius and is never uniform.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from breakglass.policy.acts import shell_of
from breakglass.policy.card_people import CardPeople, people_on_card
from breakglass.policy.conditions import Ticket
from breakglass.policy.glass import BlastRadius, Glass
from breakglass.policy.lint_finding import Desk, LintFinding
from breakglass.policy.lint_people import check_people
from breakglass.policy.parse import Bundle
from breakglass.policy.yaml_fields import say_span
from breakglass.records.people_list import May
from breakglass.records.platforms import MAY
from breakglass.records.signing.person_key import is_software_key
from breakglass.records.signing.signature import Factor

_LONGEST = {
    BlastRadius.CONTAINED: timedelta(hours=4),
    BlastRadius.BROAD: timedelta(hours=1),
    BlastRadius.SEVERE: timedelta(hours=1),
    BlastRadius.CATASTROPHIC: timedelta(hours=1),
}
_EVERYTHING = frozenset(
    {"*", "administratoraccess", "cluster-admin", "roles/owner", "owner", "postgres", "root",
     "superuser", "pg_write_all_data", "pg_execute_server_program"}
)  # fmt: skip
_SECURITY_KEY = "ssh-keygen -t ed25519-sk (for trying out: docs/how-to/embedded-try-out.md)"
_GRAVE = (BlastRadius.SEVERE, BlastRadius.CATASTROPHIC)


def check_glass(bundle: Bundle, glass: Glass) -> Iterator[LintFinding]:
    """Yield what is wrong with one glass."""
    desk = Desk(bundle)
    path = f"glasses.{glass.name}"
    lines = people_on_card(bundle, glass)
    yield from check_people(bundle, glass, lines)
    yield from _conditions(bundle, desk, path, glass)
    yield from _factors(desk, path, glass, lines)
    yield from _acts(desk, path, glass)
    yield from _lifetime(desk, path, glass)
    yield from _reach(desk, path, glass)
    yield from _heard(bundle, desk, path, glass)
    yield from _reviewed(bundle, desk, path, glass)
    yield from _lives(desk, path, glass)


def check_uniform(bundle: Bundle) -> Iterator[LintFinding]:
    """Warn when many glasses all ask the same: too little for some, too much for others."""
    asked = {
        (glass.tier, glass.need, glass.least, glass.when.incident)
        for glass in bundle.glasses.values()
    }
    if len(bundle.glasses) >= 4 and len(asked) == 1:
        yield Desk(bundle).warning(
            "glasses",
            f"all {len(bundle.glasses)} glasses ask for the same friction",
            "set each 'blast_radius' by what misuse could reach; friction follows from it",
        )


def _conditions(bundle: Bundle, desk: Desk, path: str, glass: Glass) -> Iterator[LintFinding]:
    if not glass.when.incident:
        message = f"a {glass.blast_radius} glass that asks for no incident"
        hint = "when: {incident: [SEV1, SEV2]}"
        if glass.blast_radius in _GRAVE:
            yield desk.error(path, message, hint)
        elif glass.when.ticket is Ticket.REQUIRED:
            pass  # planned work: its ticket says what for
        elif glass.blast_radius is BlastRadius.BROAD:
            yield desk.warning(path, message, hint)
        else:
            yield desk.advice(path, message, hint)
    for machine in bundle.machines.values():
        if machine.glass == glass.name and glass.need:
            yield desk.error(
                f"machines.{machine.name}",
                f"a machine with {glass.blast_radius} glass {glass.name!r}, which takes people",
            )
        elif machine.glass == glass.name and not machine.key:
            yield desk.advice(f"machines.{machine.name}", "without 'key' this machine cannot act")


def _factors(desk: Desk, path: str, glass: Glass, lines: CardPeople) -> Iterator[LintFinding]:
    if glass.mfa_down:
        return
    if glass.least is Factor.ONE:
        message = "one factor is enough: no 'mfa_age' and no 'factor'"
        hint = "when: {mfa_age: 5m}, and a security key or passkey for each who may break it"
        if glass.blast_radius is BlastRadius.CONTAINED:
            yield desk.advice(path, message, hint)
        else:
            yield desk.error(path, f"{message}, on a {glass.blast_radius} glass", hint)
        return
    people = [line for line in lines.values() if May.BREAK in line.may]
    without = [line.who for line in people if all(map(is_software_key, line.keys))]
    if not people:
        return  # whom the passkeys of this glass left out is said elsewhere
    if len(without) == len(people):
        yield desk.error(
            f"{path}.when",
            "asks for two factors, and everybody who may break it holds software keys only",
            # A graver glass takes no single factor: the other hint would only lead back here.
            f"{_SECURITY_KEY}; or leave 'mfa_age' out"
            if glass.blast_radius is BlastRadius.CONTAINED
            else f"a {glass.blast_radius} glass takes security keys alone: {_SECURITY_KEY}",
        )
    elif without:
        yield desk.warning(
            f"{path}.when",
            f"asks for two factors; {', '.join(sorted(without))} hold software keys only and"
            " cannot break it",
        )


def _acts(desk: Desk, path: str, glass: Glass) -> Iterator[LintFinding]:
    for mint in glass.mints:
        for name, act in mint.acts.items():
            below = f"{path}.mint.{mint.platform}.acts.{name}.run"
            if shell := shell_of(act):
                yield desk.error(
                    below,
                    f"{shell!r} is handed code: a reviewer would have to read a program in a line",
                    "run the program itself, with whole arguments",
                )


def _lifetime(desk: Desk, path: str, glass: Glass) -> Iterator[LintFinding]:
    for mint in glass.mints:
        if mint.acts:
            continue  # no credential, so none that the platform would have to let live
        least, most = mint.limits.shortest, mint.limits.longest
        if not least <= glass.for_ <= most:
            yield desk.error(
                f"{path}.for",
                f"{say_span(glass.for_)} cannot be honoured by {mint.platform}, which gives"
                f" {say_span(least)} to {say_span(most)}",
                "the stand-in for MFA being down lives as long as 'factors.down.for'"
                if glass.mfa_down
                else f"for: {say_span(max(least, min(glass.for_, most)))}",
            )
    if glass.for_ > _LONGEST[glass.blast_radius]:
        yield desk.warning(
            f"{path}.for",
            f"{say_span(glass.for_)} is long for a {glass.blast_radius} glass"
            f" ({say_span(_LONGEST[glass.blast_radius])} is usual)",
        )


def _reach(desk: Desk, path: str, glass: Glass) -> Iterator[LintFinding]:
    for mint in glass.mints:
        if MAY in mint.scope:
            yield desk.warning(
                f"{path}.mint.{mint.platform}",
                f"whoever breaks {glass.name!r} may leave code in {mint.minter!r}'s target; their"
                " grant's end makes it harmless, and somebody has to read it and hand it over",
                "a template that may not create, if repairing rows is enough",
            )
        for dimension, values in mint.scope.items():
            for value in values:
                if value.casefold() in _EVERYTHING and glass.blast_radius not in _GRAVE:
                    yield desk.error(
                        f"{path}.blast_radius",
                        f"{dimension} {value!r} on {mint.platform} is not {glass.blast_radius}:"
                        " friction must match the blast radius",
                        "mint a role that does what 'does' says, and nothing else",
                    )


def _heard(bundle: Bundle, desk: Desk, path: str, glass: Glass) -> Iterator[LintFinding]:
    names = bundle.channels_of(glass)
    ways = {(bundle.channels[name].type, bundle.channels[name].target) for name in names}
    if len(ways) < 2:
        yield desk.error(
            f"alerts.{glass.blast_radius}" if str(glass.blast_radius) in bundle.alerts
            else "alerts.glass",
            f"glass {glass.name!r} alerts on {len(ways)} channel{'s' if len(ways) != 1 else ''};"
            " two independent ones at least, so that one outage is not silence",
        )  # fmt: skip
    elif len({kind for kind, _ in ways}) < 2:
        yield desk.advice(path, "both channels are of one type and may fail together")


def _reviewed(bundle: Bundle, desk: Desk, path: str, glass: Glass) -> Iterator[LintFinding]:
    reviewers = set(bundle.directory.everybody(glass.review.by))
    breakers = bundle.directory.everybody(glass.who)
    if not reviewers:
        yield desk.warning(
            f"{path}.review", "nobody is named to review it", "review: {by: [group:NAME]}"
        )
    elif any(not reviewers - {who} for who in breakers):
        yield desk.warning(
            f"{path}.review", "one breaker would be the only reviewer of their own grant"
        )
    if not glass.opens_gates and not glass.mints and glass.seal is None:
        yield desk.error(path, "opens no gate, mints nothing and holds no seal: it does nothing")


def _lives(desk: Desk, path: str, glass: Glass) -> Iterator[LintFinding]:
    life = glass.life
    if glass.mfa_down:
        return  # said of the glass that it stands in for
    if life.with_incident and not glass.when.incident:
        yield desk.warning(
            f"{path}.ends_with_incident",
            f"{glass.name!r} asks for no incident: a grant that names none outlives every close",
            "when: {incident: [SEV1, SEV2]}",
        )
    if life.idle is not None:
        deaf = sorted(mint.platform for mint in glass.mints if not mint.limits.tells_use)
        if deaf or not glass.mints:
            yield desk.warning(
                f"{path}.idle",
                f"{', '.join(deaf) or 'a gate'} cannot tell when a grant was used last: it is not"
                " ended for lying idle",
                "platforms that can: postgres",
            )
        if life.idle >= glass.for_:
            yield desk.advice(f"{path}.idle", "a grant is over before it can lie idle so long")
    if life.together is not None and not glass.ask_need:
        yield desk.advice(
            f"{path}.extend", "nobody can ask for this glass, and a break is not limited by it"
        )
    elif life.together is not None and life.together < glass.for_:
        yield desk.error(
            f"{path}.extend.at_most",
            f"{say_span(life.together)} together, and one grant may last {say_span(glass.for_)}",
            f"extend: {{at_most: {say_span(2 * glass.for_)}}}",
        )
