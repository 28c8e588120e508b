"""The stretches of time that are compared: the recent half year and the time before it.

Both are cut where the gate was born, changed or retired, because a rate across such a day mixes two
gates (DEVIANCE.md 3). Days are UTC; ``end`` is exclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

from breakglass.verdicts.history import WEEK, Bypass, Gate, midnight
from breakglass.verdicts.intervals import Interval, rate_exact, share_exact, share_read
from breakglass.verdicts.routine import Series, series_of

RECENT = 26 * WEEK
BASELINE = 78 * WEEK
SHORTEST_AFTER_CHANGE = 6 * WEEK  # with less than this, a changed gate is judged with its past
TABLE_DAYS = (7, 30, 90, 365)


@dataclass(frozen=True)
class Span:
    """Days from ``start`` to ``end`` (exclusive) with their counted bypasses and passages."""

    start: date
    end: date
    events: tuple[Bypass, ...]
    passages: float

    @property
    def days(self) -> int:
        """Length in days."""
        return (self.end - self.start).days

    @property
    def k(self) -> int:
        """Counted bypasses."""
        return len(self.events)


@dataclass(frozen=True)
class Windows:
    """Recent time, the time before it, and why either was cut (empty when it was not)."""

    recent: Span
    before: Span
    cut: str


@dataclass(frozen=True)
class WindowRate:
    """One row of the table of rates: counts and limits over the last ``days`` days."""

    days: int
    n: int
    passages: float
    share: Interval
    exact: Interval
    per_week: Interval
    set_apart: dict[str, int]


def end_of(as_of: datetime) -> date:
    """Return the day on which windows end (exclusive); the day of ``as_of`` counts once begun."""
    day = as_of.date()
    return day if as_of == midnight(day) else day + timedelta(days=1)


def span(gate: Gate, events: Sequence[Bypass], start: date, end: date) -> Span:
    """Return the span with those of ``events`` that fall into it, and its passages."""
    inside = tuple(e for e in events if start <= e.time.date() < end)
    return Span(start, end, inside, gate.passages_between(start, end))


def windows(gate: Gate, events: Sequence[Bypass], as_of: datetime) -> Windows:
    """Return the two windows of ``gate`` for ``events`` (already only counted ones)."""
    end = end_of(as_of)
    cut = ""
    if gate.retired is not None and gate.retired < end:
        end = gate.retired + timedelta(days=1)
        cut = f"was retired on {gate.retired}"
    first = gate.first_day or end
    start = max(end - RECENT, first)
    for change in sorted(gate.changes, key=lambda change: change.on):
        if start < change.on <= end - SHORTEST_AFTER_CHANGE:
            start, cut = change.on, f"was changed on {change.on}: {change.what}"
    base = max(start - BASELINE, first)
    for change in gate.changes:
        # A change that starts the recent window leaves its past to compare with; older ones cut it.
        if base < change.on < start:
            base = change.on
    if not cut and first > end - RECENT - BASELINE / 3:
        cut = f"has existed only since {first}"
    return Windows(span(gate, events, start, end), span(gate, events, min(base, start), start), cut)


def table(gate: Gate, as_of: datetime) -> tuple[WindowRate, ...]:
    """Return bypasses per passage and per week for the last 7, 30, 90 and 365 days.

    Sanctioned, routine, drill and machine events are counted apart, under their own names. A
    window never reaches back beyond the gate's first day in force.
    """
    end = end_of(as_of)
    rows = []
    for days in TABLE_DAYS:
        start = max(end - timedelta(days=days), gate.first_day or end)
        inside = [e for e in gate.events if start <= e.time.date() < end]
        kinds = [series_of(event) for event in inside]
        n = kinds.count(Series.COUNTED)
        passages = gate.passages_between(start, end)
        rows.append(
            WindowRate(
                days=days,
                n=n,
                passages=passages,
                share=share_read(n, passages),
                exact=share_exact(n, passages),
                per_week=rate_exact(n, (end - start).days / 7),
                set_apart={
                    kind.value: kinds.count(kind) for kind in Series if kind is not Series.COUNTED
                },
            )
        )
    return tuple(rows)


def weekly(span: Span, gate: Gate) -> tuple[list[int], list[float]]:
    """Return bypasses and passages per seven days, counted back from the end of ``span``."""
    weeks = max(0, (span.end - span.start) // WEEK)
    first = span.end - weeks * WEEK
    counts = [0] * weeks
    for event in span.events:
        at = (event.time.date() - first) // WEEK
        if 0 <= at < weeks:
            counts[at] += 1
    edges = [first + i * WEEK for i in range(weeks + 1)]
    return counts, [gate.passages_between(a, b) for a, b in pairwise(edges)]
