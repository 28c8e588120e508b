"""What to do about a reading, drafted as Markdown: an issue against the gate, never against people.

Nothing is filed from here. The change that would have made the last bypasses unnecessary is drawn
from the reasons themselves: a faster check, a flaky test by its name, a relaxed threshold, a split
into a fast and a slow part, or a fast path.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from breakglass.verdicts.evidence import Evidence
from breakglass.verdicts.history import GateReview
from breakglass.verdicts.onset import began
from breakglass.verdicts.people import FEWEST_PER_PERSON
from breakglass.verdicts.reasons import Cluster
from breakglass.verdicts.sentence import number, percent, sentence, times, what_would_change
from breakglass.verdicts.siblings import Displacement
from breakglass.verdicts.verdict import Reading, Verdict
from breakglass.verdicts.windows import Span


@dataclass(frozen=True)
class Remedy:
    """A change of the gate, the reasons that ask for it, and how many of them."""

    change: str
    events: int


_TEST = re.compile(
    r"\b(?:[A-Z]\w*(?:Test|Tests|Spec|IT)(?:[.:#]\w+)?|test_\w+|\w+_(?:uni)?tests?)\b"
)
_REMEDIES = (
    (
        r"flak|intermittent|random|retry|rerun|re-run|unrelated",
        "mend or quarantine the flaky test{tests}, so that a red gate means something again",
    ),
    (
        r"slow|minutes|\bmin\b|hours?|queue|backlog|wait|time[ds]? ?out|pending",
        "make the check faster, or split it: a fast part that blocks, a slow part that follows",
    ),
    (
        r"false|wrong(?:ly)?|no reason|disputed|not reachable|threshold|rule",
        "relax the threshold or mend the rule that rejects good changes",
    ),
    (
        r"approver|sign-?off|reviewer|owner|asleep|nobody|second",
        "add a fast path: let the reviewed policy approve the case when nobody answers in time",
    ),
    (
        r"down|broken|unavailable|stale|outage|infra|bots?\b",
        "give the check a health signal, and let it stand aside, recorded, while it is broken",
    ),
)


def draft(
    verdict: Verdict, reviews: Sequence[GateReview] = (), moved: Sequence[Displacement] = ()
) -> str:
    """Return the Markdown from which a gate review of ``verdict`` starts; same data, same words."""
    body = {
        Reading.GATE_WRONG: _gate_wrong,
        Reading.ROOT_CAUSE: _root_cause,
        Reading.BAD_MONTH: _bad_month,
        Reading.ONE_PERSON: _one_person,
        Reading.NOT_ENOUGH_DATA: _not_enough,
        Reading.HEALTHY: _healthy,
    }[verdict.reading](verdict)
    fixed = _after_fix(verdict, reviews, moved)
    parts = [body, _evidence(verdict), *fixed, *_doors(verdict, moved)]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def remedies(e: Evidence) -> list[Remedy]:
    """Return the changes that the stated reasons ask for, the one that serves most first."""
    found: list[Remedy] = []
    left = list(e.recent.events)
    for pattern, change in _REMEDIES:
        served = [event for event in left if re.search(pattern, event.reason, re.IGNORECASE)]
        if len(served) >= 2:
            named = Counter(name for event in served for name in _TEST.findall(event.reason))
            tests = ", ".join(f"`{name}`" for name, _ in named.most_common(3))
            found.append(Remedy(change.format(tests=f" ({tests})" if tests else ""), len(served)))
            left = [event for event in left if event not in served]
    return sorted(found, key=lambda r: -r.events)


def _gate_wrong(v: Verdict) -> str:
    e = v.evidence
    found = remedies(e)
    top = e.clusters[0] if e.clusters else None
    cause = f": {top.label}" if top is not None and top.events >= 3 else ""
    served = sum(r.events for r in found)
    lines = [
        f"# Gate `{v.gate}` was bypassed {number(e.recent.k)} times in a half-year{cause}",
        "",
        _said(v),
        "",
        "## The change that would have made these bypasses unnecessary",
        "",
    ]
    if found:
        lines += [f"- {_upper(r.change)}: {r.events} of the last {e.recent.k}." for r in found]
        if served < e.recent.k:
            lines.append(
                f"- {e.recent.k - served} name no remedy in words we know; read the quotes."
            )
    else:
        lines.append(
            "The reasons say what was changed, not why the gate was bypassed. Ask for a coded "
            "reason at break time, and talk with those who pass the gate most."
        )
    return "\n".join(lines)


def _root_cause(v: Verdict) -> str:
    e = v.evidence
    names = sorted(e.short_incidents.items(), key=lambda item: (-item[1], item[0]))[:8]
    lines = [f"# A recurring trouble opens gate `{v.gate}`", "", _said(v), ""]
    lines += ["## The recurring incidents", ""]
    if names:
        lines += [f"- {name}: {n} bypasses" for name, n in names]
    elif e.families:
        lines.append(
            f"{len(e.families)} incidents were named and none of them twice within ten days; the "
            "reasons speak of the same trouble week after week."
        )
    else:
        lines.append(
            "No incident ids were named; the reasons speak of the same trouble week after week."
        )
    lines += ["", "Mend the trouble, not the gate: the gate was opened to repair something real."]
    return "\n".join(lines)


def _bad_month(v: Verdict) -> str:
    e = v.evidence
    again = look_again(v)
    burst = e.burst
    when = f" between {burst.start} and {burst.end}" if burst is not None else ""
    cause = f" for incident `{burst.family}`" if burst is not None and burst.family else ""
    return (
        f"# Note on gate `{v.gate}`: a bad month\n\n{_said(v)}\n\n"
        f"{len(burst.events) if burst else 0} bypasses{when}{cause}. No change to the gate. "
        f"Look again on {again}: if the rate has not fallen back, this note was wrong."
    )


def _one_person(v: Verdict) -> str:
    t = v.evidence.top
    if t is None or t.events < FEWEST_PER_PERSON:
        return _healthy(v)
    return (
        f"# Private note to the owner of `{v.gate}`: one path needs other access\n\n"
        f"{_said(v)}\n\n"
        f"One person's work goes round this gate {t.events} times in {t.weeks} weeks, with "
        f"{percent(t.share_of_passages)} of its passages; without them it stands at "
        f"{times(t.ratio_without)}. This is about access design: their work needs a supported way "
        f"through (a check that fits it, or a standing reviewed path). Talk with `{t.person}` "
        "about what the gate asks of that work. Do not pass this note on, and do not keep it."
    )


def _not_enough(v: Verdict) -> str:
    # How long it takes stands in the sentence; a broken count is not mended by waiting.
    again = "" if v.evidence.is_spoiled else f"\n\nLook again on {look_again(v)}."
    return f"# Gate `{v.gate}`: not enough data\n\n{_said(v)}{again}"


def _healthy(v: Verdict) -> str:
    return f"# Gate `{v.gate}` is healthy\n\n{_said(v)}\n\nNothing to do."


def look_again(v: Verdict) -> date:
    """Return the day on which the reading should be checked: weeks needed, else thirteen weeks."""
    weeks = v.weeks_needed if v.weeks_needed is not None else 13
    return v.evidence.as_of.date() + timedelta(weeks=min(weeks, 52))


def _evidence(v: Verdict) -> str:
    e = v.evidence
    lines = [
        "## Evidence",
        "",
        "| | bypasses | passages | rate | 95% |",
        "| --- | ---: | ---: | ---: | --- |",
        _row("recent", e.recent, e.rate.middle, f"{percent(e.rate.low)} to {percent(e.rate.high)}"),
    ]
    if e.before.passages > 0:
        lines.append(_row("before", e.before, e.before.k / e.before.passages, ""))
    start = began(e.gate, e.whole, e.noise)
    if start is not None and v.reading in (Reading.GATE_WRONG, Reading.ROOT_CAUSE):
        lines += ["", f"The present rate began about {start}."]
    changes = what_would_change(v)
    if changes:
        lines += ["", "What would change this reading:", "", *(f"- {line}" for line in changes)]
    quoted = [c for c in e.clusters if c.events >= 2][:3]
    if quoted:
        lines += ["", "## In their words", ""]
        for c in quoted:
            lines += _quoted(c)
    return "\n".join(lines)


def _row(name: str, span: Span, rate: float, limits: str) -> str:
    return (
        f"| {name}, {span.start} to {span.end} | {span.k} | {number(span.passages)} | "
        f"{percent(rate)} | {limits} |"
    )


def _quoted(c: Cluster) -> list[str]:
    people = "1 person" if c.people == 1 else f"{c.people} people"
    weeks = "1 week" if c.weeks == 1 else f"{c.weeks} weeks"
    lines = [f"**{c.label}** ({c.events} bypasses, {weeks}, {people})", ""]
    # A reason is somebody else's text: kept to one line, with signs of Markdown made harmless.
    lines += [f"> {_harmless(quote)}\n" for quote in c.quotes]
    return lines


def _said(v: Verdict) -> str:
    # It quotes a reason, which is somebody else's text.
    return _harmless(sentence(v))


def _harmless(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#|@])", r"\\\1", " ".join(text.split()))


def _after_fix(
    v: Verdict, reviews: Sequence[GateReview], moved: Sequence[Displacement]
) -> list[str]:
    """Say whether the rate fell after the last review, and whether a sibling took the traffic."""
    decided = [r for r in reviews if r.gate == v.gate]
    if not decided:
        return []
    last, e = decided[-1], v.evidence
    day = last.at.date()
    after = [event for event in e.recent.events if event.time.date() >= day]
    n = e.gate.passages_between(max(day, e.recent.start), e.recent.end)
    text = f"## Since the review of {day}\n\nDecided then: {last.decision} (by {last.by})."
    if n <= 0:
        return [text + " Nothing has passed since."]
    rate, before = len(after) / n, (e.before.k / e.before.passages if e.before.passages else 0.0)
    fell = "fell" if rate < before else "did not fall"
    return [
        f"{text} The rate {fell}: {len(after)} in {number(n)} passages since ({percent(rate)}), "
        f"{percent(before)} in the time before.{_taken_up(v, moved)}"
    ]


def _taken_up(v: Verdict, moved: Sequence[Displacement]) -> str:
    rose = [f"`{d.rose}`" for d in moved if d.fell == v.gate]
    if not rose:
        return " No sibling rose meanwhile." if v.evidence.gate.siblings else ""
    return f" But the traffic moved to {', '.join(rose)}: that is no fix; judge them together."


def _doors(v: Verdict, moved: Sequence[Displacement]) -> list[str]:
    told = [
        f"- `{d.fell}` lost about {d.gone:.0f} bypasses a half-year while `{d.rose}` gained about "
        f"{d.come:.0f}; both together: {times(d.together)}"
        for d in moved
        if v.gate in (d.fell, d.rose)
    ]
    return ["## Another door\n\n" + "\n".join(told)] if told else []


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
