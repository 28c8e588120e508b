"""One self-contained page for a whole history: no script, nothing fetched, nobody named."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from breakglass.clock import format_time
from breakglass.verdicts.charts.gate_chart import NARROW, WIDE, gate_chart
from breakglass.verdicts.charts.series import Shown, blocks, shown
from breakglass.verdicts.charts.siblings_chart import doors_chart
from breakglass.verdicts.charts.sparkline import sparkline
from breakglass.verdicts.charts.style import STYLE
from breakglass.verdicts.glasses import GlassRate, glass_rates, glass_sentence
from breakglass.verdicts.history import GateReview, History
from breakglass.verdicts.reasons import Cluster
from breakglass.verdicts.rising_gates import Rising, rising
from breakglass.verdicts.sentence import number, percent, points, what_would_change
from breakglass.verdicts.siblings import Displacement, displacements, groups
from breakglass.verdicts.verdict import Reading, Verdict
from breakglass.verdicts.windows import table

NAMES = {
    Reading.HEALTHY: "healthy",
    Reading.GATE_WRONG: "gate wrong",
    Reading.ROOT_CAUSE: "root cause is real",
    Reading.BAD_MONTH: "bad month",
    Reading.ONE_PERSON: "one path: access",
    Reading.NOT_ENOUGH_DATA: "not enough data",
}
MANY = 40  # gates; beyond, healthy ones are told and not drawn
_URGENT = [
    Reading.GATE_WRONG,
    Reading.ROOT_CAUSE,
    Reading.ONE_PERSON,
    Reading.BAD_MONTH,
    Reading.NOT_ENOUGH_DATA,
    Reading.HEALTHY,
]


def page(history: History, verdicts: Sequence[Verdict], title: str, *, whole: bool = False) -> str:
    """Return the report as HTML; the same history is the same page.

    Args:
        history: as read from its folder, with its reviews.
        verdicts: one per gate.
        title: what the organisation calls itself.
        whole: charts show all that is recorded instead of the judged two years.
    """
    ordered = sorted(
        verdicts, key=lambda v: (_URGENT.index(v.reading), -v.evidence.recent.k, v.gate)
    )
    drawn = [v for v in ordered if not _is_quiet(v)]
    many = len(drawn) > MANY
    side_by_side = {name for group in groups(history) for name in group}
    series = {
        v.gate: shown(
            v.evidence,
            history.reviews,
            whole=whole,
            burst_apart=v.reading is Reading.BAD_MONTH,
            rates=v.gate in side_by_side or not (many and v.reading is Reading.HEALTHY),
        )
        for v in ordered
    }
    moved = displacements(history)
    body = [
        f'<h1 id="top">{escape(title)}</h1>',
        f'<p class="soft">Bypasses per gate as of {escape(format_time(history.as_of)[:10])}. Every '
        "figure can be counted again from the history folder; people are not named.</p>",
        _overview(ordered, series),
        _rising(rising(list(verdicts))),
        *(
            _gate(v, series[v.gate], history.reviews, moved, i, many=many)
            for i, v in enumerate(drawn)
        ),
        _quiet([v for v in ordered if _is_quiet(v)]),
        _doors(history, series),
        _glasses(glass_rates(history)),
        _how(),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        + "".join(body)
        + "</main></body></html>\n"
    )


def _is_quiet(v: Verdict) -> bool:
    """Return whether a gate is healthy and nobody went round it in either window: one line will do.

    What was excluded, or reviewed, is still drawn.
    """
    e = v.evidence
    nothing = e.recent.k + e.before.k == 0 and not e.set_apart and not e.gate.changes
    return v.reading is Reading.HEALTHY and nothing


def _quiet(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    lines = "".join(
        f'<li id="{_anchor(v.gate)}">{escape(v.gate)}: none in '
        f"{number(v.evidence.recent.passages + v.evidence.before.passages)} passages of two years "
        f"(at most {percent(v.evidence.rate.high)} now)</li>"
        for v in verdicts
    )
    return f"<section><h2>Gates that nobody went round</h2><ul>{lines}</ul></section>"


def _overview(verdicts: Sequence[Verdict], series: dict[str, Shown]) -> str:
    rows = []
    for v in verdicts:
        e = v.evidence
        rows.append(
            f'<tr><td><a href="#{_anchor(v.gate)}">{escape(v.gate)}</a></td>'
            f'<td><span class="chip {v.reading.value}">{NAMES[v.reading]}</span></td>'
            f'<td class="n">{number(e.recent.k)}</td>'
            f'<td class="n hide">{number(e.recent.passages)}</td>'
            f'<td class="n">{percent(e.rate.middle)}</td>'
            f'<td class="hide"><span class="spark" aria-hidden="true">'
            f"{sparkline(series[v.gate].weeks)}</span></td></tr>"
        )
    return (
        '<table><thead><tr><th>gate</th><th>reading</th><th class="n">bypasses</th>'
        '<th class="n hide">passages</th><th class="n">rate</th>'
        '<th class="hide">two years, by four weeks</th></tr></thead><tbody>'
        + "".join(rows)
        + "</tbody></table>"
    )


def _rising(found: Sequence[Rising]) -> str:
    if not found:
        return ""
    items = "".join(
        f"<li>{escape(r.gate)}, since the week of {r.since}"
        f"{'' if r.sure else ' (not sure among so many gates)'}</li>"
        for r in found
    )
    return (
        "<h3>Rising now</h3><p>Flagged by early warning in the last four weeks, at no more than "
        f"one false alarm a gate and year.</p><ul>{items}</ul>"
    )


def _gate(
    v: Verdict,
    series: Shown,
    reviews: Sequence[GateReview],
    moved: Sequence[Displacement],
    index: int,
    *,
    many: bool,
) -> str:
    healthy = v.reading is Reading.HEALTHY
    body = [
        f'<ul class="points">{"".join(f"<li>{escape(p)}</li>" for p in points(v))}</ul>',
        # Among hundreds of gates, a healthy one's shape stands in the first table.
        "" if many and healthy else _figure(v, series, index),
        _clusters(v.evidence.clusters),
        _change(v, moved),
        _reviews([r for r in reviews if r.gate == v.gate]),
        "" if many and healthy else _tables(v, series),
    ]
    chip = f'<span class="chip {v.reading.value}">{NAMES[v.reading]}</span>'
    name = f"{escape(v.gate)} {chip}"
    top = '<a class="top" href="#top">to the top</a>'
    text = "".join(body)
    if healthy:
        # Folded: whoever looks for trouble does not scroll past what is well.
        text = f'<details class="fold"><summary>{name}</summary>{text}</details>'
        return f'<section class="slim" id="{_anchor(v.gate)}">{text}</section>'
    return f'<section id="{_anchor(v.gate)}">{top}<h2>{name}</h2>{text}</section>'


def _figure(v: Verdict, series: Shown, index: int) -> str:
    if not any(week.counted or week.apart for week in series.weeks) and not series.changes:
        return ""  # an empty picture says no more than the sentence
    wide = gate_chart(v.gate, series, NAMES[v.reading], WIDE, f"g{index}w")
    narrow = gate_chart(v.gate, series, NAMES[v.reading], NARROW, f"g{index}n")
    keys = [
        _key("rate over 13 weeks, 95% band", "rate", "bar"),
        _key("one week (an arrow: beyond the scale)", "dot"),
    ]
    if series.burst is not None:
        keys.append(_key(f"the burst, {percent(series.burst[2])} while it lasted", "c1", "bar"))
    if any(week.apart for week in series.weeks):
        keys.append(_key("excluded (sanctioned, routine, drills)", "apart"))
    keys.append(_key("the half-year judged", "window", "", ";outline:1px solid var(--axis)"))
    if series.families:
        keys.append('<span class="key">incidents:</span>')
    keys += [_key(name[:32], f"c{i}", "thin") for i, name in enumerate(series.families, 1)]
    changes = "".join(
        f'<span class="key long"><b style="color:var(--change)">{i}</b> {day} '
        f"{escape(what[:80])}</span>"
        for i, (day, what) in enumerate(series.changes, 1)
    )
    return (
        f'<figure><div class="wide">{wide}</div><div class="narrow">{narrow}</div>'
        f"<figcaption>{''.join(keys)}{changes}</figcaption></figure>"
    )


def _key(words: str, colour: str, shape: str = "", more: str = "") -> str:
    kind = f' class="{shape}"' if shape else ""
    return (
        f'<span class="key"><i{kind} style="background:var(--{colour}){more}"></i>'
        f"{escape(words)}</span>"
    )


def _clusters(clusters: Sequence[Cluster]) -> str:
    kept = [c for c in clusters if c.events >= 3][:3]
    if not kept:
        return ""
    parts = ["<h3>What the reasons say</h3>"]
    for c in kept:
        weeks = "1 week" if c.weeks == 1 else f"{c.weeks} weeks"
        people = "1 person" if c.people == 1 else f"{c.people} people"
        parts.append(
            f"<p><b>{escape(c.label)}</b> <small>{c.events} bypasses, {weeks}, {people}</small></p>"
            + "".join(f"<blockquote>{escape(quote)}</blockquote>" for quote in c.quotes)
        )
    return "".join(parts)


def _change(v: Verdict, moved: Sequence[Displacement]) -> str:
    lines = list(what_would_change(v))
    for d in moved:
        if v.gate in (d.fell, d.rose):
            lines.append(
                f"the traffic moved: '{d.fell}' lost about {d.gone:.0f} bypasses a half-year and "
                f"'{d.rose}' gained about {d.come:.0f}"
            )
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h3>What would change this reading</h3><ul>{items}</ul>"


def _reviews(reviews: Sequence[GateReview]) -> str:
    if not reviews:
        return ""
    items = "".join(
        f"<li>{r.at:%Y-%m-%d}: {escape(r.decision)} (reading then: {escape(r.verdict)}; by "
        f"{escape(r.by)}{f'; look again {r.look_again}' if r.look_again else ''})</li>"
        for r in reviews
    )
    return f"<h3>Reviews of this gate</h3><ul>{items}</ul>"


def _tables(v: Verdict, series: Shown) -> str:
    rates = "".join(
        f'<tr><td class="d">last {row.days} days</td><td class="n">{row.n}</td>'
        f'<td class="n">{number(row.passages)}</td><td class="n">{percent(row.share.middle)}</td>'
        f'<td class="n w">{percent(row.exact.low)} to {percent(row.exact.high)}</td>'
        f'<td class="n hide">{row.per_week.middle:.2f}</td>'
        f'<td class="n hide">{row.per_week.low:.2f} to {row.per_week.high:.2f}</td></tr>'
        for row in table(v.evidence.gate, v.evidence.as_of)
    )
    rows = "".join(
        f'<tr><td class="d">{start}</td><td class="n">{k}</td><td class="n hide">{apart}</td>'
        f'<td class="n">{number(n)}</td><td class="n">{percent(share.middle)}</td>'
        f'<td class="n w">{percent(share.low)} to {percent(share.high)}</td></tr>'
        for start, _, k, apart, n, share in blocks(series.weeks)
    )
    return (
        "<details><summary>The figures as tables</summary>"
        '<small class="hint">the tables scroll sideways</small>'
        '<div class="scroll"><table><thead><tr><th>window</th><th class="n">bypasses</th>'
        '<th class="n">passages</th><th class="n">rate</th><th class="n">exact 95%</th>'
        '<th class="n hide">a week</th><th class="n hide">exact 95%</th></tr></thead>'
        f"<tbody>{rates}</tbody></table></div>"
        '<div class="scroll"><table><thead><tr><th>13 weeks from</th><th class="n">bypasses</th>'
        '<th class="n hide">excluded</th><th class="n">passages</th><th class="n">rate</th>'
        f'<th class="n">95%</th></tr></thead><tbody>{rows}</tbody></table></div></details>'
    )


def _doors(history: History, series: dict[str, Shown]) -> str:
    parts = []
    for i, group in enumerate(groups(history)):
        doors = [(name, series[name]) for name in group if name in series]
        doors = sorted(doors, key=lambda d: -sum(w.counted for w in d[1].weeks))[:6]
        if len(doors) < 2:
            continue
        keys = "".join(
            f'<span class="key"><i class="bar" style="background:var(--{_door(j)})"></i>'
            f"{escape(name)}</span>"
            for j, (name, _) in enumerate(doors)
        )
        parts.append(
            f'<figure><div class="wide">{doors_chart(doors, WIDE, f"d{i}w")}</div>'
            f'<div class="narrow">{doors_chart(doors, NARROW, f"d{i}n")}</div>'
            f"<figcaption>{keys}</figcaption></figure>"
        )
    if not parts:
        return ""
    return (
        "<section><h2>Sibling doors on one scale</h2><p>Closing one door can move the traffic to "
        "the next. Rates over 13 weeks; a fall counts as a fix only where no sibling rose.</p>"
        + "".join(parts)
        + "</section>"
    )


def _glasses(rates: Sequence[GlassRate]) -> str:
    if not rates:
        return ""
    lines = "".join(f"<li>{escape(glass_sentence(rate))}</li>" for rate in rates)
    return (
        "<section><h2>Glasses that open no gate</h2><p>Nothing passes by them, so there is a rate "
        f"a week and no share.</p><ul>{lines}</ul></section>"
    )


def _how() -> str:
    return (
        "<section><h2>How to read this</h2><p>A gate that is bypassed often has a problem of "
        "its own. The reading compares the last half-year with the year and a "
        "half before, takes out what a policy sanctions, and asks in turn whether one burst, one "
        "path, a recurring trouble or the gate itself explains what is left. Limits are 95%; "
        "those in the tables are exact. Rows per person are shown from five uses, "
        "without names.</p></section>"
    )


def _door(index: int) -> str:
    return "rate" if index == 0 else f"c{index}"


def _anchor(gate: str) -> str:
    return "gate-" + "".join(c if c.isalnum() or c in "-_" else "-" for c in gate)
