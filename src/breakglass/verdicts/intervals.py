"""Exact intervals for a share, a rate and a ratio of rates: right when the counts are two and none.

Every interval is two-sided and central. ``confidence`` is a share (0.95). Counts may be fractions,
because an over-dispersed gate is judged on its effective count (see ``dispersion``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from breakglass.verdicts.distributions import beta_quantile, gamma_quantile

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A middle and two limits, in the unit of the thing measured; ``high`` may be infinite."""

    middle: float
    low: float
    high: float


UNKNOWN = Interval(math.nan, 0.0, 1.0)
"""The share of which nothing is known; its middle is not a number, and is shown as no rate."""


def share_read(k: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """Return the share ``k`` of ``n`` with Jeffreys limits: what a person reads on the page.

    Without a passage, or with fewer than bypasses, no share is known: ``UNKNOWN``, never a guess.

    Source: Brown, Cai and DasGupta 2001; the limit at ``k = 0`` is zero and at ``k = n`` is one.

    >>> limits = share_read(41, 9800)
    >>> f"{limits.middle:.2%} {limits.low:.2%} {limits.high:.2%}"
    '0.42% 0.30% 0.56%'
    """
    if n < 1 or k > n:
        return UNKNOWN
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else beta_quantile(tail, k + 0.5, n - k + 0.5)
    high = 1.0 if k == n else beta_quantile(1 - tail, k + 0.5, n - k + 0.5)
    return Interval(k / n, low, high)


def share_exact(k: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """Return the share ``k`` of ``n`` with Clopper-Pearson limits: what an audit prints.

    Source: Clopper and Pearson 1934; covers at least as often as it says.
    """
    if n < 1 or k > n:
        return UNKNOWN
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else beta_quantile(tail, k, n - k + 1)
    high = 1.0 if k == n else beta_quantile(1 - tail, k + 1, n - k)
    return Interval(k / n, low, high)


def rate_exact(k: float, exposure: float, confidence: float = CONFIDENCE) -> Interval:
    """Return events per unit of ``exposure`` (days, weeks) with Garwood's exact Poisson limits.

    Source: Garwood 1936: chi-squared quantiles over two, here as gamma quantiles.

    >>> round(rate_exact(0, 1).high, 3)
    3.689
    """
    if exposure <= 0:
        return Interval(0.0, 0.0, math.inf)
    tail = (1 - confidence) / 2
    low = 0.0 if k <= 0 else gamma_quantile(tail, k)
    return Interval(k / exposure, low / exposure, gamma_quantile(1 - tail, k + 1) / exposure)


def ratio_exact(
    k1: float, n1: float, k0: float, n0: float, confidence: float = CONFIDENCE
) -> Interval:
    """Return rate ``k1/n1`` over rate ``k0/n0`` with exact conditional limits.

    Given ``k1 + k0``, ``k1`` is binomial with odds ``ratio * n1 / n0``; its Clopper-Pearson limits
    are turned back into ratios. Without exposure on either side nothing is known: 0 to infinity.
    The middle adds half an event to each side where the baseline is zero, so it stays finite.

    Source: Przyborowski and Wilenski 1940.
    """
    if n1 <= 0 or n0 <= 0 or k1 + k0 <= 0:
        return Interval(1.0, 0.0, math.inf)
    share = share_exact(k1, k1 + k0, confidence)
    scale = n0 / n1
    middle = k1 / k0 * scale if k0 > 0 else (k1 + 0.5) / 0.5 * scale
    high = share.high / (1 - share.high) * scale if share.high < 1 else math.inf
    return Interval(middle, share.low / (1 - share.low) * scale, high)


def dispersion(counts: Sequence[float], exposures: Sequence[float]) -> float:
    """Return how many times more the counts vary than a plain Poisson would: 1.0 and upwards.

    Pearson's chi-squared over its degrees of freedom, held between 1 and 6; weeks without exposure
    are left out. A noisy healthy gate is judged on ``count / dispersion`` events, which widens
    every interval as quasi-Poisson does. Source: McCullagh and Nelder 1989, section 6.2.
    """
    pairs = [(k, n) for k, n in zip(counts, exposures, strict=True) if n > 0]
    total_k, total_n = sum(k for k, _ in pairs), sum(n for _, n in pairs)
    if len(pairs) < 8 or total_k < 4:
        return 1.0
    rate = total_k / total_n
    squared = sum((k - rate * n) ** 2 / (rate * n) for k, n in pairs)
    return min(6.0, max(1.0, squared / (len(pairs) - 1)))
