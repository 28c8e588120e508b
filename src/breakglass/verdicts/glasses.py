"""How often a glass is broken that opens no gate: a rate per week, since nothing passes by it.

Without a gate there are no passages and no share. A glass that is broken every week is an access
that somebody needs, or an alarm that nobody hears.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from breakglass.verdicts.history import Bypass, History
from breakglass.verdicts.intervals import Interval, rate_exact, ratio_exact
from breakglass.verdicts.windows import BASELINE, RECENT, end_of


@dataclass(frozen=True)
class GlassRate:
    """One glass: grants of the last 26 weeks or since its first, a week, and against before."""

    glass: str
    n: int
    weeks: float
    per_week: Interval
    people: int
    drills: int
    before: int
    ratio: Interval | None  # none where the glass was first broken within the window


def glass_rates(history: History) -> tuple[GlassRate, ...]:
    """Return the rates of all glasses that open no gate, the most broken first."""
    end = end_of(history.as_of)
    found = []
    for glass in sorted({event.gate for event in history.grants}):
        events = [event for event in history.grants if event.gate == glass]
        first = events[0].time.date()
        start, base = max(end - RECENT, first), max(end - RECENT - BASELINE, first)
        now, then = _inside(events, start, end), _inside(events, base, start)
        weeks = max((end - start).days, 1) / 7
        known = (start - base).days / 7
        found.append(
            GlassRate(
                glass=glass,
                n=len(now),
                weeks=weeks,
                per_week=rate_exact(len(now), weeks),
                people=len({event.person for event in now}),
                drills=sum(1 for e in events if e.kind == "drill" and start <= e.time.date() < end),
                before=len(then),
                ratio=ratio_exact(len(now), weeks, len(then), known) if known >= 4 else None,
            )
        )
    return tuple(sorted(found, key=lambda rate: (-rate.n, rate.glass)))


def _inside(events: list[Bypass], start: date, end: date) -> list[Bypass]:
    return [e for e in events if e.kind == "bypass" and start <= e.time.date() < end]


def glass_sentence(rate: GlassRate) -> str:
    """Return what is known of a glass in one sentence.

    >>> glass_sentence(GlassRate("db", 1, 26.0, rate_exact(1, 26), 1, 0, 0, None))
    'db: broken once in 26 weeks by 1 person (0.04 a week, exact 95% 0.00 to 0.21)'
    """
    often = {0: "not broken", 1: "broken once", 2: "broken twice"}
    broken = often.get(rate.n, f"broken {rate.n} times")
    people = "1 person" if rate.people == 1 else f"{rate.people} people"
    by = f" by {people}" if rate.n else ""
    a_week = rate.per_week
    text = (
        f"{rate.glass}: {broken} in {rate.weeks:.0f} weeks{by} ({a_week.middle:.2f} a week, "
        f"exact 95% {a_week.low:.2f} to {a_week.high:.2f})"
    )
    r = rate.ratio
    if r is not None and rate.before:
        text += f", {r.middle:.1f} times as often as before ({r.low:.1f} to {r.high:.1f})"
    if rate.drills:
        text += f"; {rate.drills} drill{'s' if rate.drills != 1 else ''} not counted"
    return text
