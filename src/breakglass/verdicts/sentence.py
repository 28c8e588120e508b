"""The verdict in words: four points that a gate owner can argue with, number by number.

The same evidence gives the same words. People are counted, never named here.
"""

from __future__ import annotations

import math
from datetime import timedelta

from breakglass.verdicts.evidence import Evidence
from breakglass.verdicts.intervals import Interval
from breakglass.verdicts.people import FEWEST_PER_PERSON
from breakglass.verdicts.reasons import short
from breakglass.verdicts.verdict import LONGEST_WAIT, Reading, Verdict

DAY = timedelta(days=1)
FEWEST = 4  # bypasses; of fewer no spread is told

READS = {
    Reading.HEALTHY: "the gate is healthy",
    Reading.GATE_WRONG: "the gate is wrong",
    Reading.ROOT_CAUSE: "a recurring trouble behind the gate is the cause",
    Reading.BAD_MONTH: "it was a bad month, not the gate",
    Reading.ONE_PERSON: "one path needs other access",
    Reading.NOT_ENOUGH_DATA: "not enough data",
}
CLOSE = 0.85  # of the count that would be looked at: nearer than this is told as near


def sentence(verdict: Verdict) -> str:
    """Return the four points as one paragraph.

    >>> number(9800), percent(0.0042)
    ('9,800', '0.42%')
    """
    return " ".join(points(verdict))


def points(verdict: Verdict) -> tuple[str, ...]:
    """Return at most four points: the counts, the change, who and why, and the reading."""
    e = verdict.evidence
    who = [_spread(e), *_without(verdict), *_reasons(e)] if e.recent.k >= FEWEST else []
    found = (_counts(verdict.gate, e), _change(e), " ".join(who), _reading(verdict))
    return tuple(part for part in found if part)


def what_would_change(verdict: Verdict) -> tuple[str, ...]:
    """Return what would change the verdict, each as a sentence with its number."""
    e, b, t = verdict.evidence, verdict.evidence.burst, verdict.evidence.top
    if e.is_spoiled:
        return ("count the passages: without them nothing can be said of this gate",)
    lines = []
    if b is not None and e.has_past:
        which = f"the days from {b.start} to {b.end - DAY}"
        if b.family and b.family_share >= 0.3:
            which += f" and what else names '{b.family}'"
        lines.append(f"without {which}: {b.left} bypasses left, {times(b.ratio_without)}")
    if t is not None and t.events >= FEWEST_PER_PERSON and e.has_past:
        left = e.recent.k - t.events
        lines.append(f"without the top person: {left} bypasses left, {times(t.ratio_without)}")
    if verdict.weeks_needed is not None:
        lines.append(f"{_weeks_more(verdict.weeks_needed)} like these would decide it")
    if verdict.reading is Reading.HEALTHY and e.has_past:
        alarm = looked_at(e)
        if e.recent.k < CLOSE * alarm:
            lines.append(
                f"about {alarm} bypasses in a half-year of this traffic would be looked at"
            )
        else:
            lines.append("it is near to being looked at: a few bypasses more would do it")
    return tuple(lines)


def looked_at(e: Evidence) -> int:
    """Return about how many bypasses in as many passages would no longer be called healthy."""
    usual = e.k0 * e.recent.passages / e.before.passages
    # Twice and a bit the usual, or one time in twenty, whichever is reached first.
    return math.ceil(min(max(usual * 2.2, usual + 6), 0.06 * e.recent.passages + 12))


def _weeks_more(weeks: int) -> str:
    if weeks > LONGEST_WAIT:
        return "more than two years"
    return f"{weeks} more week{'s' if weeks != 1 else ''}"


def _counts(gate: str, e: Evidence) -> str:
    weeks = max(1, round(e.recent.days / 7))
    span = f"{weeks} week{'s' if weeks != 1 else ''}"
    bypassed = "not bypassed" if e.recent.k == 0 else f"bypassed {_often(e.recent.k)}"
    if e.is_spoiled:
        first = e.data_errors[0]
        return (
            f"{gate}: {bypassed} over {span}, and passages were not counted: in the week of "
            f"{first.week} {_often(first.bypasses)} against {number(first.passages)} passages "
            f"({len(e.data_errors)} such week{'s' if len(e.data_errors) != 1 else ''}). "
            "This is an error of the data; there is no rate."
        )
    if e.recent.passages < 1:
        return f"{gate}: nothing passed in the last {span}."
    return (
        f"{gate}: {bypassed} in {number(e.recent.passages)} passages over {span} "
        f"({percent(e.rate.middle)}, 95% {percent(e.rate.low)} to {percent(e.rate.high)})."
    )


def _change(e: Evidence) -> str:
    """Say what the time before was, what cut it, and what is not judged."""
    parts = []
    if e.is_spoiled or e.recent.passages < 1:
        pass
    elif not e.has_past:
        parts.append("There is no earlier time to compare with.")
    elif e.before.k == 0:
        again = "none as well" if e.recent.k == 0 else "none"
        parts.append(f"In the time before, {again} in {number(e.before.passages)} passages.")
    elif e.recent.k == 0:
        before = f"{number(e.before.k)} in {number(e.before.passages)} passages"
        parts.append(f"In the time before, {before}.")
    else:
        text = f"That is {times(e.ratio)}"
        stood_out = e.before.k - round(e.k0)
        if stood_out > 0:
            text += f"; {stood_out} of {number(e.before.k)} earlier ones in bursts are left out"
        parts.append(text + ".")
    if e.windows.cut:
        parts.append(f"The gate {e.windows.cut}.")
    apart = sum(e.set_apart.values())
    if apart:
        named = ", ".join(f"{n} {kind}" for kind, n in e.set_apart.items())
        parts.append(f"Excluded: {named}.")
    return " ".join(parts)


def _often(k: int) -> str:
    return {1: "once", 2: "twice"}.get(k, f"{number(k)} times")


def _spread(e: Evidence) -> str:
    crowd = f"{len(e.people)} " + ("person" if len(e.people) == 1 else "people")
    named = sum(e.families.values())
    if not named:
        return f"By {crowd}; no incident was named."
    incidents = len(e.families)
    several = len(e.short_incidents)
    text = f"By {crowd}, in {incidents} incident{'s' if incidents != 1 else ''}"
    if several:
        text += f", {several} of which needed it more than once"
    return text + "."


def _without(verdict: Verdict) -> list[str]:
    e, lines = verdict.evidence, list[str]()
    if e.is_spoiled or not e.has_past:
        return lines
    if e.top is not None and e.top.events >= FEWEST_PER_PERSON and e.top.events < e.recent.k:
        lines.append(f"Without the top person {times(e.top.ratio_without)}.")
    if e.burst is not None and len(e.burst.events) >= 5 and e.burst.left:
        b = e.burst
        if verdict.reading is Reading.BAD_MONTH or b.chance < 0.05:
            lines.append(
                f"{len(b.events)} fell between {b.start} and {b.end - DAY}; "
                f"without them {times(b.ratio_without)}."
            )
    return lines


def _reasons(e: Evidence) -> list[str]:
    if not e.clusters or e.clusters[0].events < 3:
        told = sum(1 for event in e.recent.events if event.reason.strip())
        return [] if told else ["No reason was written down."]
    top = e.clusters[0]
    weeks = f"{top.weeks} week{'s' if top.weeks != 1 else ''}"
    if not top.quotes:
        return [f"{top.events} in {weeks} are coded {top.label}."]
    quote = " ".join(top.quotes[0].split())
    return [f"{top.events} in {weeks} give such a reason: \u201c{short(quote)}\u201d."]


def _reading(verdict: Verdict) -> str:
    e = verdict.evidence
    text = f"Reading: {READS[verdict.reading]}"
    if verdict.weeks_needed is not None and verdict.reading is Reading.NOT_ENOUGH_DATA:
        text += f"; {_weeks_more(verdict.weeks_needed)} like these would decide it"
    if verdict.reading is Reading.ONE_PERSON and others_as_ever(e):
        text += "; it serves everybody else as before"
    b = e.burst
    if verdict.reading is Reading.BAD_MONTH and b is not None and not b.left_is_usual:
        text += ", though it stands above its earlier rate without it, too"
    text += "."
    if verdict.qualifiers:
        text += f" Also: {'; '.join(verdict.qualifiers)}."
    if verdict.reading is not Reading.HEALTHY and not e.is_spoiled and e.recent.passages >= 1:
        text += f" Runner-up: {READS[verdict.runner_up]}."
    return text


def others_as_ever(e: Evidence) -> bool:
    """Return whether the gate without its top person is where it was, so that one may say so."""
    t = e.top
    return t is not None and e.has_past and t.ratio_without.low < 1.1 < t.ratio_without.high


def times(ratio: Interval) -> str:
    """Return a ratio as words: ``3.9 times its earlier rate (2.1 to 7.6)``."""
    high = "no upper limit" if math.isinf(ratio.high) else f"{ratio.high:.1f}"
    if math.isinf(ratio.high) and ratio.low == 0:
        return "with no earlier rate to compare"
    return f"{ratio.middle:.1f} times its earlier rate ({ratio.low:.1f} to {high})"


def percent(share: float) -> str:
    """Return a share with two figures that mean something: ``0.42%``, ``12%``, ``0.0031%``."""
    value = share * 100
    if math.isnan(value):
        return "no rate"
    if value == 0:
        return "0%"
    if value >= 10:
        return f"{value:.0f}%"
    if value >= 1:
        return f"{value:.1f}%"
    digits = min(6, 1 - math.floor(math.log10(value)))
    return f"{value:.{digits}f}%"


def number(n: float) -> str:
    """Return a count with thousands apart."""
    return f"{n:,.0f}"
