"""The early warning: how seldom it rings for nothing, how soon for a rise."""

from __future__ import annotations

import random
from statistics import mean, median

import pytest

from breakglass.verdicts.warning import Watch, bar_for, run_length, watch


def poisson(rng: random.Random, expected: float) -> int:
    count, left = 0, rng.expovariate(1)
    while left < expected:
        count, left = count + 1, left + rng.expovariate(1)
    return count


def false_alarms_a_year(expected: float, gates: int, rng: random.Random) -> float:
    years = 2
    rung = 0
    for _ in range(gates):
        counts = [poisson(rng, expected) for _ in range(26 + 52 * years)]
        rung += len(watch(counts, [100.0] * len(counts)))
    return rung / gates / years


def delay(expected: float, times: float, gates: int, rng: random.Random) -> list[int]:
    found = []
    for _ in range(gates):
        counts = [poisson(rng, expected) for _ in range(78)]
        counts += [poisson(rng, expected * times) for _ in range(52)]
        later = [a.week - 78 for a in watch(counts, [100.0] * len(counts)) if a.week >= 78]
        found.append(later[0] if later else 52)
    return found


@pytest.mark.parametrize("expected", [0.2, 1.0, 4.0])
def test_a_flat_rate_rings_at_most_once_a_gate_and_year(expected: float) -> None:
    assert false_alarms_a_year(expected, 60, random.Random(f"flat {expected}")) <= 1.0


def test_a_tripling_of_one_a_week_is_heard_within_a_month() -> None:
    assert median(delay(1.0, 3.0, 40, random.Random("tripled"))) <= 4


def test_a_doubling_of_four_a_week_is_heard_within_a_month() -> None:
    assert median(delay(4.0, 2.0, 40, random.Random("doubled"))) <= 4


@pytest.mark.long
@pytest.mark.parametrize("expected", [0.05, 0.2, 0.5, 1.0, 3.0, 8.0])
def test_a_thousand_gate_years_at_a_flat_rate(expected: float) -> None:
    assert false_alarms_a_year(expected, 500, random.Random(f"long {expected}")) <= 1.0


def test_more_traffic_at_the_same_rate_rings_nothing() -> None:
    rng = random.Random("traffic")
    counts = [poisson(rng, 1.0) for _ in range(60)] + [poisson(rng, 4.0) for _ in range(40)]
    assert len(watch(counts, [100.0] * 60 + [400.0] * 40)) <= 1


def test_the_bar_rises_with_the_number_of_gates() -> None:
    assert bar_for(1.0, gates=12) == bar_for(1.0)
    assert bar_for(1.0, gates=200) > bar_for(1.0)


def test_the_run_length_of_the_chain_is_that_of_the_simulation() -> None:
    rng = random.Random("chain")
    bar = bar_for(1.0)
    lengths = []
    for _ in range(400):
        state, weeks = Watch(), 0
        while True:
            weeks += 1
            state, alarm = state.step(poisson(rng, 1.0), 1.0, bar)
            if alarm is not None:
                break
        lengths.append(weeks)
    assert mean(lengths) == pytest.approx(run_length(1.0, bar), rel=0.25)


def test_the_alarm_says_since_when() -> None:
    counts = [1.0] * 60 + [5.0] * 6
    (alarm, *_) = watch(counts, [100.0] * 66)
    assert alarm.since >= 59
    assert alarm.week < 63
