"""The reading of one gate: six possible verdicts, the runner-up, and what would change it.

Rules in the order that a gate review asks them: is the rate up or chronic at all; is that one
burst; one person; a recurring trouble behind the gate; else the gate itself. The signs and their
thresholds stand in ``signs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from breakglass.verdicts.complaints import Usual
from breakglass.verdicts.evidence import Evidence, gather, look_around
from breakglass.verdicts.history import Gate, History
from breakglass.verdicts.intervals import ratio_exact, share_read
from breakglass.verdicts.onset import began
from breakglass.verdicts.people import shares
from breakglass.verdicts.reasons import Cluster
from breakglass.verdicts.signs import (
    THRESHOLDS,
    Thresholds,
    has_root_cause,
    is_breakage,
    is_burst,
    is_chronic,
    is_chronic_without_burst,
    is_come_back,
    is_person,
    is_plateau,
    is_raised,
    is_shared,
)

FEWEST_IN_CLASS = 8  # bypasses, before a class or a path is spoken of
LONGEST_WAIT = 104  # weeks; what takes longer is not worth counting


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


def judge(
    gate: Gate,
    as_of: datetime,
    usual: Usual | None = None,
    limits: Thresholds = THRESHOLDS,
) -> Verdict:
    """Return the verdict on ``gate`` as its history stood at ``as_of``; same data, same verdict.

    ``usual`` is what is usual at the organisation's gates; ``judge_all`` knows it.
    """
    return weigh(gather(gate, as_of, usual), limits)


def judge_one(history: History, gate: Gate) -> Verdict:
    """Return the verdict on ``gate``, one of ``history``'s, beside the others."""
    return judge(gate, history.as_of, look_around(history.gates, history.as_of))


def judge_all(history: History) -> list[Verdict]:
    """Return the verdict on every gate, each beside the others."""
    usual = look_around(history.gates, history.as_of)
    return [judge(gate, history.as_of, usual) for gate in history.gates]


def weigh(e: Evidence, limits: Thresholds = THRESHOLDS) -> Verdict:
    """Return the verdict that the evidence carries."""
    name, notes = e.gate.name, qualifiers(e)
    if e.recent.passages < 1 or e.is_spoiled:
        return Verdict(name, Reading.NOT_ENOUGH_DATA, Reading.HEALTHY, e, notes)
    raised, chronic = is_raised(e, limits), is_chronic(e, limits) or is_plateau(e, limits)
    order: list[Reading] = []
    if is_burst(e, limits, raised=raised) and not (chronic and is_chronic_without_burst(e, limits)):
        order.append(Reading.BAD_MONTH)
    if is_person(e, limits) and not (chronic and is_breakage(e, limits)):
        # Somebody whose work is to repair breakages dominates without being the cause.
        order.append(Reading.ONE_PERSON)
    again = is_come_back(e, limits) and has_root_cause(e, limits, raised=raised)
    if not order and not chronic and not again and not (raised and is_shared(e, limits)):
        return _quiet(e, limits)
    if has_root_cause(e, limits, raised=raised):
        order += [Reading.ROOT_CAUSE, Reading.GATE_WRONG]
    else:
        order += [Reading.GATE_WRONG, Reading.ROOT_CAUSE]
    b = e.burst
    if order[0] is Reading.BAD_MONTH and b and b.top_person_share >= limits.person_most:
        order[1] = Reading.ONE_PERSON
    return Verdict(name, order[0], order[1], e, notes)


def _quiet(e: Evidence, limits: Thresholds) -> Verdict:
    """Tell a healthy gate from one of which too little is known, and say how much is missing."""
    few = e.recent.k < limits.sure_few
    if few and e.ratio.high >= limits.sure_ratio and e.rate.high >= limits.sure_rate:
        weeks = _weeks_to_know(e, limits)
        return Verdict(
            e.gate.name, Reading.NOT_ENOUGH_DATA, Reading.HEALTHY, e, qualifiers(e), weeks
        )
    if not e.has_past and e.recent.k >= limits.sure_few and e.rate.high >= limits.chronic_low:
        # Without an earlier time only the level can be judged, and it is in doubt.
        weeks = _weeks_to_know(e, limits)
        return Verdict(
            e.gate.name, Reading.NOT_ENOUGH_DATA, Reading.GATE_WRONG, e, qualifiers(e), weeks
        )
    open_rise = (
        is_shared(e, limits)
        and e.careful.low >= limits.open_low
        and e.ratio.middle >= limits.open_ratio
        and e.excess >= limits.raised_excess
        and e.late.middle >= limits.open_late
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
    for weeks in range(1, LONGEST_WAIT + 1):
        n = e.recent.passages + per_week * weeks
        if share_read(e.recent.k, n).high < limits.sure_rate:
            return weeks
    return LONGEST_WAIT + 1


def _weeks_to_settle(e: Evidence, limits: Thresholds) -> int:
    """Return how many more weeks at the present rates would put the rise beyond doubt."""
    span = max(e.recent.days / 7, 1)
    for weeks in range(1, LONGEST_WAIT + 1):
        more = 1 + weeks / span
        k, n = e.recent.k * more / e.noise, e.recent.passages * more
        if ratio_exact(k, n, e.k0 / e.noise, e.before.passages).low >= limits.raised_low:
            return weeks
    return LONGEST_WAIT + 1


def is_two_people(e: Evidence) -> bool:
    """Return whether two people, with little of the passages, make up most of the bypasses.

    A team of two or three is no path of two, nor are two who do most of the work.
    """
    ranked = e.people.most_common(2)
    if len(ranked) < 2 or e.recent.k < FEWEST_IN_CLASS:
        return False
    (one, first), (other, second) = ranked
    held = shares(e.gate, e.recent.start, e.recent.end)
    work = held.get(one, 0.0) + held.get(other, 0.0)
    together = first + second
    return together >= 0.7 * e.recent.k and second >= 0.2 * e.recent.k and work <= 0.5


def small_class(e: Evidence) -> Cluster | None:
    """Return the reason for which many go round the gate with one small class of changes.

    Small: under one passage in fifty, and not all that is said of the gate; else the whole gate is.
    """
    if e.recent.k < FEWEST_IN_CLASS or not e.clusters:
        return None
    largest = max(e.clusters, key=lambda c: (c.events, c.label))
    part = largest.events / e.recent.k
    is_many = largest.weeks >= 4 and largest.people >= 3
    is_small = largest.events <= 0.02 * e.recent.passages
    return largest if 0.4 <= part <= 0.9 and is_many and is_small else None


def qualifiers(e: Evidence) -> tuple[str, ...]:
    """Return what is worth adding to any reading; each is a phrase for the page."""
    if e.is_spoiled or e.recent.passages < 1:
        return ()
    notes = []
    if e.has_past and e.ratio.high < 1 and e.before.k >= 10:
        since = began(e.gate, e.whole, e.noise)
        notes.append(f"improving since about {since}" if since else "improving")
    if is_two_people(e):
        notes.append("two people's path")
    small = small_class(e)
    if small is not None:
        notes.append(f"wrong for a small class of changes: {small.label}")
    if e.top is not None and e.top.events >= 0.4 * e.recent.k and e.recent.k >= 8:
        theirs = [event for event in e.recent.events if event.person == e.top.person]
        if e.share_speaking("breakage", theirs) >= 0.4:
            notes.append("most by somebody who repairs breakages")
    return tuple(notes)
