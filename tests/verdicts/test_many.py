"""Many gates and one change point: ranking, false discoveries, and when it began."""

from __future__ import annotations

import random

import pytest

from breakglass.verdicts.evidence import gather
from breakglass.verdicts.many import chance_of_rise, kept, shrunken_rates
from breakglass.verdicts.onset import began, change_points
from breakglass.verdicts.windows import Span

from .kit import AS_OF, gate, monday_of, steady


def test_a_small_gate_is_drawn_to_the_others_and_a_large_one_stays() -> None:
    counts = [(1, 10), (40, 4000), (35, 4000), (45, 4000), (400, 4000)]
    rates = shrunken_rates(counts)
    assert rates[0] < 0.1
    assert rates[4] == pytest.approx(0.1, rel=0.1)
    assert shrunken_rates([(0, 100), (0, 50)]) == (0.0, 0.0)


def test_among_two_hundred_quiet_gates_few_are_kept() -> None:
    rng = random.Random("quiet")
    assert len(kept({f"g{i}": rng.random() for i in range(200)})) <= 2
    chances = {f"g{i}": rng.random() for i in range(195)} | {f"bad{i}": 1e-5 for i in range(5)}
    assert {name for name in kept(chances) if name.startswith("bad")} == {
        f"bad{i}" for i in range(5)
    }
    assert kept({}) == frozenset()


def test_a_rise_is_unlikely_and_a_level_is_not() -> None:
    assert chance_of_rise(gather(gate(steady(0.5) + steady(2, 84, 104, first=500)), AS_OF)) < 1e-6
    assert chance_of_rise(gather(gate(steady(0.5)), AS_OF)) > 0.1


def test_the_week_of_a_step_is_found_within_three() -> None:
    rng = random.Random("step")
    for at in (30, 52, 80):
        counts = [rng.choice([0, 1, 2]) for _ in range(at)]
        counts += [rng.choice([3, 5, 7]) for _ in range(104 - at)]
        (found,) = change_points(counts, [100.0] * 104)
        assert abs(found - at) <= 3


def test_a_flat_noisy_rate_has_no_change() -> None:
    rng = random.Random("flat")
    counts = [rng.choice([0, 0, 1, 1, 4]) for _ in range(104)]
    assert change_points(counts, [100.0] * 104, noise=1.8) == ()
    assert change_points([], []) == ()


def test_traffic_alone_is_no_change_of_rate() -> None:
    assert change_points([2] * 40 + [6] * 40, [100.0] * 40 + [300.0] * 40) == ()


def test_the_day_on_which_it_began() -> None:
    one = gate(steady(0.5, 0, 80) + steady(4.0, 80, 104, first=500))
    e = gather(one, AS_OF)
    whole = Span(
        e.before.start,
        e.recent.end,
        (*e.before.events, *e.recent.events),
        e.before.passages + e.recent.passages,
    )
    day = began(one, whole, 1.0)
    assert day is not None
    assert abs((day - monday_of(80)).days) <= 21
