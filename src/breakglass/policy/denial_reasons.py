"""Why not, in words for a frightened person: the slow, obvious twin of the Cedar rules.

Cedar decides; this explains. A test holds the two together: without extra policies Cedar says no
exactly when something is found here. Each line says what is so, and the way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from breakglass.error_names import ErrorName
from breakglass.policy.approvers import suspended
from breakglass.policy.conditions import IncidentFrom, Ticket
from breakglass.policy.factors import MFA_DOWN
from breakglass.policy.facts import Facts
from breakglass.policy.glass import Glass
from breakglass.policy.mint import Mint
from breakglass.policy.parse import Bundle
from breakglass.policy.people import GROUP, Person
from breakglass.policy.rosters import without_roster
from breakglass.policy.yaml_fields import say_span
from breakglass.records.grant import Path
from breakglass.records.signing.signature import Factor

NAMES_SHOWN = 6


@dataclass(frozen=True)
class DenialReason:
    """One reason: a stable word, and a sentence with the way out."""

    name: ErrorName
    text: str


def why_not(bundle: Bundle, glass: Glass, facts: Facts) -> tuple[DenialReason, ...]:
    """Return every reason of the bundle itself for a no, the gravest first; none is a yes."""
    found = [*_stopped(glass, facts, bundle)]
    if facts.path == Path.MACHINE:
        found += _machine(bundle, glass, facts)
    else:
        person = bundle.directory.people[bundle.directory.canonical(facts.who) or ""]
        found += [*_person(bundle, glass, facts, person), *_signature(bundle, glass, facts)]
        found += [*_incident(glass, facts), *_ticket(glass, facts)]
    return (*found, *_time(glass, facts), *_wanted(glass, facts))


def names(people: Iterable[str]) -> str:
    """Write a few names; a long list helps nobody at night."""
    all_of_them = list(people)
    more = len(all_of_them) - NAMES_SHOWN
    shown = ", ".join(all_of_them[:NAMES_SHOWN]) or "nobody"
    return f"{shown} and {more} more" if more > 0 else shown


def _stopped(glass: Glass, facts: Facts, bundle: Bundle) -> Iterator[DenialReason]:
    who = bundle.directory.canonical(facts.who) or facts.who
    for entry in suspended(facts, who, glass.name):
        kind, _, name = entry.partition(":")
        if kind in {"person", "glass"}:
            text = f"{kind} {name!r} is suspended"
        elif kind == "all":
            text = "two people stopped everything; nothing is granted"
        else:
            text = f"stopped: {entry[:300]}"
        lift = names(bundle.directory.everybody(bundle.kill))
        two = "two of these lift it together" if kind == "all" else "these can lift it"
        yield DenialReason(ErrorName.SUSPENDED, f"{text}; {two}: {lift}")


def _machine(bundle: Bundle, glass: Glass, facts: Facts) -> Iterator[DenialReason]:
    machine = bundle.machines.get(facts.who)
    if machine is not None and machine.glass == glass.name:
        if (facts.minter, facts.act) != (machine.minter, machine.act):
            yield DenialReason(
                ErrorName.WRONG_ACT,
                f"machine {machine.name!r} is allowed to run {machine.act!r} at {machine.minter!r},"
                f" nothing else; it named {facts.act[:60]!r} at {facts.minter[:60]!r}",
            )
    else:
        yield DenialReason(
            ErrorName.UNKNOWN_MACHINE,
            f"the policy gives machine {facts.who!r} no act with {glass.name!r};"
            f" ask a person to break it: {names(bundle.directory.everybody(glass.who))}",
        )


def _person(bundle: Bundle, glass: Glass, facts: Facts, person: Person) -> Iterator[DenialReason]:
    who = person.name
    allowed = bundle.directory.present(glass.who, facts.rosters)
    if who not in allowed:
        off_call = who in bundle.directory.everybody(glass.who)
        stale = without_roster(bundle.directory, glass.who, facts.rosters)
        yield DenialReason(
            ErrorName.NOT_LISTED,
            f"{who!r} is not allowed to break {glass.name!r}{' now: not on call' * off_call}; ask"
            f" one of: {names(allowed)}{f' ({stale})' if stale else ''}",
        )
    if person.begins and facts.now < person.begins:
        yield DenialReason(
            ErrorName.NOT_ELIGIBLE,
            f"{who!r} has access only from {person.starts} on; ask one of: {names(allowed)}",
        )
    if person.ends and facts.now >= person.ends:
        yield DenialReason(
            ErrorName.NOT_ELIGIBLE,
            f"the access of {who!r} ended {person.until}; ask one of: {names(allowed)}",
        )


def uncertified(bundle: Bundle, glass: Glass, facts: Facts) -> str:
    """Say why a person who is listed counts for nothing; empty if they do, or are not listed.

    Asked before Cedar, whose entities are built once and know of no day.
    """
    nobody = bundle.counting_for_nobody(facts.now)
    if not nobody or bundle.certify is None or facts.path == Path.MACHINE:
        return ""
    who, directory = bundle.directory.canonical(facts.who), bundle.directory
    if who not in directory.present(glass.who, facts.rosters) or who in directory.present(
        glass.who, facts.rosters, nobody=nobody
    ):
        return ""
    others = names(directory.present(glass.who, facts.rosters, nobody=nobody))
    behind = sorted(nobody & directory.groups_behind(glass.who))
    groups = names(name for name in behind if who in directory.everybody([GROUP + name]))
    return (
        f"{who!r} is listed for {glass.name!r} by group {groups}, which nobody has certified for"
        f" {say_span(bundle.certify.every)}; a maintainer certifies it: a new 'on' under"
        f" 'certified'; others who may: {others}"
    )


def _signature(bundle: Bundle, glass: Glass, facts: Facts) -> Iterator[DenialReason]:
    if not facts.factor.meets(glass.least):
        stand_in = glass.name + MFA_DOWN
        other = ""
        if stand_in in bundle.glasses:
            who = names(bundle.glasses[stand_in].second_signers)
            other = f"; while MFA is down, break {stand_in!r} instead, which {who} must approve"
        yield DenialReason(
            ErrorName.WEAK_FACTOR,
            f"{glass.name!r} needs {_say(glass.least)}, you signed with {_say(facts.factor)};"
            f" sign again with your security key{other}",
        )
    limit = glass.when.mfa_age
    if limit is not None and facts.age > limit:
        yield DenialReason(
            ErrorName.STALE_FACTOR,
            f"your signature is {say_span(facts.age)} old, {glass.name!r} accepts"
            f" {say_span(limit)} at most; run the same command again and touch your key",
        )
    if glass.mfa_down and not facts.mfa_down:
        yield DenialReason(
            ErrorName.MFA_NOT_DOWN,
            f"{glass.name!r} opens only while MFA is declared down; break"
            f" {glass.name.removesuffix(MFA_DOWN)!r} with your security key",
        )


def _incident(glass: Glass, facts: Facts) -> Iterator[DenialReason]:
    wanted = " or ".join(glass.when.incident)
    incident = facts.incident
    if not wanted:
        return
    if incident is None:
        yield DenialReason(
            ErrorName.NO_INCIDENT,
            f"{glass.name!r} needs an open incident of {wanted}, and none is named; declare"
            " one: breakglass incident declare ID --severity SEVERITY --title TEXT",
        )
        return
    if not incident.open:
        yield DenialReason(
            ErrorName.INCIDENT_CLOSED,
            f"incident {incident.id!r} is closed; name an open one of {wanted}, or declare a new"
            " one: breakglass incident declare ID --severity SEVERITY --title TEXT",
        )
    if incident.severity not in glass.when.incident:
        yield DenialReason(
            ErrorName.INCIDENT_SEVERITY,
            f"incident {incident.id!r} is {incident.severity}, {glass.name!r} needs {wanted};"
            " if it is worse by now, declare it again: breakglass incident declare"
            f" {incident.id} --severity SEVERITY --title TEXT",
        )
    if incident.self_declared and glass.when.incident_source is IncidentFrom.OUTSIDE:
        yield DenialReason(
            ErrorName.INCIDENT_SOURCE,
            f"a responder declared incident {incident.id!r} themselves; {glass.name!r} needs one"
            " that came from monitoring or another outside source",
        )


def _ticket(glass: Glass, facts: Facts) -> Iterator[DenialReason]:
    if glass.when.ticket is Ticket.REQUIRED and not facts.ticket:
        yield DenialReason(
            ErrorName.NO_TICKET,
            f"{glass.name!r} needs a ticket, and none is named; add: --ticket TICKET",
        )


def _time(glass: Glass, facts: Facts) -> Iterator[DenialReason]:
    if facts.asks and not glass.ask_need:
        yield DenialReason(
            ErrorName.CANNOT_BE_ASKED,
            f"{glass.name!r} has no approvers, so it cannot be asked for; break it instead:"
            f" breakglass break {glass.name} --incident INCIDENT --why REASON",
        )
    ahead = facts.ahead
    if ahead is None:
        return
    if not facts.asks:
        yield DenialReason(
            ErrorName.WRONG_START,
            f"only an ask can start later; break {glass.name!r} when it is needed",
        )
    elif not facts.minter:
        yield DenialReason(
            ErrorName.WRONG_START,
            "what starts later opens no gate, so it must name a minter: --minter MINTER",
        )
    elif not timedelta(0) < ahead <= glass.ahead:
        offers = f"at most {say_span(glass.ahead)} ahead" if glass.ahead else "only at once"
        yield DenialReason(
            ErrorName.WRONG_START,
            f"{glass.name!r} can start {offers}; you asked for a start {_say_ahead(ahead)}",
        )


def _say_ahead(ahead: timedelta) -> str:
    return f"{say_span(ahead)} ahead" if ahead > timedelta(0) else "in the past"


def _wanted(glass: Glass, facts: Facts) -> Iterator[DenialReason]:
    if facts.for_ > glass.for_:
        yield DenialReason(
            ErrorName.TOO_LONG,
            f"you asked for {say_span(facts.for_)}, {glass.name!r} gives {say_span(glass.for_)}"
            f" at most; ask again with: --for {say_span(glass.for_)}",
        )
    mint = glass.mint(facts.minter)
    if facts.minter and mint is None:
        known = names(each.minter for each in glass.mints)
        yield DenialReason(
            ErrorName.WRONG_MINTER,
            f"{glass.name!r} mints nothing at {facts.minter[:60]!r}; its minters: {known}",
        )
        return
    if facts.path == Path.MACHINE and mint and not facts.scope:
        return  # its act, which was compared already, is the whole of it
    yield from _act(glass, mint, facts)
    yield from _scope(glass, mint.scope if mint else {}, facts)


def _act(glass: Glass, mint: Mint | None, facts: Facts) -> Iterator[DenialReason]:
    if facts.act in (mint.act_names if mint else ("",)):
        return
    if mint and mint.acts:
        text = (
            f"{glass.name!r} gives no credential at {mint.minter!r}, it runs one act, and you"
            f" named {facts.act[:60]!r}; name one of: {names(mint.act_names)}"
        )
    else:
        text = f"{glass.name!r} runs nothing there; leave the act {facts.act[:60]!r} out"
    yield DenialReason(ErrorName.WRONG_ACT, text)


def _scope(
    glass: Glass, widest: Mapping[str, tuple[str, ...]], facts: Facts
) -> Iterator[DenialReason]:
    if set(facts.scope) != set(widest):
        yield DenialReason(
            ErrorName.WRONG_SCOPE,
            f"the scope of {glass.name!r} has {names(sorted(widest))}, you named"
            f" {names(sorted(facts.scope))}; leave the scope out to get all of it",
        )
        return
    for dimension, values in sorted(facts.scope.items()):
        beyond = sorted(set(values) - set(widest[dimension]))
        if beyond:
            yield DenialReason(
                ErrorName.WRONG_SCOPE,
                f"{glass.name!r} does not reach {dimension} {beyond[0][:60]!r}; it reaches:"
                f" {names(widest[dimension])}"[:480],
            )


def _say(factor: Factor) -> str:
    return {
        Factor.ONE: "a software key (one factor)",
        Factor.TWO: "a security key that is touched",
        Factor.PHISHING_RESISTANT: "a passkey or a security key with PIN",
    }[factor]
