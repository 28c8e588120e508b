"""The picture of one gate: weekly dots, the 13-week rate and its band, passages, people, incidents.

Drawn for a given width, so that a phone gets a picture of its own instead of a shrunken one. The
picture says by itself what it shows: a title, a description, and a table beside it on the page.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from breakglass.verdicts.charts.scale import (
    Scale,
    arrows,
    dots,
    line,
    path,
    share_label,
    text,
    ticks,
    time_ticks,
    xy,
)
from breakglass.verdicts.charts.series import Shown, Week
from breakglass.verdicts.history import WEEK

WIDE, NARROW = 860, 360
_RATE, _PASSAGES, _ROW = 190, 44, 17
_LETTER = 7  # pixels of a letter of a label, at most


def gate_chart(gate: str, data: Shown, title: str, width: int, key: str) -> str:
    """Return the SVG for ``gate``.

    Args:
        gate: its name, for the description.
        data: from ``shown``.
        title: the verdict in a few words.
        width: in pixels; ``WIDE`` or ``NARROW``.
        key: unique on the page, for the ids of title and description.
    """
    left, right = (72, 14) if width > 500 else (58, 8)
    longest = max((len(strip.label) for strip in data.strips), default=0)
    left = max(left, 10 + _LETTER * longest)  # no number is cut at the edge
    x = Scale(data.start.toordinal(), data.end.toordinal(), left, width - right)
    top = 14 + (14 if data.changes else 0)
    base = top + _RATE
    passages_top = base + 26
    passages_base = passages_top + _PASSAGES
    strips_top = passages_base + 20
    axis = strips_top + _ROW * len(data.strips) + 2
    height = axis + 20
    y = _rate_scale(data, base, top)
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{key}-t {key}-d" '
        f'class="chart">',
        f'<title id="{key}-t">{escape(gate)}: {escape(title)}</title>',
        f'<desc id="{key}-d">{escape(description(gate, data))}</desc>',
        *_time_axis(data, x, top, axis, width),
        *_window(data, x, top, base),
        *_rate_axis(y, left, width - right),
        *_burst(data, x, y),
        *_rates(data, x, y),
        *_changes(data, x, top, axis),
        *_passages(data, x, passages_top, passages_base, left),
        *_people(data, x, strips_top, left, width - right),
        "</svg>",
    ]
    return "".join(part for part in parts if part)


def description(gate: str, data: Shown) -> str:
    """Return in words what the picture shows, for those who do not see it."""
    known = [week for week in data.weeks if week.rate is not None]
    if not known:
        return f"No rate of {gate} is known between {data.start} and {data.end}."
    top = max(known, key=lambda week: week.rate.middle if week.rate else 0)
    last = known[-1].rate
    return (
        f"Bypasses per passage of {gate} by week from {data.start} to {data.end}, with the rate "
        f"over 13 weeks and its 95% band. The 13-week rate was highest in the week of {top.start} "
        f"at {(top.rate.middle if top.rate else 0):.2%} and is now "
        f"{(last.middle if last else 0):.2%}."
        f" {sum(week.counted for week in data.weeks)} bypasses counted, "
        f"{sum(week.apart for week in data.weeks)} excluded, "
        f"{sum(week.passages for week in data.weeks):,.0f} passages."
    )


def _rate_scale(data: Shown, base: float, top: float) -> Scale:
    """Let the band decide the height, and the dots only up to a point: one odd week is cut off."""
    band = max((week.rate.high for week in data.weeks if week.rate), default=0.0)
    shares = sorted(_share(week.counted, week) for week in data.weeks if week.passages)
    most = shares[int(len(shares) * 0.98)] if shares else 0.0
    middle = max((week.rate.middle for week in data.weeks if week.rate), default=0.0)
    high = max(min(max(band, most), max(middle * 2.5, 0.002)), 0.001)
    if data.burst is not None:
        high = max(high, min(data.burst[2], 4 * high))
    return Scale(0.0, ticks(min(1.0, high))[-1], base, top)


def _share(k: int, week: Week) -> float:
    return min(1.0, k / week.passages) if week.passages else 0.0


def _time_axis(data: Shown, x: Scale, top: float, axis: float, width: int) -> list[str]:
    parts, last = [], -100.0
    for day, label in time_ticks(data.start, data.end, 9 if width > 500 else 4):
        at = x(day.toordinal())
        if at - last < 44 or at > width - 20:
            continue
        parts += [line(at, top, at, axis, "grid"), text(at, axis + 14, label, "tick", "middle")]
        last = at
    return parts


def _window(data: Shown, x: Scale, top: float, base: float) -> list[str]:
    """Shade the half year that is judged."""
    start = x(data.recent.toordinal())
    return [
        f'<rect x="{xy(start)}" y="{xy(top)}" width="{xy(x.end - start)}" '
        f'height="{xy(base - top)}" class="window"/>'
    ]


def _rate_axis(y: Scale, left: float, right: float) -> list[str]:
    parts = []
    for value in ticks(y.high):
        at = y(value)
        parts += [
            line(left, at, right, at, "axis" if value == 0 else "grid"),
            text(left - 6, at + 4, share_label(value), "tick", "end"),
        ]
    return parts


def _rates(data: Shown, x: Scale, y: Scale) -> list[str]:
    middle = {week.start: x((week.start + WEEK / 2).toordinal()) for week in data.weeks}
    parts = []
    for run in _runs(data):
        upper = [(middle[w.start], y(w.rate.high)) for w in run if w.rate]
        lower = [(middle[w.start], y(w.rate.low)) for w in run if w.rate]
        parts.append(path(upper + lower[::-1], "band", closed=True))
    passed = [week for week in data.weeks if week.passages > 0]
    for kind, counts in (
        ("apart", [(w, w.apart) for w in passed]),
        ("weekly", [(w, w.counted) for w in passed]),
    ):
        shares = [(middle[w.start], _share(k, w)) for w, k in counts if k]
        parts.append(dots([(at, y(share)) for at, share in shares if share <= y.high], kind))
        off = [at for at, share in shares if share > y.high]
        parts.append(arrows(off, y.end, kind))
    for run in _runs(data):
        parts.append(path([(middle[w.start], y(w.rate.middle)) for w in run if w.rate], "rate"))
    return parts


def _burst(data: Shown, x: Scale, y: Scale) -> list[str]:
    """Draw a burst as what it was: so many days at such a rate, not a season's mean."""
    if data.burst is None:
        return []
    first, end, rate = data.burst
    left, right = x(first.toordinal()), max(x(end.toordinal()), x(first.toordinal()) + 3)
    top = y(rate)
    parts = [
        f'<rect x="{xy(left)}" y="{xy(top)}" width="{xy(right - left)}" '
        f'height="{xy(y.start - top)}" class="burst"/>'
    ]
    if rate > y.high:
        parts.append(arrows([(left + right) / 2], y.end, "weekly"))
    return parts


def _runs(data: Shown) -> list[list[Week]]:
    """Return the stretches of weeks in which a rate is known."""
    runs: list[list[Week]] = []
    for week in data.weeks:
        if week.rate is None:
            runs.append([])
        else:
            if not runs:
                runs.append([])
            runs[-1].append(week)
    return [run for run in runs if len(run) > 1]


def _changes(data: Shown, x: Scale, top: float, axis: float) -> list[str]:
    """Draw gate changes and reviews as numbered lines; the words stand under the picture."""
    parts, last = [], -100.0
    for number, (day, _) in enumerate(data.changes, 1):
        at = x(day.toordinal())
        parts.append(line(at, top - 4, at, axis, "change"))
        label_at = max(at, last + 16)
        parts.append(text(label_at, top - 7, str(number), "mark", "middle"))
        last = label_at
    return parts


def _passages(data: Shown, x: Scale, top: float, base: float, left: float) -> list[str]:
    most = max((week.passages for week in data.weeks), default=0.0)
    scale = Scale(0.0, most or 1.0, base, top)
    # Steps as "down to, along to": half the bytes of corners, and a page holds hundreds of weeks.
    steps = "".join(
        f"V{xy(scale(week.passages))}H{xy(x((week.start + WEEK).toordinal()))}"
        for week in data.weeks
    )
    area = f'<path d="M{xy(x.start)},{xy(base)}{steps}V{xy(base)}Z" class="passages"/>'
    label = f"{most:,.0f}" if most < 100_000 else f"{most / 1000:,.0f}k"
    return [
        area,
        line(x.start, base, x.end, base, "axis"),
        text(left - 6, top + 5, label, "tick", "end"),
        text(left - 6, base, "passages", "tick", "end"),
    ]


def _people(data: Shown, x: Scale, top: float, left: float, right: float) -> list[str]:
    parts = []
    for i, strip in enumerate(data.strips):
        at = top + _ROW * i + _ROW / 2
        parts += [
            line(left, at, right, at, "grid"),
            text(left - 6, at + 4, strip.label, "tick", "end"),
        ]
        for colour in sorted({mark[1] for mark in strip.marks}):
            strokes = "".join(
                f"M{xy(x(day.toordinal() + 0.5))},{xy(at - 5)}v10"
                for day, number in strip.marks
                if number == colour
            )
            parts.append(f'<path d="{strokes}" class="tickmark c{colour}"/>')
    return parts
