"""When did it change: penalised change points on weekly counts with their passages.

Optimal partitioning of a Poisson rate (Killick, Fearnhead and Eckley 2012, with PELT's pruning).
The penalty grows with the gate's noise, so a noisy gate is not cut at every busy fortnight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

from breakglass.verdicts.history import WEEK, Gate
from breakglass.verdicts.windows import Span, weekly

SHORTEST = 4  # weeks; anything shorter is a burst


def change_points(
    counts: Sequence[float], exposures: Sequence[float], noise: float = 1.0
) -> tuple[int, ...]:
    """Return the indices at which a new rate begins, oldest first; none where the rate is one.

    Args:
        counts: events per week.
        exposures: passages per week; weeks without any add nothing.
        noise: variance of the counts over a Poisson's, 1.0 or more.

    >>> change_points([1] * 20 + [9] * 20, [100.0] * 40)
    (20,)
    """
    n = len(counts)
    penalty = 3.0 * noise * math.log(max(n, 2))
    sums_k, sums_n = [0.0], [0.0]
    for k, exposure in zip(counts, exposures, strict=True):
        sums_k.append(sums_k[-1] + k)
        sums_n.append(sums_n[-1] + exposure)

    def cost(start: int, end: int) -> float:
        k, exposure = sums_k[end] - sums_k[start], sums_n[end] - sums_n[start]
        return -2 * k * math.log(k / exposure) if k > 0 and exposure > 0 else 0.0

    best = [-penalty] + [math.inf] * n
    last = [0] * (n + 1)
    open_starts = [0]
    for end in range(SHORTEST, n + 1):
        tried = [(best[s] + cost(s, end) + penalty, s) for s in open_starts if end - s >= SHORTEST]
        if not tried:
            continue
        best[end], last[end] = min(tried)
        keep = {s for value, s in tried if value - penalty <= best[end]}
        open_starts = [s for s in open_starts if s in keep or end - s < SHORTEST]
        open_starts.append(end)
    points, at = [], n
    while last[at] > 0:
        at = last[at]
        points.append(at)
    return tuple(reversed(points))


def began(gate: Gate, whole: Span, noise: float) -> date | None:
    """Return the day on which the present rate began, or nothing where it always was so."""
    counts, exposures = weekly(whole, gate)
    points = change_points(counts, exposures, noise)
    if not points:
        return None
    return whole.end - (len(counts) - points[-1]) * WEEK
