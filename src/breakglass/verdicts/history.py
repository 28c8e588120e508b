"""A gate's history in memory: bypasses, passages, people, and what was decided of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import accumulate

WEEK = timedelta(weeks=1)
KINDS = ("bypass", "drill", "machine")


@dataclass(frozen=True, slots=True)
class Bypass:
    """One time that somebody went round a gate.

    ``incident`` and ``parent_incident`` are empty where none was named. ``kind`` is one of
    ``KINDS``; a drill or a machine's firing is a series of its own and never judged.
    """

    id: str
    time: datetime
    gate: str
    person: str
    incident: str = ""
    parent_incident: str = ""
    reason: str = ""
    reason_code: str = ""
    sanctioned: bool = False
    kind: str = "bypass"

    @property
    def family(self) -> str:
        """The incident family: the parent where one is named, else the incident, else empty."""
        return self.parent_incident or self.incident


@dataclass(frozen=True, slots=True)
class GateChange:
    """A known change of the gate itself: a new check, another threshold, a fix."""

    on: date
    what: str


@dataclass(frozen=True, slots=True)
class GateReview:
    """What a gate review decided: a ``gate_reviewed`` record, or a line of ``reviews.jsonl``."""

    gate: str
    at: datetime
    verdict: str
    decision: str
    by: str
    look_again: date | None = None


@dataclass(frozen=True)
class Gate:
    """Everything known about one gate; weeks are named by their Monday.

    ``passages`` counts every opportunity of a week, those bypassed included. ``people`` holds, per
    quarter (``2016-Q3``, or empty for the whole span), each person's weight among the passages;
    weights need not add to one. ``born`` and ``retired`` are the first and last day in force. In
    the week of ``counted_to`` passages were counted up to that day (exclusive) only, as in a ledger
    that is read on a Wednesday; without it every week is counted whole.
    """

    name: str
    events: tuple[Bypass, ...]
    passages: Mapping[date, float]
    people: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    born: date | None = None
    retired: date | None = None
    changes: tuple[GateChange, ...] = ()
    siblings: tuple[str, ...] = ()
    counted_to: date | None = None

    @cached_property
    def first_day(self) -> date | None:
        """First day in force: as declared, else the first week with a passage or a bypass."""
        if self.born is not None:
            return self.born
        days = [week for week, n in self.passages.items() if n > 0]
        days += [event.time.date() for event in self.events[:1]]
        return min(days, default=None)

    def passages_between(self, start: date, end: date) -> float:
        """Return the passages from ``start`` to ``end`` (exclusive), a cut week by its days."""
        return max(0.0, self._passages_before(end) - self._passages_before(start))

    def _passages_before(self, day: date) -> float:
        weeks, sums = self._running
        at = bisect_right(weeks, day)
        if at == 0:
            return 0.0
        last = weeks[at - 1]
        days = self._days_counted(last)
        return sums[at - 1] + self.passages[last] * min((day - last).days, days) / days

    def _days_counted(self, week: date) -> int:
        if self.counted_to is None or self.counted_to <= week:
            return 7
        return min((self.counted_to - week).days, 7)

    @cached_property
    def _running(self) -> tuple[list[date], list[float]]:
        weeks = sorted(self.passages)
        sums = list(accumulate((self.passages[week] for week in weeks), initial=0.0))
        return weeks, sums[:-1]


@dataclass(frozen=True)
class History:
    """All gates of one organisation as they stood at ``as_of``, with the reviews of the past.

    ``grants`` are the uses of glasses that open no gate, oldest first; their ``gate`` is the glass.
    """

    as_of: datetime
    gates: tuple[Gate, ...]
    reviews: tuple[GateReview, ...] = ()
    grants: tuple[Bypass, ...] = ()

    def gate(self, name: str) -> Gate | None:
        """Return the gate called ``name``, or nothing where the history has none."""
        return next((gate for gate in self.gates if gate.name == name), None)


def monday(day: date) -> date:
    """Return the Monday of the ISO week of ``day``."""
    return day - timedelta(days=day.weekday())


def midnight(day: date) -> datetime:
    """Return the first moment of ``day`` in UTC."""
    return datetime.combine(day, time(), UTC)


def quarter(day: date) -> str:
    """Return the quarter's name: ``2016-Q3``."""
    return f"{day.year}-Q{(day.month + 2) // 3}"
