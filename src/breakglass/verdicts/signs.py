"""The signs that a reading rests on, each a yes or no with its threshold and its reason.

Starting values are those of DEVIANCE.md 3; they were tuned on half of our simulations and on the
public histories in ``data/bypass``. docs/explanation/verdicts.md has the figures on the other half.
"""

from __future__ import annotations

from dataclasses import dataclass

from breakglass.verdicts.bursts import WIDTH
from breakglass.verdicts.evidence import (
    CHRONIC_EVENTS,
    CHRONIC_RATE,
    Evidence,
    short_incidents,
    spoken,
)
from breakglass.verdicts.intervals import share_read


@dataclass(frozen=True)
class Thresholds:
    """Where one reading ends and the next begins; counts are bypasses in the recent window."""

    raised_low: float = 1.25  # lower limit of the careful ratio: above its own past beyond doubt
    raised_ratio: float = 1.8
    backed_low: float = 0.85  # less will do where reasons or incidents tell the same story
    backed_ratio: float = 1.3
    troubled_low: float = 0.7
    troubled_ratio: float = 1.15
    theme_low: float = 2.0  # twenty reasons are looked at: by chance one of them is at 1.5
    theme_events: int = 6
    theme_weeks: int = 4
    theme_people: int = 4
    raised_excess: float = 6.0  # fewer extra bypasses are not worth a gate owner's time
    chronic_low: float = CHRONIC_RATE
    chronic_stays: float = 0.04  # a gate that was over the line is under it only from here
    chronic_events: int = CHRONIC_EVENTS
    chronic_people: int = 3
    shared_events: int = 9
    shared_left: int = 5
    shared_ratio: float = 1.3
    burst_chance: float = 0.005
    burst_chance_alone: float = 1e-4  # where the whole window does not stand out
    burst_ratio_left: float = 1.5
    burst_explains: float = 0.65
    burst_cause: float = 0.35
    burst_elsewhere: float = 0.3  # of other short incidents, beside the burst
    burst_again: int = 3  # bypasses of one incident beside the burst; two are an ordinary one's
    burst_events: int = 6
    burst_one_person: float = 0.85  # beyond this it is one person's fortnight
    burst_family: int = 6  # one incident that needs a gate opened so often is no ordinary one
    burst_excess: float = 7.0
    person_chance: float = 1e-3
    person_chance_alone: float = 0.1
    person_share_alone: float = 0.2
    person_own_alone: float = 1.5
    person_others_alone: float = 1.0
    person_explains: float = 0.7
    person_trace: float = 0.33  # others' excess over the person's: a third is the gate's own rise
    person_excess: float = 6.0
    person_part: float = 0.25
    person_weeks: int = 4
    person_own_low: float = 1.15
    person_most: float = 0.5  # of the bypasses, where their path is as old as the gate
    plateau_above: float = 2.0  # times the organisation's median gate, at the lower limit
    plateau_rate: float = 0.002
    plateau_events: int = 8
    plateau_before: int = 20
    plateau_told: float = 0.25  # of the reasons that speak, in both windows
    plateau_weeks: int = 6
    trouble_incidents: int = 3
    trouble_points: float = 2.3
    trouble_covers: float = 0.3  # of all events, unnamed ones too
    trouble_share: float = 0.4
    large: int = 4  # bypasses of one incident; ordinary ones need two at the most
    repeats: int = 2  # short incidents that make a root cause where few are named
    repeats_share: float = 0.3
    repeats_gate: float = 0.3  # more complaints about the gate than this, and it is the gate
    never_repeats: int = 8  # so many named incidents of which hardly one came back
    carried_more: float = 0.25
    duty: float = 0.4  # of the person's bypasses, in incidents that others worked on, too
    carried: float = 0.5  # short incidents hold so much of the named: whoever is on call has them
    production_share: float = 0.20
    production_sure: float = 0.50
    recurring_share: float = 0.30
    breakage_share: float = 0.5  # a majority
    breakage_weeks: int = 5
    usual_known: int = 8
    open_low: float = 0.9  # from here to "raised", more weeks are asked for instead of an answer
    open_ratio: float = 1.6
    open_late: float = 1.3  # a rise that is over in the last quarter is not open
    sure_few: int = 4
    sure_ratio: float = 8.0
    sure_rate: float = CHRONIC_RATE  # under four in so many cannot hide a chronic gate


THRESHOLDS = Thresholds()


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
    """Return whether the gate is bypassed so often, by several, that no trend is needed.

    A gate that was over the line stays so until it is clearly under it: between 4.9 and 5.1 % lies
    a threshold and no change of the world.
    """
    if e.recent.k < limits.chronic_events or len(e.people) < limits.chronic_people:
        return False
    if e.low_rate >= limits.chronic_low:
        return True
    return e.low_rate >= limits.chronic_stays and e.was_chronic


def is_plateau(e: Evidence, limits: Thresholds) -> bool:
    """Return whether a flat rate stands above the other gates' and carries one complaint.

    A gate wrong from its first day shows no rise: only its siblings say what is usual, and only
    its reasons that the gate is meant. All three legs are needed; two alone blame busy gates.
    """
    return stands_above(e, limits) and (is_complained_of(e, limits) or is_own_complaint(e, limits))


def stands_above(e: Evidence, limits: Thresholds) -> bool:
    """Return whether several people bypass the gate far above the median gate's rate."""
    if e.usual.rate is None or len(e.people) < limits.chronic_people:
        return False
    if e.recent.k < limits.plateau_events or e.before.k < limits.plateau_before:
        return False
    return e.low_rate >= max(limits.plateau_above * e.usual.rate, limits.plateau_rate)


def is_complained_of(e: Evidence, limits: Thresholds) -> bool:
    """Return whether reasons speak of the gate in both windows, week after week, in known words."""
    if min(e.share_speaking("gate"), e.share_speaking("gate", e.before.events)) < (
        limits.plateau_told
    ):
        return False
    meant = [event for event in e.recent.events if spoken(event).gate]
    return len({event.time.isocalendar()[:2] for event in meant}) >= limits.plateau_weeks


def is_own_complaint(e: Evidence, limits: Thresholds) -> bool:
    """Return whether one reason repeats in both windows that the other gates hardly give.

    Everyday reasons are everyday at the siblings, too; what only one gate's bypasses say, by
    several people and month after month, is about that gate whatever words it uses.
    """
    c = e.complaint
    return (
        c is not None
        and min(c.now, c.before) >= limits.plateau_told
        and c.weeks >= limits.plateau_weeks
        and c.people >= limits.theme_people
    )


def is_chronic_without_burst(e: Evidence, limits: Thresholds) -> bool:
    """Return whether the gate is bypassed as often in the weeks outside the burst."""
    b = e.burst
    if b is None:
        return True
    left = share_read(b.left, b.passages_left, 0.90)
    return b.left >= limits.chronic_events and left.low >= limits.chronic_low


def is_shared(e: Evidence, limits: Thresholds) -> bool:
    """Return whether enough bypasses by enough people remain to say something of the gate itself.

    A low rate of which one person has most means nothing (DEVIANCE.md 7).
    """
    if e.recent.k < limits.shared_events or len(e.people) < limits.chronic_people:
        return False
    t = e.top
    if t is None or t.chance >= limits.person_chance or is_carried(e, limits):
        return True
    left = e.recent.k - t.events
    return left >= limits.shared_left and t.ratio_without.middle >= limits.shared_ratio


def is_burst(e: Evidence, limits: Thresholds, *, raised: bool) -> bool:
    """Return whether one burst with one cause accounts for what stands out."""
    b = e.burst
    if b is None:
        return False
    others = max((n for i, n in e.short_incidents.items() if i != b.family), default=0)
    left = b.ratio_without.low < limits.raised_low
    if b.named and left and 2 * others <= b.family_events:
        # One incident twice as large as any before it is a burst, where nothing is raised without.
        return True
    if not _accounts(e, limits):
        return False
    if len(b.events) < limits.burst_events or b.excess < limits.burst_excess:
        return False
    if max(b.family_share, b.cluster_share) < limits.burst_cause:
        return False
    # Whoever is on call has most of a bad month; one person's own series names no incident.
    alone = b.top_person_share >= limits.burst_one_person
    if alone and b.family_share < limits.burst_cause:
        return False
    named = b.family_share >= limits.burst_cause
    sure = named and (raised or b.family_events >= limits.burst_family)
    return b.chance < (limits.burst_chance if sure else limits.burst_chance_alone)


def _accounts(e: Evidence, limits: Thresholds) -> bool:
    """Return whether the window is usual without the burst, and no other incident fills it."""
    b = e.burst
    if b is None:
        return False
    usual = e.k0 * e.recent.passages / e.before.passages if e.before.passages else 0.0
    explains = 1 - max(0.0, b.left - usual) / e.excess if e.excess > 0 else 1.0
    inside = {event.incident for event in b.events}
    others = [n for incident, n in e.short_incidents.items() if incident not in inside]
    if max(others, default=0) >= max(limits.burst_again, b.family_events / 2):
        # A second incident of nearly the same size on other days is the trouble come back.
        return False
    elsewhere = sum(others)
    return elsewhere < limits.burst_elsewhere * len(b.events) and (
        explains >= limits.burst_explains
        or (b.ratio_without.middle < limits.burst_ratio_left and b.left_is_usual)
    )


def is_person(e: Evidence, limits: Thresholds) -> bool:
    """Return whether one person's path is their own: asked of the person, not of the gate.

    Their excess over their share, their rise over their own past, and the others as ever. Nobody
    is blamed while the rest is raised, or while short incidents fill the window: that is duty.
    """
    t = e.top
    if t is None or not (t.chance < limits.person_chance or _alone_has_risen(e, limits)):
        return False
    if t.own_excess < limits.person_excess or t.weeks < limits.person_weeks:
        return False
    if t.events < limits.person_part * e.recent.k or is_carried(e, limits):
        return False
    left = e.recent.k - t.events
    line = limits.chronic_stays if e.was_chronic else limits.chronic_low
    if left >= limits.chronic_events and t.rate_without.low >= line:
        return False
    if _rest_has_risen(e, limits):
        return False
    if e.has_past and t.own_ratio.low >= limits.person_own_low:
        return True
    # As old as the gate: chronic for them, for nobody else.
    return (
        t.events >= max(limits.chronic_events, limits.person_most * e.recent.k)
        and t.own_rate.low >= limits.chronic_low
        and t.rate_without.high < limits.chronic_low
    )


def _rest_has_risen(e: Evidence, limits: Thresholds) -> bool:
    """Return whether the gate is raised without its top person, by more than a trace of theirs."""
    t = e.top
    return (
        t is not None
        and t.ratio_without.low >= limits.raised_low
        and t.rest_excess >= max(limits.raised_excess, limits.person_trace * t.own_excess)
    )


def _alone_has_risen(e: Evidence, limits: Thresholds) -> bool:
    """Return whether one of a small team has risen alone.

    Who passes a third of the traffic cannot stand out by a share: what they did before and what
    the others do now are the comparison.
    """
    t = e.top
    return (
        t is not None
        and t.chance < limits.person_chance_alone
        and t.share_of_passages >= limits.person_share_alone
        and t.own_ratio.low >= limits.person_own_alone
        and t.explains >= limits.person_explains
        and t.ratio_without.low < limits.person_others_alone
    )


def is_carried(e: Evidence, limits: Thresholds) -> bool:
    """Return whether several short incidents hold most of what is named, more than before.

    Or most of what the top person did: who repairs with others what broke is on duty.
    """
    if e.top_on_duty >= limits.duty and len(e.short_incidents) >= limits.repeats:
        return True
    return (
        len(e.short_incidents) >= limits.trouble_incidents
        and e.in_short_incidents >= limits.carried
        and e.in_short_incidents >= e.in_short_incidents_before + limits.carried_more
        and sum(e.short_incidents.values()) >= limits.trouble_covers * e.recent.k
    )


def has_root_cause(e: Evidence, limits: Thresholds, *, raised: bool) -> bool:
    """Return whether there is positive evidence of a recurring trouble behind the gate.

    Never from silent text (DEVIANCE.md 3.8): several short incidents that each need the gate
    opened more than once, or reasons that speak of production or of a breakage, week after week.
    """
    production, gate = e.share_speaking("production"), e.share_speaking("gate")
    # Changes of one bug often land together: what was so before says nothing of a trouble now.
    usual = e.in_short_incidents_before if e.before.k >= limits.usual_known else 0.15
    points = (
        10 * (min(0.8, e.in_short_incidents) - usual * 0.8)
        + 5 * (production - e.share_speaking("production", e.before.events))
        - 5 * (gate - e.share_speaking("gate", e.before.events))
    )
    covered = sum(e.short_incidents.values()) >= limits.trouble_covers * e.recent.k
    several = len(e.short_incidents) >= limits.trouble_incidents and covered
    if raised and sum(e.recurring_families.values()) >= limits.recurring_share * e.recent.k:
        return True
    again = (raised and is_repeating(e, limits)) or is_come_back(e, limits)
    if again and gate <= limits.repeats_gate:
        return True
    if never_repeats(e, limits):
        return is_breakage(e, limits) and gate <= 0.5 * limits.repeats_gate
    weeks = len({event.time.isocalendar()[:2] for event in e.recent.events})
    if raised and production >= limits.production_sure and weeks >= limits.breakage_weeks:
        # Many reasons, many weeks, all of production and hardly one of the gate.
        named = sum(spoken(event).production for event in e.recent.events)
        complaints = sum(spoken(event).gate for event in e.recent.events)
        if named >= limits.production_sure * e.recent.k and complaints <= 0.5 * named:
            return True
    told = production >= limits.production_share and len(e.short_incidents) >= limits.repeats
    # A plateau of years proves no trouble by its incidents alone; its reasons must speak of one.
    if ((several and raised) or told) and points >= limits.trouble_points:
        return True
    return is_breakage(e, limits)


def is_come_back(e: Evidence, limits: Thresholds) -> bool:
    """Return whether two incidents, weeks apart, are each twice as large as any before.

    One such incident is a burst; two are one trouble that came back, however busy the gate.
    """
    largest = max(short_incidents(e.before.events).values(), default=0)
    large = [i for i, n in e.short_incidents.items() if n >= max(limits.large, 2 * largest)]
    days = sorted(
        min(event.time for event in e.recent.events if event.incident == incident)
        for incident in large
    )
    return len(days) >= limits.repeats and days[-1] - days[0] > WIDTH


def is_repeating(e: Evidence, limits: Thresholds) -> bool:
    """Return whether two short incidents hold more of the named bypasses than ever before."""
    return (
        len(e.short_incidents) >= limits.repeats
        and e.in_short_incidents >= limits.repeats_share
        and e.in_short_incidents >= 2 * max(e.in_short_incidents_before, 0.05)
    )


def never_repeats(e: Evidence, limits: Thresholds) -> bool:
    """Return whether incidents are named and none comes back: a trouble behind them would."""
    named = sum(1 for event in e.recent.events if event.incident)
    return named >= limits.never_repeats and len(e.short_incidents) < limits.repeats


def is_breakage(e: Evidence, limits: Thresholds) -> bool:
    """Return whether reasons speak of a breakage upstream, by several people, week after week."""
    broken = [event for event in e.recent.events if spoken(event).breakage]
    return (
        e.share_speaking("breakage") >= limits.breakage_share
        and len({event.time.isocalendar()[:2] for event in broken}) >= limits.breakage_weeks
        and len({event.person for event in broken}) >= limits.chronic_people
    )
