"""Intervals: the figures that audits print, and how often they hold what they say."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakglass.verdicts.intervals import (
    dispersion,
    rate_exact,
    ratio_exact,
    share_exact,
    share_read,
)


def test_the_figures_of_the_example_sentence() -> None:
    limits = share_read(41, 9800)
    assert f"{limits.middle:.2%} {limits.low:.2%} {limits.high:.2%}" == "0.42% 0.30% 0.56%"


def test_zero_in_ten_thousand_is_certainty_not_ignorance() -> None:
    assert share_exact(0, 10_000).high == pytest.approx(1 - 0.025 ** (1 / 10_000))
    assert share_exact(0, 10_000).low == 0.0
    assert share_read(0, 10_000).high < 0.0003


def test_garwood_limits_of_the_printed_tables() -> None:
    # Garwood 1936, table 1: 95 % limits of a Poisson mean for 0, 1, 5 and 10 events.
    table = {0: (0, 3.689), 1: (0.0253, 5.572), 5: (1.623, 11.668), 10: (4.795, 18.390)}
    for k, (low, high) in table.items():
        limits = rate_exact(k, 1)
        assert limits.low == pytest.approx(low, abs=6e-4)
        assert limits.high == pytest.approx(high, abs=6e-4)


def test_nothing_known_is_the_widest_interval() -> None:
    assert share_read(0, 0).high == 1.0
    assert math.isinf(rate_exact(0, 0).high)
    assert ratio_exact(0, 10, 0, 10).low == 0.0
    assert math.isinf(ratio_exact(3, 10, 0, 0).high)


def test_a_ratio_from_nothing_has_a_finite_middle_and_no_upper_limit() -> None:
    ratio = ratio_exact(10, 100, 0, 300)
    assert ratio.middle == pytest.approx(63.0)
    assert ratio.low > 6
    assert math.isinf(ratio.high)


@given(st.integers(0, 50), st.integers(1, 50), st.floats(1, 1e4), st.floats(1, 1e4))
def test_a_ratio_turned_round_is_its_reciprocal(k1: int, k0: int, n1: float, n0: float) -> None:
    one, other = ratio_exact(k1, n1, k0, n0), ratio_exact(k0, n0, k1, n1)
    if k1:
        assert one.low == pytest.approx(1 / other.high, rel=1e-6)
        assert one.high == pytest.approx(1 / other.low, rel=1e-6)
    assert one.low <= one.middle <= one.high or k1 == 0


def _poisson(rng: random.Random, mean: float) -> int:
    count, left = 0, rng.expovariate(1)
    while left < mean:
        count, left = count + 1, left + rng.expovariate(1)
    return count


@pytest.mark.parametrize("mean", [0.7, 3.0, 12.0])
def test_exact_limits_hold_the_truth_at_least_as_often_as_they_say(mean: float) -> None:
    rng = random.Random(f"cover {mean}")
    rounds = 600
    held = ratio_held = 0
    for _ in range(rounds):
        k1, k0 = _poisson(rng, mean), _poisson(rng, mean * 3)
        limits = rate_exact(k1, 1.0)
        held += limits.low <= mean <= limits.high
        ratio = ratio_exact(k1, 1.0, k0, 3.0)
        ratio_held += ratio.low <= 1.0 <= ratio.high
    assert held / rounds >= 0.94
    assert ratio_held / rounds >= 0.94


def test_an_even_gate_is_not_called_noisy_and_a_bursty_one_is() -> None:
    assert dispersion([1, 0, 1, 1, 0, 2, 1, 0, 1, 1], [100.0] * 10) == 1.0
    assert dispersion([0, 0, 12, 0, 0, 0, 9, 0, 0, 0], [100.0] * 10) == 6.0
    assert dispersion([9, 0, 0], [100.0] * 3) == 1.0
