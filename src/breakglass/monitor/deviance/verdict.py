"""The reading of one gate: six possible verdicts, the runner-up, and what would change it.

Rules in the order that a gate review asks them: is the rate up or chronic at all; is that one burst;
one person; a recurring trouble behind the gate; else the gate itself. Every threshold stands in
``Thresholds``; they were tuned on half of our simulations and on the public histories in
``data/bypass`` (docs/explanation/verdicts.md has the figures on the other half).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from breakglass.monitor.deviance.evidence import Evidence, gather
from breakglass.monitor.deviance.history import Gate
from breakglass.monitor.deviance.intervals import ratio_exact, share_read
from breakglass.monitor.deviance.wording import speaks


class Reading(StrEnum):
    """What the numbers say of a gate."""

    HEALTHY = "healthy"
    GATE_WRONG = "gate_wrong"
    ROOT_CAUSE = "root_cause"
    BAD_MONTH = "bad_month"
    ONE_PERSON = "one_person"
    NOT_ENOUGH_DATA = "not_enough_data"


@dataclass(frozen=True)
class Thresholds:
    """Where one reading ends and the next begins; counts are bypasses in the recent window."""

    raised_low: float = 1.25  # lower limit of the careful ratio: above its own past beyond doubt
    raised_ratio: float = 1.8
    backed_low: float = 0.95  # less will do where reasons or incidents tell the same story
    backed_ratio: float = 1.4
    troubled_low: float = 0.85
    troubled_ratio: float = 1.3
    theme_low: float = 1.5
    theme_events: int = 6
    theme_weeks: int = 4
    theme_people: int = 4
    raised_excess: float = 6.0  # fewer extra bypasses are not worth a gate owner's time
    chronic_low: float = 0.05  # a gate gone round one time in twenty (DEVIANCE.md 3.7)
    chronic_events: int = 12
    chronic_people: int = 3
    burst_chance: float = 0.005
    burst_chance_alone: float = 1e-4  # where the whole window does not stand out
    burst_ratio_left: float = 1.5
    burst_explains: float = 0.65
    burst_cause: float = 0.30
    burst_events: int = 6
    burst_one_person: float = 0.85  # beyond this it is one person's fortnight
    burst_family: int = 6  # one incident that needs a gate opened so often is no ordinary one
    burst_excess: float = 7.0
    person_chance: float = 1e-3
    person_excess: float = 8.0
    person_explains: float = 0.5
    person_own_low: float = 1.5
    trouble_incidents: int = 3
    trouble_points: float = 2.3
    trouble_share: float = 0.4
    production_share: float = 0.20
    breakage_share: float = 0.33
    breakage_weeks: int = 5
    usual_known: int = 8
    open_low: float = 1.0  # from here to "raised", more weeks are asked for instead of an answer
    open_ratio: float = 1.6
    sure_few: int = 4
    sure_ratio: float = 8.0
    sure_rate: float = 0.02


THRESHOLDS = Thresholds()


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
    if e.recent.passages <= 0:
        return Verdict(name, Reading.NOT_ENOUGH_DATA, Reading.HEALTHY, e, notes, 26)
    raised, chronic = is_raised(e, limits), is_chronic(e, limits)
    order: list[Reading] = []
    if is_burst(e, limits, raised=raised) and not (chronic and is_chronic_without_burst(e, limits)):
        order.append(Reading.BAD_MONTH)
    if is_person(e, limits) and not (chronic and is_breakage(e, limits)):
        # Somebody whose work is to repair breakages dominates without being the cause.
        order.append(Reading.ONE_PERSON)
    if not order and not raised and not chronic:
        return _quiet(e, limits)
    if has_root_cause(e, limits, raised=raised):
        order += [Reading.ROOT_CAUSE, Reading.GATE_WRONG]
    else:
        order += [Reading.GATE_WRONG, Reading.ROOT_CAUSE]
    return Verdict(name, order[0], order[1], e, notes)


def is_raised(e: Evidence, limits: Thresholds) -> bool:
    """Return whether the rate is above its own past, beyond noise and worth a look.

    A rise that the ratio leaves in doubt is still taken where many people newly give one reason in
    many weeks, or where short incidents now fill the window: two weak signs that agree.
    """
    enough = e.excess >= limits.raised_excess
    if enough and e.careful.low >= limits.raised_low and e.ratio.middle >= limits.raised_ratio:
        return True
    late = e.late.low >= limits.raised_low and e.late.middle >= limits.raised_ratio
    if late and e.late_excess >= limits.raised_excess:
        return True
    if enough and is_troubled(e, limits) and len(e.short_incidents) > limits.trouble_incidents:
        return e.careful.low >= limits.troubled_low and e.ratio.middle >= limits.troubled_ratio
    doubtful = e.careful.low >= limits.backed_low and e.ratio.middle >= limits.backed_ratio
    return enough and doubtful and (has_new_theme(e, limits) or is_troubled(e, limits))


def has_new_theme(e: Evidence, limits: Thresholds) -> bool:
    """Return whether one reason is given newly, by many, in many weeks."""
    return any(
        theme.ratio.low >= limits.theme_low
        and theme.cluster.events >= limits.theme_events
        and theme.cluster.weeks >= limits.theme_weeks
        and theme.cluster.people >= limits.theme_people
        for theme in e.themes
    )


def is_troubled(e: Evidence, limits: Thresholds) -> bool:
    """Return whether several short incidents each needed the gate opened more than once."""
    return (
        len(e.short_incidents) >= limits.trouble_incidents
        and e.in_short_incidents >= limits.trouble_share
        and e.in_short_incidents >= 2 * e.in_short_incidents_before
    )


def is_chronic(e: Evidence, limits: Thresholds) -> bool:
    """Return whether the gate is gone round so often, by several, that no trend is needed."""
    return (
        e.low_rate >= limits.chronic_low
        and e.recent.k >= limits.chronic_events
        and len(e.people) >= limits.chronic_people
    )


def is_chronic_without_burst(e: Evidence, limits: Thresholds) -> bool:
    """Return whether the gate is gone round as often in the weeks outside the burst."""
    b = e.burst
    if b is None:
        return True
    left = share_read(b.left, b.passages_left, 0.90)
    return b.left >= limits.chronic_events and left.low >= limits.chronic_low


def is_burst(e: Evidence, limits: Thresholds, *, raised: bool) -> bool:
    """Return whether one burst with one cause accounts for what stands out."""
    b = e.burst
    if b is None or len(b.events) < limits.burst_events or b.excess < limits.burst_excess:
        return False
    if max(b.family_share, b.cluster_share) < limits.burst_cause:
        return False
    if b.top_person_share >= limits.burst_one_person:
        return False
    named = b.family_share >= limits.burst_cause
    sure = named and (raised or b.family_events >= limits.burst_family)
    chance = limits.burst_chance if sure else limits.burst_chance_alone
    without = b.ratio_without
    usual = e.k0 * e.recent.passages / e.before.passages if e.before.passages else 0.0
    explains = 1 - max(0.0, b.left - usual) / e.excess if e.excess > 0 else 1.0
    explained = explains >= limits.burst_explains or (
        without.middle < limits.burst_ratio_left and without.low < 1.1
    )
    inside = {event.incident for event in b.events}
    elsewhere = sum(n for incident, n in e.short_incidents.items() if incident not in inside)
    return b.chance < chance and explained and elsewhere < 0.3 * len(b.events)


def is_person(e: Evidence, limits: Thresholds) -> bool:
    """Return whether one person's bypasses make up the excess, beyond their share of the work."""
    t = e.top
    return (
        t is not None
        and t.chance < limits.person_chance
        and e.excess >= limits.person_excess
        and t.explains >= limits.person_explains
        and t.own_ratio.low >= limits.person_own_low
    )


def has_root_cause(e: Evidence, limits: Thresholds, *, raised: bool) -> bool:
    """Return whether there is positive evidence of a recurring trouble behind the gate.

    Never from silent text (DEVIANCE.md 3.8): several short incidents that each need the gate
    opened more than once, or reasons that speak of production or of a breakage, week after week.
    """
    production = e.share_speaking("production")
    # Changes of one bug often land together: what was so before says nothing of a trouble now.
    usual = e.in_short_incidents_before if e.before.k >= limits.usual_known else 0.15
    points = (
        10 * (min(0.8, e.in_short_incidents) - usual * 0.8)
        + 5 * (production - e.share_speaking("production", e.before.events))
        - 5 * (e.share_speaking("gate") - e.share_speaking("gate", e.before.events))
    )
    several = len(e.short_incidents) >= limits.trouble_incidents
    told = production >= limits.production_share and len(e.short_incidents) >= 2
    # A plateau of years proves no trouble by its incidents alone; its reasons must speak of one.
    if ((several and raised) or told) and points >= limits.trouble_points:
        return True
    return is_breakage(e, limits)


def is_breakage(e: Evidence, limits: Thresholds) -> bool:
    """Return whether reasons speak of a breakage upstream, by several people, week after week."""
    broken = [event for event in e.recent.events if speaks(event.reason).breakage]
    return (
        e.share_speaking("breakage") >= limits.breakage_share
        and len({event.time.isocalendar()[:2] for event in broken}) >= limits.breakage_weeks
        and len({event.person for event in broken}) >= limits.chronic_people
    )


def _quiet(e: Evidence, limits: Thresholds) -> Verdict:
    """Tell a healthy gate from one of which too little is known, and say how much is missing."""
    few = e.recent.k < limits.sure_few
    if few and e.ratio.high >= limits.sure_ratio and e.rate.high >= limits.sure_rate:
        weeks = _weeks_to_know(e, limits)
        return Verdict(
            e.gate.name, Reading.NOT_ENOUGH_DATA, Reading.HEALTHY, e, qualifiers(e), weeks
        )
    open_rise = (
        e.careful.low >= limits.open_low
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
