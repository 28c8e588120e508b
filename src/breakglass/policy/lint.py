"""What is wrong with a policy although it can be read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from breakglass.policy.certification import Certify, Then, stale_groups
from breakglass.policy.gates import Fail
from breakglass.policy.lint_finding import Desk, Level, LintFinding
from breakglass.policy.lint_glass import check_glass, check_uniform
from breakglass.policy.not_built import unused_fields
from breakglass.policy.parse import Bundle

if TYPE_CHECKING:
    from breakglass.policy.compile import CompiledPolicy

CERTIFIED_FOR = timedelta(days=92)
_EARLIEST = timedelta(hours=14)  # a day begins so long before its UTC on the Line Islands
__all__ = ["Level", "LintFinding", "lint", "lint_bundle"]


def lint(policy: CompiledPolicy | Bundle, *, now: datetime | None = None) -> list[LintFinding]:
    """Return everything there is to say about a policy, errors first, then in file order.

    Args:
        policy: compiled, or only read: what cannot compile can still be looked at.
        now: adds what depends on a date, as warnings: people past their last day, stale
            certifications.
    """
    if isinstance(policy, Bundle):
        return lint_bundle(policy, now=now)
    found = lint_bundle(policy.bundle, now=now)
    found += [
        LintFinding(
            Level.ADVICE, each.place, "policy",
            f"permit {each.id!r} widens the conditions of glasses; no floor is lowered by it",
        )
        for each in policy.extras
        if not each.forbids
    ]  # fmt: skip
    return found


def lint_bundle(bundle: Bundle, *, now: datetime | None = None) -> list[LintFinding]:
    """As ``lint``, without what only extra policies show."""
    found = [each for glass in bundle.glasses.values() for each in check_glass(bundle, glass)]
    found += check_uniform(bundle)
    found += _gates(bundle)
    found += _organisation(bundle)
    found += _networks(bundle)
    found += _certified(bundle)
    found += unused_fields(bundle)
    if now is not None:
        found += _dated(bundle, now)
    order = list(Level)
    return sorted(
        dict.fromkeys(found),
        key=lambda each: (
            order.index(each.level),
            each.place.line,
            each.place.column,
            each.message,
        ),
    )


def _gates(bundle: Bundle) -> Iterator[LintFinding]:
    desk = Desk(bundle)
    opened = {gate for glass in bundle.glasses.values() for gate in glass.opens_gates}
    for gate in bundle.gates.values():
        path = f"gates.{gate.name}"
        if gate.fail is Fail.OPEN and not gate.reason:
            yield desk.error(
                f"{path}.fail",
                "fails open without a written reason",
                "add 'reason: …', or fail closed and give the gate a glass",
            )
        if gate.fail is Fail.CLOSED and gate.name not in opened:
            yield desk.warning(
                path, "no glass opens this gate: people will find another way when it is stuck"
            )
        for sibling in gate.siblings:
            if sibling not in bundle.gates:
                yield desk.advice(f"{path}.siblings", f"sibling {sibling!r} is not in this bundle")
        for way in gate.sanctioned:
            if way.cedar not in bundle.cedar:
                yield desk.warning(
                    f"{path}.sanctioned", f"{way.cedar!r} is not in the bundle: the way stays shut"
                )


def _organisation(bundle: Bundle) -> Iterator[LintFinding]:
    desk = Desk(bundle)
    if not bundle.kill:
        yield desk.warning("kill", "nobody can stop a grant", "kill: [group:security]")
    if bundle.reviews.calendar:
        yield desk.warning(
            "reviews.holidays",
            f"calendar {bundle.reviews.calendar!r} is not known here: only weekends are skipped",
            "list the days instead: holidays: [2026-12-25, 2026-12-26]",
        )
    held = {key for name in bundle.maintainers.of for key in bundle.directory.people[name].keys}
    if len(held) < bundle.maintainers.need:
        yield desk.error("maintainers", "fewer keys than maintainers needed")
    needed = {name for glass in bundle.glasses.values() if glass.seal
              for name in glass.seal.custodians}  # fmt: skip
    for name in sorted(needed - set(bundle.custodians.of if bundle.custodians else ())):
        yield desk.warning("custodians", f"{name!r} holds a seal and is not among the custodians")
    standing = needed | set(bundle.custodians.of if bundle.custodians else ())
    for name in sorted(standing):
        if not bundle.directory.people[name].age:
            yield desk.advice(
                f"people.{name}",
                f"custodian {name!r} has no 'age' recipient: no share can be given to them",
            )
    for group in bundle.directory.groups.values():
        if group.roster and not group.members:
            yield desk.advice(
                f"groups.{group.name}",
                "a roster without 'members': cards must name everybody of the bundle",
                "members: those who can ever stand on this roster",
            )


def _certified(bundle: Bundle) -> Iterator[LintFinding]:
    if bundle.certify is None:
        return
    desk = Desk(bundle)
    say = desk.error if bundle.certify.then is Then.REFUSE else desk.advice
    for name, group in bundle.directory.groups.items():
        if group.certified is None:
            yield say(
                f"groups.{name}",
                "a group that nobody has certified, and 'certify' asks for it",
                "certified: {by: NAME, on: 2026-12-31}",
            )


def _networks(bundle: Bundle) -> Iterator[LintFinding]:
    desk = Desk(bundle)
    for name, blocks in bundle.networks.items():
        for block in blocks:
            if not block.prefixlen:
                yield desk.warning(f"networks.{name}", f"{block} is everywhere")


def _dated(bundle: Bundle, now: datetime) -> Iterator[LintFinding]:
    desk = Desk(bundle)
    for person in bundle.directory.people.values():
        if person.ends and now >= person.ends:
            yield desk.warning(f"people.{person.name}", f"may not act since {person.until}")
    begun = (now + _EARLIEST).date()
    for group in bundle.directory.groups.values():
        if group.certified and group.certified.on > begun:
            yield desk.error(
                f"groups.{group.name}.certified",
                f"certified {group.certified.on}, a day that has not begun: nobody has looked yet",
                f"the day on which somebody looked its members through: on: {now:%Y-%m-%d}",
            )
    certify = bundle.certify or Certify(CERTIFIED_FOR, Then.ADVISE)
    for name in stale_groups(certify, bundle.directory.groups, now):
        group = bundle.directory.groups[name]
        if group.certified:
            refused = "; nobody counts by it" if certify.then is Then.REFUSE else ""
            yield desk.warning(
                f"groups.{name}.certified",
                f"last certified {group.certified.on}, more than {certify.every.days} days"
                f" ago{refused}",
            )
