"""From values to places on the paper, and the few labels that an axis carries without crowding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from xml.sax.saxutils import escape


@dataclass(frozen=True)
class Scale:
    """A straight line from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of ``value``; values beyond the ends stay at the ends."""
        part = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.0
        return self.start + min(1.0, max(0.0, part)) * (self.end - self.start)


def ticks(high: float, most: int = 4) -> list[float]:
    """Return round values from zero up to and beyond ``high``: steps of 1, 2 or 5.

    >>> ticks(0.23)
    [0.0, 0.1, 0.2, 0.3]
    """
    if high <= 0:
        return [0.0, 1.0]
    raw = high / most
    power = 10 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw * 0.999)
    count = math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.6g}") for i in range(count + 1)]


def time_ticks(start: date, end: date, most: int) -> list[tuple[date, str]]:
    """Return at most ``most`` labelled days: years, quarters or months, whatever fits.

    A January, and the first label, carry the year.
    """
    days = (end - start).days
    for months in (1, 2, 3, 6, 12, 24, 36):
        if days / 30.4 / months <= most:
            break
    found: list[tuple[date, str]] = []
    year, month = start.year, 1
    while (day := date(year, month, 1)) <= end:
        if day >= start:
            label = str(year) if months >= 12 else f"{day:%b}"
            if months < 12 and (month == 1 or not found):
                label = f"{day:%b %Y}" if not found and month != 1 else str(year)
            found.append((day, label))
        month += months
        year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return found


def weeks_between(start: date, end: date) -> list[date]:
    """Return the Mondays from ``start`` (a Monday) up to ``end`` (exclusive)."""
    count = max(0, math.ceil((end - start).days / 7))
    return [start + timedelta(weeks=i) for i in range(count)]


def xy(value: float) -> str:
    """Return a coordinate with one decimal and no needless zero."""
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, words: str, kind: str = "label", anchor: str = "start") -> str:
    """Return a text element; ``kind`` is a class of the page's style."""
    place = f'x="{xy(x)}" y="{xy(y)}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(words)}</text>"


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Return a straight line of the style's class ``kind``."""
    return f'<line x1="{xy(x1)}" y1="{xy(y1)}" x2="{xy(x2)}" y2="{xy(y2)}" class="{kind}"/>'


def path(points: list[tuple[float, float]], kind: str, *, closed: bool = False) -> str:
    """Return a path through ``points``."""
    if not points:
        return ""
    steps = "L".join(f"{xy(x)},{xy(y)}" for x, y in points)
    return f'<path d="M{steps}{"Z" if closed else ""}" class="{kind}"/>'


def dots(points: list[tuple[float, float]], kind: str) -> str:
    """Return many dots as one element: strokes without length whose ends are round."""
    if not points:
        return ""
    return f'<path d="{"".join(f"M{xy(x)},{xy(y)}h0" for x, y in points)}" class="{kind}"/>'


def arrows(places: list[float], y: float, kind: str) -> str:
    """Return marks that point up from ``y``: values beyond the scale, as one element."""
    if not places:
        return ""
    drawn = "".join(f"M{xy(x - 3)},{xy(y + 4)}l3,-5l3,5" for x in places)
    return f'<path d="{drawn}" class="off {kind}"/>'


def share_label(value: float) -> str:
    """Return a tick of an axis of shares: ``0``, ``0.5%``, ``20%``."""
    return "0" if value == 0 else f"{float(f'{value * 100:.4g}'):g}%"
