"""Many gates at once: shrunken rates for ranking, and a false discovery rate for alerting.

With two hundred gates some look bad by chance every week (DEVIANCE.md 3.10). The ranking borrows
strength from the other gates; an alert is raised only for those that Benjamini-Hochberg keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from breakglass.verdicts.distributions import negative_binomial_at_least
from breakglass.verdicts.evidence import Evidence

FALSE_DISCOVERIES = 0.1


def shrunken_rates(counts: Sequence[tuple[float, float]]) -> tuple[float, ...]:
    """Return each gate's rate drawn towards all gates' by a gamma prior (empirical Bayes).

    Args:
        counts: bypasses and passages per gate.

    The prior's strength comes from the moments of the raw rates; where they differ no more than
    chance would have them, every gate gets nearly the common rate. Source: Marshall 1991.
    """
    total_k, total_n = sum(k for k, _ in counts), sum(n for _, n in counts)
    if total_n <= 0 or total_k <= 0:
        return tuple(0.0 for _ in counts)
    mean = total_k / total_n
    spread = sum(n * (k / n - mean) ** 2 for k, n in counts if n > 0) / total_n
    between = max(spread - mean * len(counts) / total_n, mean * mean * 1e-4)
    shape, rate = mean * mean / between, mean / between
    return tuple((k + shape) / (n + rate) for k, n in counts)


def chance_of_rise(e: Evidence) -> float:
    """Return the chance of as many bypasses as were counted, were the rate what it was before.

    The predictive tail of a negative binomial (DEVIANCE.md 3.2) on effective counts.
    """
    if e.before.passages <= 0 or e.recent.passages <= 0:
        return 1.0
    success = e.before.passages / (e.before.passages + e.recent.passages)
    return negative_binomial_at_least(e.recent.k / e.noise, e.k0 / e.noise + 1, success)


def kept(chances: Mapping[str, float], q: float = FALSE_DISCOVERIES) -> frozenset[str]:
    """Return the names whose rise stands out after all gates were looked at.

    Source: Benjamini and Hochberg 1995.

    >>> sorted(kept({"a": 0.001, "b": 0.2, "c": 0.9}))
    ['a']
    """
    ranked = sorted(chances.items(), key=lambda item: (item[1], item[0]))
    passing = [i for i, (_, p) in enumerate(ranked, 1) if p <= q * i / len(ranked)]
    return frozenset(name for name, _ in ranked[: max(passing, default=0)])
