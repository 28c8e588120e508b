"""Sibling doors on one scale: a fall at one and a rise at another are seen at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from breakglass.verdicts.charts.scale import Scale, line, path, share_label, text, ticks, time_ticks
from breakglass.verdicts.charts.series import Shown
from breakglass.verdicts.history import WEEK

_HEIGHT = 170


def doors_chart(doors: Sequence[tuple[str, Shown]], width: int, key: str) -> str:
    """Return the SVG of the 13-week rates of ``doors`` (name and series), on one scale."""
    left, right, top = (72, 14, 12) if width > 500 else (58, 8, 12)
    start, end = min(s.start for _, s in doors), max(s.end for _, s in doors)
    high = max((w.rate.middle for _, s in doors for w in s.weeks if w.rate), default=0.0)
    x = Scale(start.toordinal(), end.toordinal(), left, width - right)
    y = Scale(0.0, ticks(max(high, 0.001))[-1], top + _HEIGHT, top)
    names = ", ".join(name for name, _ in doors)
    parts = [
        f'<svg viewBox="0 0 {width} {top + _HEIGHT + 24}" role="img" '
        f'aria-labelledby="{key}-t {key}-d" class="chart">',
        f'<title id="{key}-t">Sibling doors on one scale: {escape(names)}</title>',
        f'<desc id="{key}-d">{escape(_words(doors))}</desc>',
    ]
    last = -100.0
    for day, label in time_ticks(start, end, 9 if width > 500 else 4):
        at = x(day.toordinal())
        if at - last >= 44 and at <= width - 20:
            parts += [
                line(at, top, at, y.start, "grid"),
                text(at, y.start + 16, label, "tick", "middle"),
            ]
            last = at
    for value in ticks(y.high):
        parts += [
            line(left, y(value), width - right, y(value), "axis" if value == 0 else "grid"),
            text(left - 6, y(value) + 4, share_label(value), "tick", "end"),
        ]
    for number, (_, series) in enumerate(doors):
        points = [
            (x((w.start + WEEK / 2).toordinal()), y(w.rate.middle)) for w in series.weeks if w.rate
        ]
        parts.append(path(points, f"door d{number % 6}"))
    parts.append("</svg>")
    return "".join(parts)


def _words(doors: Sequence[tuple[str, Shown]]) -> str:
    told = []
    for name, series in doors:
        rates = [week.rate.middle for week in series.weeks if week.rate]
        if rates:
            told.append(f"{name}: highest 13-week rate {max(rates):.2%}, now {rates[-1]:.2%}")
    return "; ".join(told) + "."
