"""Tails and quantiles against scipy, a slow integration, and each other."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import MalformedError
from breakglass.verdicts.distributions import (
    beta_above,
    beta_below,
    beta_quantile,
    binomial_at_least,
    gamma_above,
    gamma_below,
    gamma_quantile,
    negative_binomial_at_least,
    poisson_at_least,
)

# Printed once by scipy 1.17 (beta.ppf, gamma.ppf), for machines that do not have it.
BETA = [
    (0.025, 41.5, 9759.5, 0.0030471554910151237),
    (0.975, 0.5, 500.5, 0.0050087878001096745),
    (0.5, 3.0, 7.0, 0.2862366680227827),
    (1e-06, 2.0, 2.0, 0.0005774614337920399),
]


def simpson(
    function: Callable[[float], float], low: float, high: float, steps: int = 20_000
) -> float:
    width = (high - low) / steps
    inner = sum((4 if i % 2 else 2) * function(low + i * width) for i in range(1, steps))
    return (function(low) + inner + function(high)) * width / 3


@given(st.floats(3.0, 60.0), st.floats(3.0, 60.0), st.floats(0.01, 0.99))
@settings(max_examples=25, deadline=None)
def test_the_beta_tail_is_the_area_under_its_density(a: float, b: float, x: float) -> None:
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)

    def density(t: float) -> float:
        if t in (0.0, 1.0):
            return 0.0
        return math.exp(front + (a - 1) * math.log(t) + (b - 1) * math.log1p(-t))

    assert beta_below(a, b, x) == pytest.approx(simpson(density, 0.0, x), abs=2e-6)


@given(st.floats(3.0, 60.0), st.floats(0.01, 150.0))
@settings(max_examples=25, deadline=None)
def test_the_gamma_tail_is_the_area_under_its_density(shape: float, x: float) -> None:
    def density(t: float) -> float:
        if t == 0.0:
            return 0.0
        return math.exp((shape - 1) * math.log(t) - t - math.lgamma(shape))

    assert gamma_below(shape, x) == pytest.approx(simpson(density, 0.0, x), abs=2e-6)


@given(st.integers(0, 40), st.floats(0.01, 30.0))
def test_the_poisson_tail_is_the_sum_of_its_terms(k: int, mean: float) -> None:
    below = sum(math.exp(-mean + i * math.log(mean) - math.lgamma(i + 1)) for i in range(k))
    assert poisson_at_least(k, mean) == pytest.approx(1 - below, abs=1e-9)


@given(st.integers(0, 30), st.integers(1, 30), st.floats(0.001, 0.999))
def test_the_binomial_tail_is_the_sum_of_its_terms(k: int, n: int, share: float) -> None:
    total = sum(math.comb(n, i) * share**i * (1 - share) ** (n - i) for i in range(k, n + 1))
    assert binomial_at_least(k, n, share) == pytest.approx(total, abs=1e-9)


def test_the_negative_binomial_tail_is_the_sum_of_its_terms() -> None:
    size, success = 5, 0.75
    below = sum(math.comb(i + size - 1, i) * success**size * (1 - success) ** i for i in range(7))
    assert negative_binomial_at_least(7, size, success) == pytest.approx(1 - below, abs=1e-10)


@given(st.floats(0.5, 3000.0), st.floats(1.0, 1e6), st.floats(1e-6, 1 - 1e-6))
@settings(deadline=None)
def test_a_beta_quantile_comes_back_through_its_tail(a: float, b: float, p: float) -> None:
    assert beta_below(a, b, beta_quantile(p, a, b)) == pytest.approx(p, rel=1e-6)


@given(st.floats(0.3, 5000.0), st.floats(1e-6, 1 - 1e-6))
@settings(deadline=None)
def test_a_gamma_quantile_comes_back_through_its_tail(shape: float, p: float) -> None:
    assert gamma_below(shape, gamma_quantile(p, shape)) == pytest.approx(p, rel=1e-7)


def test_everything_agrees_with_scipy_over_six_orders_of_magnitude() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = random.Random("oracle")
    for _ in range(400):
        a = rng.choice([0.5, 1, 3.5, 41.5, 400, 5000]) * rng.uniform(0.5, 2)
        b = rng.choice([0.5, 3, 1000, 1e5, 1e6]) * rng.uniform(0.5, 2)
        p = rng.choice([1e-6, 0.005, 0.025, 0.5, 0.975, 0.999])
        assert beta_quantile(p, a, b) == pytest.approx(stats.beta.ppf(p, a, b), rel=1e-6)
        assert gamma_quantile(p, a) == pytest.approx(stats.gamma.ppf(p, a), rel=1e-9)
        x = stats.gamma.isf(1e-12, a)
        assert gamma_above(a, x) == pytest.approx(1e-12, rel=1e-5)
        assert beta_above(a, b, stats.beta.isf(1e-12, a, b)) == pytest.approx(1e-12, rel=1e-5)
        k, mean = rng.randint(0, 60), rng.uniform(0.1, 40)
        tail = stats.poisson.sf(k - 1, mean)
        assert poisson_at_least(k, mean) == pytest.approx(tail, rel=1e-7, abs=1e-12)
        size, success = rng.randint(1, 50), rng.uniform(0.1, 0.95)
        tail = stats.nbinom.sf(k - 1, size, success)
        assert negative_binomial_at_least(k, size, success) == pytest.approx(tail, abs=1e-11)


@pytest.mark.parametrize(("p", "a", "b", "wanted"), BETA)
def test_printed_quantiles_hold_where_scipy_is_missing(
    p: float, a: float, b: float, wanted: float
) -> None:
    assert beta_quantile(p, a, b) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: beta_below(0, 1, 0.5),
        lambda: beta_below(1, 1, 1.5),
        lambda: gamma_below(-1, 1),
        lambda: gamma_above(1, float("nan")),
        lambda: beta_quantile(2, 1, 1),
        lambda: gamma_quantile(1.0, 1),
    ],
)
def test_a_value_outside_the_domain_is_refused_with_its_number(call: Callable[[], float]) -> None:
    with pytest.raises(MalformedError, match="has no value at"):
        call()


def test_the_ends_are_exact() -> None:
    assert beta_quantile(0.0, 2, 3) == 0.0
    assert beta_quantile(1.0, 2, 3) == 1.0
    assert gamma_quantile(0.0, 2) == 0.0
    assert gamma_above(2, 0) == 1.0
    assert beta_below(2, 3, 1.0) == 1.0
    assert poisson_at_least(0, 3) == binomial_at_least(0, 5, 0.2) == 1.0
    assert binomial_at_least(6, 5, 0.2) == 0.0
