"""Bursts: the fullest three weeks of a window, and what the window says without them.

A scan statistic (DEVIANCE.md 3.4). Real bad months carry many incident ids and have long shoulders,
so the burst takes along what belongs to its cause up to two weeks either side.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

from breakglass.verdicts.distributions import poisson_at_least
from breakglass.verdicts.history import Bypass, Gate
from breakglass.verdicts.intervals import Interval, ratio_exact
from breakglass.verdicts.reasons import cluster_reasons
from breakglass.verdicts.windows import Span

WIDTH = timedelta(days=22)
SHOULDER = timedelta(days=14)
NAMED = 5  # bypasses of one incident; fewer are an ordinary incident's


@dataclass(frozen=True)
class Burst:
    """The fullest 22 days: how unlikely they are, what they share, and the window without them."""

    start: date
    end: date
    events: tuple[Bypass, ...]
    chance: float  # of so many in any 22 days of the window
    family: str  # the incident family with most events in it; empty where none is named
    family_events: int
    family_share: float  # of the core's events that name an incident; 0 below three
    cluster: str  # what most of its reasons say, where that is said little elsewhere
    cluster_share: float
    top_person_share: float
    family_outside: int  # events of that family beyond the shoulders
    excess: float  # events beyond what the rest of the window would have brought
    named: bool  # one incident, twice the baseline's largest, has half of the named events
    people: int
    left: int  # counted events of the window without the burst
    passages_left: float
    ratio_without: Interval

    @property
    def left_is_usual(self) -> bool:
        """Whether the window without the burst is not clearly above the time before."""
        return self.ratio_without.low < 1.1


def find_burst(gate: Gate, recent: Span, before: Span, k0: float, noise: float) -> Burst | None:
    """Return the fullest 22 days of ``recent``; nothing where the window has under 4 events."""
    events = recent.events
    if len(events) < 4:
        return None
    first, last = _around(events, before) or _fullest(events)
    core = events[first : last + 1]
    start, end = core[0].time.date(), core[-1].time.date() + timedelta(days=1)
    families = Counter(event.family for event in core if event.family)
    family, size = max(families.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    shoulder = [
        event
        for event in (*events[:first], *events[last + 1 :])
        if family and event.family == family and _near(event, start, end)
    ]
    cluster, cluster_share = _said(core, events)
    left = len(events) - len(core) - len(shoulder)
    days = min(max((end - start).days, 1), WIDTH.days)
    passages = gate.passages_between(start, end)
    n_left = max(recent.passages - passages, 0.0)
    outside = left / n_left if n_left else 0.0
    usual = max(outside, k0 / before.passages if before.passages else 0.0)
    share_of_time = WIDTH.days / days
    mean = max(usual * passages * share_of_time, 0.15)
    spans = max(1.0, recent.days / 7)
    # Half of the noise: the rest is in the weeks' own unevenness, which the scan already searches.
    calm = noise**0.5
    chance = min(1.0, spans * poisson_at_least(len(core) / calm, mean / calm))
    return Burst(
        start=start,
        end=end,
        events=tuple(sorted((*core, *shoulder), key=lambda e: (e.time, e.id))),
        chance=chance,
        family=family if size >= 2 else "",
        family_events=size + len(shoulder),
        family_share=size / sum(families.values()) if size >= 3 else 0.0,
        cluster=cluster,
        cluster_share=cluster_share,
        top_person_share=max(Counter(e.person for e in core).values()) / len(core),
        family_outside=sum(1 for e in events if family and e.family == family)
        - size
        - len(shoulder),
        excess=len(core) - usual * passages * share_of_time,
        named=size >= max(NAMED, 2 * _largest(before)) and 2 * size >= _beside(core, family),
        people=len({event.person for event in core}),
        left=left,
        passages_left=n_left,
        ratio_without=ratio_exact(left, n_left, k0, before.passages),
    )


def _beside(core: tuple[Bypass, ...], family: str) -> int:
    """Return how many bypasses name an incident in the days from the family's first to its last."""
    times = [event.time for event in core if event.family == family]
    return sum(1 for e in core if e.family and times and times[0] <= e.time <= times[-1])


def _largest(before: Span) -> int:
    return max(Counter(e.family for e in before.events if e.family).values(), default=0)


def _around(events: tuple[Bypass, ...], before: Span) -> tuple[int, int] | None:
    """Return the days of one incident that stands out, where a busy gate's fullest are others.

    It has five bypasses or more in 22 days and twice as many as any incident of the baseline.
    """
    counts = Counter(event.family for event in events if event.family)
    for family, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if n < max(NAMED, 2 * _largest(before)):
            return None
        places = [i for i, event in enumerate(events) if event.family == family]
        if events[places[-1]].time - events[places[0]].time <= WIDTH:
            first, last = _fullest(events)
            inside = sum(event.family == family for event in events[first : last + 1])
            return None if 2 * inside >= n else (places[0], places[-1])
    return None


def _fullest(events: tuple[Bypass, ...]) -> tuple[int, int]:
    """Return the first and last index of the 22 days with most events; the earliest of equals."""
    best, low = (0, 0), 0
    for high in range(len(events)):
        while events[high].time - events[low].time > WIDTH:
            low += 1
        if high - low > best[1] - best[0]:
            best = (low, high)
    return best


def _said(core: tuple[Bypass, ...], events: tuple[Bypass, ...]) -> tuple[str, float]:
    """Return the reason that the core shares and the rest of the window hardly gives."""
    inside = {event.id for event in core}
    for cluster in sorted(cluster_reasons(events), key=lambda c: -len(c.ids & inside)):
        here = len(cluster.ids & inside)
        if here >= 3 and here >= 0.6 * cluster.events:
            return cluster.label, here / len(core)
    return "", 0.0


def _near(event: Bypass, start: date, end: date) -> bool:
    return start - SHOULDER <= event.time.date() < end + SHOULDER
