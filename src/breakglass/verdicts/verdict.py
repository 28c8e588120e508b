"""The reading of one gate: six possible verdicts, the runner-up, and what would change it.

Rules in the order that a gate review asks them: is the rate up or chronic at all; is that one
burst; one person; a recurring trouble behind the gate; else the gate itself. The signs and their
thresholds stand in ``signs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from breakglass.verdicts.evidence import Evidence, gather
from breakglass.verdicts.history import Gate
from breakglass.verdicts.intervals import ratio_exact, share_read
from breakglass.verdicts.signs import (
    THRESHOLDS,
    Thresholds,
    has_root_cause,
    is_breakage,
    is_burst,
    is_chronic,
    is_chronic_without_burst,
    is_person,
    is_raised,
    is_shared,
)


class Reading(StrEnum):
    """What the numbers say of a gate."""

    HEALTHY = "healthy"
    GATE_WRONG = "gate_wrong"
    ROOT_CAUSE = "root_cause"
    BAD_MONTH = "bad_month"
    ONE_PERSON = "one_person"
    NOT_ENOUGH_DATA = "not_enough_data"


@dataclass(frozen=True)
class Verdict:
    """A reading with its evidence; ``weeks_needed`` is set only where data is short."""

    gate: str
    reading: Reading
    runner_up: Reading
    evidence: Evidence
    qualifiers: tuple[str, ...]
    weeks_needed: int | None = None


def judge(gate: Gate, as_of: datetime, limits: Thresholds = THRESHOLDS) -> Verdict:
    """Return the verdict on ``gate`` as its history stood at ``as_of``; same data, same verdict."""
    return weigh(gather(gate, as_of), limits)


def weigh(e: Evidence, limits: Thresholds = THRESHOLDS) -> Verdict:
    """Return the verdict that the evidence carries."""
    name, notes = e.gate.name, qualifiers(e)
    if e.recent.passages < 1:
        return Verdict(name, Reading.NOT_ENOUGH_DATA, Reading.HEALTHY, e, notes, 26)
    raised, chronic = is_raised(e, limits), is_chronic(e, limits)
    order: list[Reading] = []
    if is_burst(e, limits, raised=raised) and not (chronic and is_chronic_without_burst(e, limits)):
        order.append(Reading.BAD_MONTH)
    if is_person(e, limits) and not (chronic and is_breakage(e, limits)):
        # Somebody whose work is to repair breakages dominates without being the cause.
        order.append(Reading.ONE_PERSON)
    if not order and not chronic and not (raised and is_shared(e, limits)):
        return _quiet(e, limits)
    if has_root_cause(e, limits, raised=raised):
        order += [Reading.ROOT_CAUSE, Reading.GATE_WRONG]
    else:
        order += [Reading.GATE_WRONG, Reading.ROOT_CAUSE]
    return Verdict(name, order[0], order[1], e, notes)


def _quiet(e: Evidence, limits: Thresholds) -> Verdict:
    """Tell a healthy gate from one of which too little is known, and say how much is missing."""
    few = e.recent.k < limits.sure_few
    if few and e.ratio.high >= limits.sure_ratio and e.rate.high >= limits.sure_rate:
        weeks = _weeks_to_know(e, limits)
        return Verdict(
            e.gate.name, Reading.NOT_ENOUGH_DATA, Reading.HEALTHY, e, qualifiers(e), weeks
        )
    open_rise = (
        is_shared(e, limits)
        and e.careful.low >= limits.open_low
        and e.ratio.middle >= limits.open_ratio
        and e.excess >= limits.raised_excess
    )
    if open_rise:
        notes = (*qualifiers(e), "a rise that is not certain yet")
        weeks = _weeks_to_settle(e, limits)
        return Verdict(e.gate.name, Reading.NOT_ENOUGH_DATA, Reading.GATE_WRONG, e, notes, weeks)
    return Verdict(e.gate.name, Reading.HEALTHY, _next_after_healthy(e), e, qualifiers(e))


def _next_after_healthy(e: Evidence) -> Reading:
    if e.burst is not None and e.burst.chance < 0.02:
        return Reading.BAD_MONTH
    if e.top is not None and e.top.chance < 0.01 and e.top.events >= 4:
        return Reading.ONE_PERSON
    return Reading.GATE_WRONG if e.recent.k >= 4 else Reading.NOT_ENOUGH_DATA


def _weeks_to_know(e: Evidence, limits: Thresholds) -> int:
    """Return how many more weeks at this traffic bring the rate's upper limit under the bound."""
    per_week = e.recent.passages * 7 / max(e.recent.days, 1)
    for weeks in range(1, 105):
        n = e.recent.passages + per_week * weeks
        if share_read(e.recent.k, n).high < limits.sure_rate:
            return weeks
    return 104


def _weeks_to_settle(e: Evidence, limits: Thresholds) -> int:
    """Return how many more weeks at the present rates would put the rise beyond doubt."""
    span = max(e.recent.days / 7, 1)
    for weeks in range(1, 105):
        more = 1 + weeks / span
        k, n = e.recent.k * more / e.noise, e.recent.passages * more
        if ratio_exact(k, n, e.k0 / e.noise, e.before.passages).low >= limits.raised_low:
            return weeks
    return 104


def qualifiers(e: Evidence) -> tuple[str, ...]:
    """Return what is worth adding to any reading; each is a phrase for the page."""
    notes = []
    if e.ratio.high < 1 and e.before.k >= 10:
        notes.append(f"improving since {e.recent.start}")
    ranked = e.people.most_common(2)
    if len(ranked) == 2 and e.recent.k >= 8:
        (_, first), (_, second) = ranked
        if first + second >= 0.8 * e.recent.k and second >= 0.25 * e.recent.k:
            notes.append("two people's path")
    if e.recent.k >= 8 and e.clusters and len(e.people) >= 3 and e.rate.middle < 0.05:
        largest = max(e.clusters, key=lambda c: (c.events, c.label))
        if largest.events >= 0.4 * e.recent.k and largest.weeks >= 4:
            notes.append(f"wrong for a small class of changes: {largest.label}")
    if e.top is not None and e.top.events >= 0.4 * e.recent.k and e.recent.k >= 8:
        theirs = [event for event in e.recent.events if event.person == e.top.person]
        if e.share_speaking("breakage", theirs) >= 0.4:
            notes.append("most by somebody who repairs breakages")
    return tuple(notes)
