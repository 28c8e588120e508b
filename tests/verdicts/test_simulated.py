"""Verdicts on simulated organisations that no threshold was tuned on (DEVIANCE.md's table)."""

from __future__ import annotations

import pytest

from .organisation import organisation
from .scoring import is_harm, score
from .shapes import SHAPES, foreign

# Accuracy at least, harm at most, false alarms on healthy at most; coverage at least 0.90 always.
WANTED = {
    "easy": (0.97, 0.02, 0.04),
    "medium": (0.92, 0.03, 0.04),
    "unfamiliar": (0.85, 0.05, 0.05),
    "hard": (0.80, 0.06, 0.06),
}
SLACK = 0.03  # a short run of 96 gates scatters by about this much; the long run has none


@pytest.mark.parametrize("level", WANTED)
def test_held_out_organisations_are_read_right(level: str) -> None:
    accuracy, harm, alarms = WANTED[level]
    told = score(level, range(8), held_out=True)
    assert told.accuracy >= accuracy - SLACK, told.confusion
    assert told.harm <= harm + SLACK, told.confusion
    assert told.false_alarms <= alarms + SLACK, told.confusion
    assert told.coverage >= 0.90


@pytest.mark.long
@pytest.mark.parametrize("level", WANTED)
def test_a_hundred_held_out_organisations_reach_the_figures(level: str) -> None:
    accuracy, harm, alarms = WANTED[level]
    told = score(level, range(5000, 5100), held_out=True)
    assert told.accuracy >= accuracy, told.confusion
    assert told.harm <= harm, told.confusion
    assert told.false_alarms <= alarms, told.confusion
    assert told.coverage >= 0.90


# The shapes that real histories brought; the held-out half is looked at by the long run alone.
FOREIGN = {
    "easy": (0.95, 0.03, 0.05),
    "medium": (0.90, 0.05, 0.05),
    "unfamiliar": (0.88, 0.06, 0.05),
    "hard": (0.80, 0.08, 0.06),
}


@pytest.mark.parametrize("level", FOREIGN)
def test_the_shapes_of_real_histories_are_read_right(level: str) -> None:
    accuracy, harm, alarms = FOREIGN[level]
    told = score(level, range(8), held_out=False, maker="foreign")
    assert told.accuracy >= accuracy - SLACK, told.by_shape
    assert told.harm <= harm + SLACK, told.by_shape
    assert told.false_alarms <= alarms + SLACK, told.by_shape


@pytest.mark.long
@pytest.mark.parametrize("level", FOREIGN)
def test_the_held_out_half_of_the_shapes_is_read_right(level: str) -> None:
    accuracy, harm, alarms = FOREIGN[level]
    told = score(level, range(7000, 7084), held_out=True, maker="foreign")
    assert told.accuracy >= accuracy - SLACK, told.by_shape
    assert told.harm <= harm + SLACK, told.by_shape
    assert told.false_alarms <= alarms + SLACK, told.by_shape


def test_every_shape_is_made_with_its_condition() -> None:
    made = [foreign("medium", seed, held_out=False) for seed in range(20)]
    found = {(m.truth[name], m.shapes[name]) for m in made for name in m.truth}
    assert found == {(condition, shape) for condition, shapes in SHAPES.items() for shape in shapes}


def test_the_same_seed_makes_the_same_organisation() -> None:
    one, two = (organisation("hard", 3, held_out=True) for _ in range(2))
    assert one.truth == two.truth
    assert [g.events for g in one.history.gates] == [g.events for g in two.history.gates]


def test_tuning_and_held_out_share_no_sentence() -> None:
    def sentences(*, held_out: bool) -> set[str]:
        return {
            event.reason
            for level in ("easy", "unfamiliar")
            for seed in range(3)
            for gate in organisation(level, seed, held_out=held_out).history.gates
            for event in gate.events
            if event.reason and not event.sanctioned
        }

    assert not sentences(held_out=False) & sentences(held_out=True)


def test_asking_for_more_weeks_is_never_harm() -> None:
    assert not is_harm("gate_wrong", "not_enough_data")
    assert is_harm("healthy", "one_person")
    assert is_harm("gate_wrong", "healthy")
    assert not is_harm("bad_month", "root_cause")
