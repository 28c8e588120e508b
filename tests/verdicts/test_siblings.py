"""A bypass that moved to the next door is seen, and two doors taken at once count once."""

from __future__ import annotations

from dataclasses import replace

from breakglass.verdicts.drafts import draft
from breakglass.verdicts.history import Gate, History
from breakglass.verdicts.siblings import displacements, groups, joined
from breakglass.verdicts.verdict import judge

from .kit import AS_OF, gate, steady


def door(name: str, events: list, siblings: tuple[str, ...] = ()) -> Gate:  # type: ignore[type-arg]
    made = gate([replace(e, gate=name) for e in events], siblings=siblings)
    return replace(made, name=name)


def test_a_closed_door_and_a_risen_one_are_named_together() -> None:
    closed = door("review", steady(2.0, 0, 78), ("stamp",))
    opened = door("stamp", steady(0.1, 0, 78) + steady(2.0, 78, 104, first=500))
    history = History(AS_OF, (closed, opened))
    (moved,) = displacements(history)
    assert (moved.fell, moved.rose) == ("review", "stamp")
    assert moved.together.low < 1.1 < moved.together.high + 0.2
    assert "## Another door" in draft(judge(opened, AS_OF), (), [moved])


def test_a_fall_without_a_rise_is_a_fix() -> None:
    closed = door("review", steady(2.0, 0, 78), ("stamp",))
    still = door("stamp", steady(0.2))
    assert displacements(History(AS_OF, (closed, still))) == ()


def test_doors_on_one_road_are_found_by_their_passages() -> None:
    one, two = door("a", steady(1.0)), door("b", steady(0.2))
    other = replace(door("c", []), passages=dict.fromkeys(one.passages, 7.0))
    assert groups(History(AS_OF, (one, two, other))) == (("a", "b"),)


def test_one_change_round_two_doors_counts_once() -> None:
    events = steady(1.0)
    n, passages, ratio = joined([door("a", events), door("b", events)], AS_OF)
    assert n == 26
    assert passages == 26 * 200
    assert ratio.low < 1 < ratio.high
