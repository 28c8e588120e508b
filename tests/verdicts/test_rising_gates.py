"""Which gates are rising now, told before a verdict is."""

from __future__ import annotations

import random
from dataclasses import replace

from breakglass.verdicts.charts.page import page
from breakglass.verdicts.history import History
from breakglass.verdicts.rising_gates import rising
from breakglass.verdicts.verdict import judge

from .kit import AS_OF, bypass, gate, steady


def named(name: str, events: list) -> object:  # type: ignore[type-arg]
    return replace(gate(events), name=name)


def test_a_rise_of_three_weeks_is_told_with_the_week_it_began() -> None:
    late = named("late", steady(1.0, 0, 101) + steady(6.0, 101, 104, first=900))
    flat = named("flat", steady(1.0))
    read = [judge(g, AS_OF) for g in (late, flat)]  # type: ignore[arg-type]
    (told,) = rising(read)
    assert told.gate == "late"
    assert abs((told.since - (AS_OF.date())).days) <= 35
    text = page(History(AS_OF, (late, flat)), read, "x")  # type: ignore[arg-type]
    assert "Rising now" in text


def test_an_old_alarm_is_not_told_again() -> None:
    old = named("old", steady(1.0, 0, 60) + steady(6.0, 60, 63, first=900) + steady(1.0, 63, 104))
    assert rising([judge(old, AS_OF)]) == ()  # type: ignore[arg-type]


def test_sixty_flat_gates_seldom_ring_together() -> None:
    rng = random.Random("sixty")
    read = []
    for number in range(60):
        events = [bypass(rng.uniform(0, 104), i) for i in range(rng.randint(40, 160))]
        read.append(judge(named(f"g{number:02d}", events), AS_OF))  # type: ignore[arg-type]
    # One a month over all of them, and an alarm is told for four weeks.
    assert len(rising(read)) <= 3
