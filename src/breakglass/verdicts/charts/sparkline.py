"""A gate's two years in one line of a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from breakglass.verdicts.charts.series import Week

_STEPS = "▁▂▃▄▅▆▇█"
BLOCK = 4  # weeks per sign


def sparkline(weeks: Sequence[Week], most: int = 26) -> str:
    """Return the rate per four weeks as block signs, oldest first; a dot where nothing passed.

    The scale starts at zero and ends at the highest block shown, so the line shows a shape and the
    figures beside it the size. No bypass at all is a line of spaces under a bar: ``▁``.
    """
    blocks = [weeks[max(0, end - BLOCK) : end] for end in range(len(weeks), 0, -BLOCK)][:most][::-1]
    shares: list[float | None] = []
    for block in blocks:
        n = sum(week.passages for week in block)
        rate = sum(week.counted for week in block) / n if n else math.inf
        # A count that is next to nothing is nothing: it would stretch the scale without end.
        shares.append(rate if math.isfinite(rate) else None)
    top = max((share for share in shares if share is not None), default=0.0)
    signs = []
    for share in shares:
        if share is None:
            signs.append("·")
        elif share == 0 or top == 0:
            signs.append(_STEPS[0])
        else:
            signs.append(_STEPS[max(1, min(7, round(share / top * 7)))])
    return "".join(signs)
