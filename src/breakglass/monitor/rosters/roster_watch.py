"""Reads the policy's on-call sources every so often, and states what is new.

Broker and monitor decide on the record alone; what a source says counts when it stands in the
ledger. Who is unknown is named aloud: a person who was left out in silence is missed at night.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.clock import format_time
from breakglass.errors import BreakglassError, MalformedError
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.decision_replay import compiled
from breakglass.monitor.rosters.on_call import PEOPLE_AT_MOST, OnCall, RosterSource
from breakglass.monitor.witnessed_time import WitnessedTime
from breakglass.node.replica import Replica
from breakglass.node.submitter import Fact, Submitter
from breakglass.policy.parse import Bundle
from breakglass.policy.people import Directory, Group
from breakglass.policy.rosters import fresh
from breakglass.records.fold.forgetting import standing_rosters
from breakglass.records.fold.slices.monitor import RosterState
from breakglass.records.kinds import roster
from breakglass.records.kinds.roster import Roster
from breakglass.shown_text import shown

_NAME_AT_MOST = 80
_RECORDED_WITHIN = timedelta(seconds=5)
_COMES_WITHIN = timedelta(minutes=5)  # what was recorded stands in our view by then, or is void


@dataclass(frozen=True)
class _Moment:
    """What one look goes by, taken while the state was held still."""

    bundle: bytes
    kinds: int
    skew: timedelta
    kept: dict[str, tuple[RosterState, ...]]
    size: int
    now: datetime


@dataclass(frozen=True)
class _Problem:
    """What is wrong: ``state`` stays the same as long as it is the same trouble."""

    state: str
    text: str


class RosterWatch:
    """Reads sources and states rosters; ``look`` belongs to one thread.

    Args:
        sources: by the word before the colon in the policy.
        view: the followed log.
        stating: where records go.
        ringing: told of what is wrong.
        time: the time that the witnesses agree on.
        broken: why the ledger is not believed, or empty; then nothing is stated.
    """

    def __init__(
        self,
        sources: Mapping[str, RosterSource],
        view: Replica,
        stating: Submitter,
        ringing: Dispatch,
        time: WitnessedTime,
        broken: Callable[[], str],
    ) -> None:
        self._sources = sources
        self._view = view
        self._stating = stating
        self._ringing = ringing
        self._time = time
        self._broken = broken
        self._stated: dict[str, RosterState] = {}  # by group, until our view has them
        self._rung: dict[str, tuple[str, ...]] = {}  # by subject, what was told last
        self._unknown: dict[str, list[_Problem]] = {}  # by group, as it was read last
        self.looks = 0

    def look(self) -> None:
        """Look once at every rostered group of the policy in force."""
        if self._broken():
            return
        moment = self._moment()
        if moment.bundle:
            self._look(moment)
        self.looks += 1

    def _moment(self) -> _Moment:
        with self._view.reading() as state:
            trust = state.governance.trust
            kept = {name: standing_rosters(state, name) for name in state.monitor.rosters}
            bundle, size = state.governance.bundle, state.size
        now = self._time.now()
        for name, stated in self._stated.items():
            newest = kept.get(name, ())[:1]
            coming = not newest or newest[0].taken_at < stated.taken_at
            if coming and now - stated.seen <= _COMES_WITHIN:
                kept[name] = (stated, *newest)
        return _Moment(
            bundle,
            trust.kinds if trust is not None else 1,
            trust.skew if trust is not None else timedelta(0),
            kept,
            size,
            now,
        )

    def _look(self, moment: _Moment) -> None:
        bundle = compiled(moment.bundle).bundle
        missing: list[_Problem] = []
        unknown: list[_Problem] = []
        for group in bundle.directory.groups.values():
            if not group.roster:
                continue
            try:
                trouble = self._read(group, bundle.directory, moment)
            except BreakglassError as error:
                trouble = error.message
            missing += _missing(group, bundle, moment, trouble)
            unknown += self._unknown.get(group.name, ())
        # Who is unknown is told again on another day if a restart finds them there.
        self._ring("roster_unknown", unknown, moment, _UNKNOWN, f"/{moment.now:%Y-%m-%d}")
        self._ring("roster_missing", missing, moment, _MISSING)

    def _read(self, group: Group, directory: Directory, moment: _Moment) -> str:
        """Read one source and state what is new; returns why nothing that counts came of it."""
        if moment.kinds < roster.RULE.since:
            return "rosters need kinds 2 (breakglass trust next --kinds 2)"
        kind, _, which = group.roster.partition(":")
        found = self._sources[kind].read(which)
        people, self._unknown[group.name] = _people(found, group, directory)
        age, taken = moment.now - found.taken_at, format_time(found.taken_at)
        if age < -moment.skew / 2:
            return f"it says that it is of {taken}, which has not come"
        if age > _oldest(group):
            return f"it says that it is of {taken}"
        before = next(iter(moment.kept.get(group.name, ())), None)
        if before is not None:
            same = (before.people, before.source) == (people, group.roster)
            if same and found.taken_at - before.taken_at < _oldest(group) / 2:
                return _nobody(people)
            if found.taken_at <= before.taken_at:
                return "" if same else f"it names others than before and says {taken} as before"
        self._state(group, people, found, moment)
        return _nobody(people)

    def _state(self, group: Group, people: tuple[str, ...], found: OnCall, moment: _Moment) -> None:
        body = Roster(group.name, people, group.roster, found.taken_at)
        # Now or not at all: one that came in late would be void, and the next look says it again.
        ident = f"roster/{group.name}/{format_time(found.taken_at)}"
        self._stating.append([Fact(ident, body)], _RECORDED_WITHIN)
        stated = RosterState(people, group.roster, found.taken_at, moment.now, moment.size)
        self._stated[group.name] = stated
        moment.kept[group.name] = (stated,)

    def _ring(
        self, subject: str, found: list[_Problem], moment: _Moment, advice: str, since: str = ""
    ) -> None:
        """Ring where something else is wrong than before; quiet while only its words change."""
        states = tuple(each.state for each in found)
        if states == self._rung.get(subject, ()):
            return
        self._rung[subject] = states
        if found:
            text = f"ON-CALL LIST: {'; '.join(each.text for each in found)}. {advice}"
            # Named by what is wrong: a restart that finds it so again rings nobody.
            once = hashlib.sha256("\n".join(states).encode()).hexdigest()[:16] + since
            self._ringing.ring(
                [Alert(subject, "rosters", moment.size, "rosters", moment.now, text, once=once)]
            )


def _missing(group: Group, bundle: Bundle, moment: _Moment, trouble: str) -> list[_Problem]:
    """Say that a group has no fresh roster, or will soon have none."""
    counts = fresh(moment.kept, bundle, moment.now)
    name, why = f"group {group.name!r} ({group.roster})", f": {trouble}" if trouble else ""
    kept = moment.kept.get(group.name, ())
    # One that names nobody is stated over and over, and is the same trouble.
    last = next((format_time(each.taken_at) for each in kept if each.people), "never")
    if group.name not in counts:
        people = ", ".join(bundle.directory.present(group.fallback, counts)) or "nobody"
        return [
            _Problem(
                f"{group.name} none since {last}",
                f"{name} has no fresh roster{why}; meanwhile these count: {people}",
            )
        ]
    taken_at = kept[0].taken_at
    if not trouble or moment.now - taken_at < _oldest(group) / 2:
        return []
    until = format_time(taken_at + _oldest(group))
    text = f"{name} cannot be read again{why}; its roster counts until {until}"
    return [_Problem(f"{group.name} old since {last}", text)]


def _oldest(group: Group) -> timedelta:
    assert group.at_most_old is not None, "the policy asks for it beside a roster"
    return group.at_most_old


def _nobody(people: tuple[str, ...]) -> str:
    return "" if people else "it names nobody whom the policy knows"


def _people(
    found: OnCall, group: Group, directory: Directory
) -> tuple[tuple[str, ...], list[_Problem]]:
    """Return the people whom a source means, by the policy's names, and whom it means in vain.

    Raises:
        MalformedError: more people than a record holds.
    """
    mails = {each.oidc.casefold(): each.name for each in directory.people.values() if each.oidc}
    can_be = directory.everybody(group.members) if group.members else tuple(directory.people)
    known: set[str] = set()
    told: list[_Problem] = []
    for each in found.names:
        name = (
            directory.canonical(each)
            or directory.canonical(each.casefold())
            or mails.get(each.casefold())
        )
        if name is not None and name in can_be:
            known.add(name)
            continue
        why = "not among its 'members'" if name is not None else "nobody of the policy"
        text = f"{shown(each, _NAME_AT_MOST)!r}, on call for {group.name!r}, is {why}"
        told.append(_Problem(text, text))
    if len(known) > PEOPLE_AT_MOST:
        raise MalformedError(f"{len(known)} people are on call (limit {PEOPLE_AT_MOST})")
    return tuple(sorted(known)), told


_UNKNOWN = (
    "They count for nothing while on call. Add their e-mail to 'aliases' of a person of the policy,"
    " or take them off the list."
)
_MISSING = "Look at the source, and at the monitor's token for it."
