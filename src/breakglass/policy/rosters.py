"""Who is on call as the ledger has it: one function for the broker, the monitor and its pages.

A roster is the monitor's word of a source that the policy names. It only ever narrows: who stands
on no card is let in by no roster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from breakglass.policy.parse import Bundle
from breakglass.policy.people import GROUP, Directory, Group, Rosters
from breakglass.policy.yaml_fields import say_span
from breakglass.records.fold.slices.monitor import RosterState
from breakglass.records.fold.state import State

Kept: TypeAlias = Mapping[str, tuple[RosterState, ...]]
"""The newest rosters of each group, as the fold keeps them, the newest first."""


def fresh_rosters(state: State, bundle: Bundle, now: datetime) -> Rosters:
    """Return the rosters that count now, by group; a group that is missing here falls back.

    Args:
        state: the fold, held still.
        bundle: the policy in force.
        now: when the decision is made, aware.
    """
    return fresh(state.monitor.rosters, bundle, now)


def fresh(kept: Kept, bundle: Bundle, now: datetime) -> Rosters:
    """Return the same of the rosters that somebody kept of the fold."""
    found = {}
    for group in bundle.directory.groups.values():
        newest = kept.get(group.name, ())[:1]
        if newest and _counts(group, newest[0], now):
            found[group.name] = newest[0].people
    return found


def lately_fresh(
    kept: Kept, bundle: Bundle, now: datetime, within: timedelta
) -> tuple[Rosters, ...]:
    """Return every set of rosters that may have counted in the last ``within``, today's first.

    A broker decides on what it has followed, and its records come in a moment later: a roster may
    have come in between, or one may have grown too old. Whoever decides again asks whether any of
    these allows it. What comes in is a prefix of the log, and time only goes on, so there is one
    set for each roster that came and each that went, and as a rule there is one in all.
    """
    since = now - within
    all_of_them = [each for rosters in kept.values() for each in rosters]
    came = sorted({each.index for each in all_of_them if each.seen > since})
    limits = [group.at_most_old for group in bundle.directory.groups.values() if group.at_most_old]
    went = {each.taken_at + limit for each in all_of_them for limit in limits}
    found: list[Rosters] = []
    for before in (None, *reversed(came)):
        known = {
            name: tuple(each for each in rosters if before is None or each.index < before)
            for name, rosters in kept.items()
        }
        for moment in (now, *sorted(each for each in went if since <= each < now)):
            counted = fresh(known, bundle, moment)
            if counted not in found:
                found.append(counted)
    return tuple(found)


def _counts(group: Group, roster: RosterState, now: datetime) -> bool:
    # One that names nobody is a hole in the plan, and no reason to lock everybody out.
    return (
        bool(group.roster)
        and roster.source == group.roster
        and bool(roster.people)
        and group.at_most_old is not None
        and now - roster.taken_at <= group.at_most_old
    )


def without_roster(directory: Directory, refs: Iterable[str], rosters: Rosters) -> str:
    """Say which groups behind ``refs`` have no fresh roster, for people; empty if all have.

    It stands behind the names of those who are meant meanwhile.
    """
    told = []
    for group in groups_of(directory, refs):
        if group.roster and group.name not in rosters:
            old = f" of at most {say_span(group.at_most_old)}" if group.at_most_old else ""
            told.append(f"group {group.name!r} has no roster{old}, so its 'else' counts")
    return "; ".join(told)


def groups_of(directory: Directory, refs: Iterable[str]) -> list[Group]:
    """Return the groups behind ``refs`` that decide who is meant while no roster is fresh."""
    found: dict[str, Group] = {}
    waiting = list(refs)
    while waiting:
        ref = waiting.pop(0)
        name = ref.removeprefix(GROUP)
        if ref.startswith(GROUP) and name not in found:
            group = found[name] = directory.groups[name]
            waiting += group.fallback if group.roster else group.members
    return list(found.values())
