"""The verdict in words: one paragraph that a gate owner can argue with, number by number.

The same evidence gives the same words. People are counted, never named here.
"""

from __future__ import annotations

import math

from breakglass.verdicts.evidence import Evidence
from breakglass.verdicts.intervals import Interval
from breakglass.verdicts.verdict import Reading, Verdict

READS = {
    Reading.HEALTHY: "the gate is healthy",
    Reading.GATE_WRONG: "the gate is wrong",
    Reading.ROOT_CAUSE: "a recurring trouble behind the gate is the cause",
    Reading.BAD_MONTH: "it was a bad month, not the gate",
    Reading.ONE_PERSON: "one path needs other access; the gate serves everybody else",
    Reading.NOT_ENOUGH_DATA: "not enough data",
}


def sentence(verdict: Verdict) -> str:
    """Return the paragraph: counts, rate, change, spread, what it is without the top, the reading.

    >>> number(9800), percent(0.0042)
    ('9,800', '0.42%')
    """
    e = verdict.evidence
    parts = [_counts(verdict.gate, e)]
    if e.recent.k >= 4:
        parts += [_spread(e), *_without(e), *_reasons(e)]
    apart = sum(e.set_apart.values())
    if apart:
        named = ", ".join(f"{n} {kind}" for kind, n in e.set_apart.items())
        parts.append(f"Excluded: {named}.")
    if e.windows.cut:
        parts.append(f"The gate {e.windows.cut}.")
    parts.append(_reading(verdict))
    return " ".join(parts)


def what_would_change(verdict: Verdict) -> tuple[str, ...]:
    """Return what would change the verdict, each as a sentence with its number."""
    e, b, t = verdict.evidence, verdict.evidence.burst, verdict.evidence.top
    lines = []
    if b is not None:
        which = f"the three weeks from {b.start}"
        if b.family and b.family_share >= 0.3:
            which += f" and what else names '{b.family}'"
        lines.append(f"without {which}: {b.left} bypasses left, {times(b.ratio_without)}")
    if t is not None and t.events >= 5:
        left = e.recent.k - t.events
        lines.append(f"without the top person: {left} bypasses left, {times(t.ratio_without)}")
    if verdict.weeks_needed is not None:
        weeks = verdict.weeks_needed
        lines.append(f"{weeks} more week{'s' if weeks != 1 else ''} like these would decide it")
    if verdict.reading is Reading.HEALTHY and e.before.passages > 0:
        usual = e.k0 * e.recent.passages / e.before.passages
        # Twice and a bit the usual, or one time in twenty, whichever is reached first.
        alarm = math.ceil(min(max(usual * 2.2, usual + 6), 0.06 * e.recent.passages + 12))
        lines.append(f"about {alarm} bypasses in a half-year of this traffic would be looked at")
    return tuple(lines)


def _counts(gate: str, e: Evidence) -> str:
    weeks = max(1, round(e.recent.days / 7))
    bypassed = "not bypassed" if e.recent.k == 0 else f"bypassed {_often(e.recent.k)}"
    text = (
        f"{gate}: {bypassed} in {number(e.recent.passages)} passages over {weeks} "
        f"week{'s' if weeks != 1 else ''} ({percent(e.rate.middle)}, 95% {percent(e.rate.low)} to "
        f"{percent(e.rate.high)})"
    )
    if e.recent.passages < 1:
        return f"{gate}: nothing passed in the last {weeks} week{'s' if weeks != 1 else ''}."
    if e.before.passages <= 0:
        return text + ", with no earlier time to compare."
    if e.recent.k == 0 and e.before.k:
        return text + f", after {number(e.before.k)} in {number(e.before.passages)} before."
    if e.recent.k + e.before.k == 0:
        return text + ", and never in the time before."
    if e.before.k == 0:
        return text + f", after none in {number(e.before.passages)} passages before."
    stood_out = e.before.k - round(e.k0)
    if stood_out > 0:
        text += f" ({number(e.before.k)} before, {stood_out} of them in bursts that are left out)"
    return text + f", {times(e.ratio)}."


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


def _without(e: Evidence) -> list[str]:
    lines = []
    if e.top is not None and e.top.events >= 5:
        lines.append(f"Without the top person {times(e.top.ratio_without)}.")
    if e.burst is not None and len(e.burst.events) >= 5 and e.burst.chance < 0.05:
        b = e.burst
        lines.append(
            f"{len(b.events)} fell between {b.start} and {b.end}; "
            f"without them {times(b.ratio_without)}."
        )
    return lines


def _reasons(e: Evidence) -> list[str]:
    if not e.clusters or e.clusters[0].events < 3:
        told = sum(1 for event in e.recent.events if event.reason.strip())
        return [] if told else ["No reason was written down."]
    top = e.clusters[0]
    return [
        f"{top.events} reasons in {top.weeks} week{'s' if top.weeks != 1 else ''} say: {top.label}."
    ]


def _reading(verdict: Verdict) -> str:
    text = f"Reading: {READS[verdict.reading]}"
    if verdict.weeks_needed is not None and verdict.reading is Reading.NOT_ENOUGH_DATA:
        weeks = verdict.weeks_needed
        text += f"; {weeks} more week{'s' if weeks != 1 else ''} like these would decide it"
    if verdict.qualifiers:
        text += f" ({'; '.join(verdict.qualifiers)})"
    if verdict.reading is not Reading.HEALTHY:
        text += f". Runner-up: {READS[verdict.runner_up]}"
    return text + "."


def times(ratio: Interval) -> str:
    """Return a ratio as words: ``3.9 times its earlier rate (2.1 to 7.6)``."""
    high = "no upper limit" if math.isinf(ratio.high) else f"{ratio.high:.1f}"
    if math.isinf(ratio.high) and ratio.low == 0:
        return "with no earlier rate to compare"
    return f"{ratio.middle:.1f} times its earlier rate ({ratio.low:.1f} to {high})"


def percent(share: float) -> str:
    """Return a share with two figures that mean something: ``0.42%``, ``12%``, ``0.0031%``."""
    value = share * 100
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
