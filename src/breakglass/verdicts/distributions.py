"""The beta, gamma, binomial, Poisson and negative binomial tails that an exact interval needs.

Written out because the monitor starts in a fraction of a second and carries no numerical library;
the tests hold every function against scipy and against slow integration. Arguments are plain
floats, probabilities lie in 0..1, and every answer is good to seven digits or better.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError

_TINY = 1e-300
_CLOSE = 3e-16
_STEPS = 100_000  # the fractions settle in about the square root of their argument


def gamma_below(shape: float, x: float) -> float:
    """Return the chance that a unit-scale gamma variable of ``shape`` lies below ``x``.

    Raises:
        MalformedError: ``shape`` is not above zero, or ``x`` is below zero or not a number.

    Source: Abramowitz and Stegun 6.5.29 (series) and 6.5.31 (continued fraction).

    >>> round(gamma_below(1.0, 1.0), 6)
    0.632121
    """
    if not shape > 0 or not x >= 0:
        raise _outside("gamma", f"shape {shape}, x {x}")
    if x == 0:
        return 0.0
    return _gamma_series(shape, x) if x < shape + 1 else 1.0 - _gamma_fraction(shape, x)


def gamma_above(shape: float, x: float) -> float:
    """Return the chance that a unit-scale gamma variable of ``shape`` lies above ``x``.

    Kept apart from ``gamma_below`` so that a tail of 1e-20 is not lost to rounding.
    """
    if not shape > 0 or not x >= 0:
        raise _outside("gamma", f"shape {shape}, x {x}")
    if x == 0:
        return 1.0
    return 1.0 - _gamma_series(shape, x) if x < shape + 1 else _gamma_fraction(shape, x)


def _gamma_series(shape: float, x: float) -> float:
    term = total = 1.0 / shape
    n = shape
    for _ in range(_STEPS):
        n += 1
        term *= x / n
        total += term
        if term < total * _CLOSE:
            break
    return total * math.exp(shape * math.log(x) - x - math.lgamma(shape))


def _gamma_fraction(shape: float, x: float) -> float:
    b = x + 1 - shape
    c, d = 1 / _TINY, 1 / b
    h = d
    for i in range(1, _STEPS):
        a = -i * (i - shape)
        b += 2
        d = 1 / _off_zero(a * d + b)
        c = _off_zero(b + a / c)
        h *= d * c
        if abs(d * c - 1) < _CLOSE:
            break
    return h * math.exp(shape * math.log(x) - x - math.lgamma(shape))


def beta_below(a: float, b: float, x: float) -> float:
    """Return the chance that a beta variable with parameters ``a`` and ``b`` lies below ``x``.

    Raises:
        MalformedError: ``a`` or ``b`` is not above zero, or ``x`` is outside 0..1.

    Source: Abramowitz and Stegun 26.5.8, by Lentz's method on the side that converges fast.

    >>> round(beta_below(2.0, 3.0, 0.5), 6)
    0.6875
    """
    if not (a > 0 and b > 0 and 0 <= x <= 1):
        raise _outside("beta", f"a {a}, b {b}, x {x}")
    if x in (0.0, 1.0):
        return x
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, 1 - x) / b


def beta_above(a: float, b: float, x: float) -> float:
    """Return the chance that a beta variable lies above ``x``; small tails keep their digits."""
    return beta_below(b, a, 1.0 - x)


def _beta_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _off_zero(1 - (a + b) * x / (a + 1))
    h = d
    for m in range(1, _STEPS):
        for top in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _off_zero(1 + top * d)
            c = _off_zero(1 + top / c)
            h *= d * c
        if abs(d * c - 1) < _CLOSE:
            break
    return h


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


@lru_cache(maxsize=65_536)
def beta_quantile(p: float, a: float, b: float) -> float:
    """Return the point below which a beta variable falls with chance ``p``.

    >>> round(beta_quantile(0.975, 41.5, 9759.5), 5)
    0.00561
    """
    if not 0 <= p <= 1:
        raise _outside("beta quantile", f"p {p}")
    if p in (0.0, 1.0):
        return p
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)

    def density(x: float) -> float:
        return math.exp(log_front + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x))

    return _invert(lambda x: beta_below(a, b, x), density, p, 0.0, 1.0, a / (a + b))


@lru_cache(maxsize=65_536)
def gamma_quantile(p: float, shape: float) -> float:
    """Return the point below which a unit-scale gamma variable falls with chance ``p`` (below 1).

    >>> round(gamma_quantile(0.975, 1.0), 4)
    3.6889
    """
    if not 0 <= p < 1:
        raise _outside("gamma quantile", f"p {p}")
    if p == 0:
        return 0.0
    top = shape + 10 * math.sqrt(shape) + 10
    while gamma_below(shape, top) < p:
        top *= 2

    def density(x: float) -> float:
        return math.exp((shape - 1) * math.log(x) - x - math.lgamma(shape))

    return _invert(lambda x: gamma_below(shape, x), density, p, 0.0, top, shape)


def _invert(
    below: Callable[[float], float],
    density: Callable[[float], float],
    p: float,
    low: float,
    high: float,
    start: float,
) -> float:
    """Solve ``below(x) == p`` by Newton's method inside a bracket that halves when it must."""
    x = start
    for _ in range(200):
        error = below(x) - p
        low, high = (x, high) if error < 0 else (low, x)
        slope = density(x)
        step = x - error / slope if slope > 0 else low
        # A very small quantile is halved in its logarithm, or sixty steps would not reach it.
        middle = math.sqrt(low * high) if low > 0 else (high * 1e-3 if high < 1e-6 else high / 8)
        if not low < step < high:
            step = middle if high > 4 * low else (low + high) / 2
        if abs(step - x) <= 1e-13 * x or high - low <= 1e-15 * high:
            return step
        x = step
    return x


def poisson_at_least(k: float, mean: float) -> float:
    """Return the chance of ``k`` or more events where ``mean`` are expected."""
    return 1.0 if k <= 0 else gamma_below(k, mean)


def binomial_at_least(k: float, n: float, share: float) -> float:
    """Return the chance of ``k`` or more successes in ``n`` tries at ``share`` each."""
    if k <= 0:
        return 1.0
    return 0.0 if k > n else beta_below(k, n - k + 1, min(1.0, max(0.0, share)))


def negative_binomial_at_least(k: float, size: float, success: float) -> float:
    """Return the chance of ``k`` or more failures before the ``size``-th success.

    With ``size = k0 + 1`` and ``success = n0 / (n0 + n1)`` this is the predictive tail for the
    next count, given ``k0`` events in exposure ``n0`` (DEVIANCE.md 3.2).
    """
    return 1.0 if k <= 0 else beta_below(k, size, 1.0 - success)


def _outside(what: str, given: str) -> MalformedError:
    return MalformedError(f"{what} has no value at {given}", name=ErrorName.OUTSIDE_DOMAIN)
