"""What a gate's chart shows, counted once: weekly shares, the 13-week rate and band, people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from breakglass.verdicts.charts.scale import weeks_between
from breakglass.verdicts.evidence import Evidence, counted
from breakglass.verdicts.history import WEEK, Bypass, GateReview, monday
from breakglass.verdicts.intervals import Interval, share_read
from breakglass.verdicts.people import FEWEST_PER_PERSON
from breakglass.verdicts.routine import Series, series_of
from breakglass.verdicts.windows import BASELINE, RECENT

SMOOTH = 13  # weeks of the moving rate
ROWS = 5  # people that get a row of their own; the others share one
COLOURS = 5  # incident families with a colour of their own


@dataclass(frozen=True)
class Week:
    """One week: counted bypasses, those set apart, passages, and the 13-week rate up to here."""

    start: date
    counted: int
    apart: int
    passages: float
    rate: Interval | None


@dataclass(frozen=True)
class Strip:
    """One row of the people's strip: events, each with its incident's colour, 0 for none."""

    label: str
    marks: tuple[tuple[date, int], ...]


@dataclass(frozen=True)
class Shown:
    """Everything one chart draws."""

    start: date
    end: date
    weeks: tuple[Week, ...]
    strips: tuple[Strip, ...]
    families: tuple[str, ...]
    recent: date
    changes: tuple[tuple[date, str], ...]
    burst: tuple[date, date, float] | None = None  # first day, day after the last, its rate


def shown(
    e: Evidence,
    reviews: Sequence[GateReview] = (),
    *,
    whole: bool = False,
    burst_apart: bool = False,
    rates: bool = True,
) -> Shown:
    """Count the series of one gate: the judged windows, or with ``whole`` all that is recorded.

    With ``burst_apart`` the burst is drawn by itself: in the mean over 13 weeks a fortnight would
    look like a season. Without ``rates`` no moving rate is reckoned: a sparkline needs none.
    """
    gate, end = e.gate, e.recent.end
    first = gate.first_day or e.recent.start
    if whole and gate.events:
        # Years before the first bypass are one flat line; one of them is enough to see it.
        first = max(first, gate.events[0].time.date() - 52 * WEEK)
    start = monday(first if whole else max(first, end - RECENT - BASELINE))
    events = [event for event in gate.events if start <= event.time.date() < end]
    judged = [event for event in counted(gate) if start <= event.time.date() < end]
    changes = [(change.on, change.what) for change in gate.changes]
    changes += [(r.at.date(), f"review: {r.decision}") for r in reviews if r.gate == gate.name]
    if gate.retired is not None:
        changes.append((gate.retired, "retired"))
    families = Counter(event.family for event in judged if event.family)
    named = tuple(name for name, n in families.most_common(COLOURS) if n >= 2)
    burst = _burst(e) if burst_apart else None
    return Shown(
        start=start,
        end=end,
        weeks=_weeks(e, events, start, end, burst, rates=rates),
        burst=burst,
        strips=_strips(judged, named),
        families=named,
        recent=e.recent.start,
        changes=tuple(sorted(change for change in changes if start <= change[0] < end)),
    )


def _burst(e: Evidence) -> tuple[date, date, float] | None:
    b = e.burst
    if b is None:
        return None
    n = e.gate.passages_between(b.start, b.end)
    k = sum(1 for event in b.events if b.start <= event.time.date() < b.end)
    return (b.start, b.end, min(1.0, k / n)) if n >= 1 else None


def _weeks(
    e: Evidence,
    events: Sequence[Bypass],
    start: date,
    end: date,
    burst: tuple[date, date, float] | None,
    *,
    rates: bool,
) -> tuple[Week, ...]:
    apart: Counter[date] = Counter()
    judged: Counter[date] = Counter()
    for event in events:
        series = judged if series_of(event) is Series.COUNTED else apart
        series[monday(event.time.date())] += 1
    mondays = weeks_between(start, end)
    passages = [e.gate.passages_between(week, week + WEEK) for week in mondays]
    weeks = []
    apart_from_burst = [
        burst is None or week + WEEK <= burst[0] or week >= burst[1] for week in mondays
    ]
    for i, week in enumerate(mondays):
        if not rates:
            weeks.append(Week(week, judged[week], apart[week], passages[i], None))
            continue
        low = max(0, i - SMOOTH + 1)
        usual = [j for j in range(low, i + 1) if apart_from_burst[j]]
        n = sum(passages[j] for j in usual)
        k = sum(judged[mondays[j]] for j in usual)
        full = i + 1 >= min(SMOOTH, 4) and n >= 1 and k <= n
        rate = share_read(k, n) if full else None
        weeks.append(Week(week, judged[week], apart[week], passages[i], rate))
    return tuple(weeks)


def _strips(events: Sequence[Bypass], families: tuple[str, ...]) -> tuple[Strip, ...]:
    colour = {family: i for i, family in enumerate(families, 1)}
    people = Counter(event.person for event in events)
    rows = [p for p, n in people.most_common(ROWS) if n >= FEWEST_PER_PERSON and p]
    strips = []
    for i, person in enumerate(rows):
        marks = [
            (event.time.date(), colour.get(event.family, 0))
            for event in events
            if event.person == person
        ]
        # A letter, not the name: the page may be shown to more than the gate's owner.
        strips.append(Strip(f"person {chr(65 + i)}", tuple(marks)))
    rest = [event for event in events if event.person not in rows]
    if rest:
        others = len({event.person for event in rest})
        label = f"{others} other{'s' if others != 1 else ''}" if rows else f"{others} people"
        if others == 1 and not rows:
            label = "1 person"
        strips.append(Strip(label, tuple((e.time.date(), colour.get(e.family, 0)) for e in rest)))
    return tuple(strips)


def blocks(weeks: Sequence[Week]) -> list[tuple[date, date, int, int, float, Interval]]:
    """Return 13-week rows for the table beside the picture, the latest first."""
    rows: list[tuple[date, date, int, int, float, Interval]] = []
    for end in range(len(weeks), 0, -SMOOTH):
        part = weeks[max(0, end - SMOOTH) : end]
        if rows and len(part) < SMOOTH:
            break  # a remainder of a few weeks is no quarter
        k, n = sum(w.counted for w in part), sum(w.passages for w in part)
        rows.append(
            (
                part[0].start,
                part[-1].start + timedelta(days=6),
                k,
                sum(w.apart for w in part),
                n,
                share_read(k, n),
            )
        )
    return rows
