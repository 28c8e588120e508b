"""A complaint in any words, told from everyday reasons by what the sibling gates say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from breakglass.verdicts.complaints import Usual, find_complaint, usual_words
from breakglass.verdicts.history import Gate, History
from breakglass.verdicts.verdict import judge_all
from breakglass.verdicts.verdict_board import VerdictBoard

from .kit import bypass
from .test_findings import BEFORE, CASES, CREW, END, EVERYDAY, NOW, UNHEARD, made, others

PLATEAU = CASES["a plateau whose complaint is in words that no list knows"][1]
WORK = ("escale avancée", "visite du port", "conteneur requis", "manifeste corrigé", "plomb neuf",
        "place pour remorque", "équipe changée", "échantillon remis", "grutier malade",
        "pilote en retard")  # fmt: skip


def busy(reasons: tuple[str, ...]) -> Gate:
    """Return a gate at six times its siblings' rate for two years, with these reasons."""
    parts = [(110, "", "", reasons, BEFORE), (37, "", "", reasons, NOW)]
    return made("busy", CREW, 120, parts)  # type: ignore[arg-type]


def saying(reasons: list[str]) -> list[Gate]:
    """Return the five quiet siblings, with these reasons."""
    parts = [(18, "", "", reasons, BEFORE), (6, "", "", reasons, NOW)]
    return [made(f"other-{i}", CREW, 120, parts) for i in range(5)]  # type: ignore[arg-type]


def read(*gates: Gate) -> str:
    return judge_all(History(END, (*gates, *others())))[0].reading.value


def test_a_busy_gate_with_work_of_its_own_is_not_blamed() -> None:
    assert read(busy(tuple(f"{work} {place}" for work in WORK for place in "abcd"))) == "healthy"


def test_a_component_named_in_every_reason_is_no_complaint() -> None:
    named = busy(tuple(f"bascule du quai: {reason}" for reason in EVERYDAY))
    assert read(named) == "healthy"
    assert read(PLATEAU) == "gate_wrong"


def test_what_the_siblings_say_as_well_is_no_complaint() -> None:
    """Five quiet gates with the same words: a busy gate's everyday reason is theirs, too."""
    assert judge_all(History(END, (PLATEAU, *saying(UNHEARD))))[0].reading.value == "healthy"


def test_one_reason_in_seven_is_no_complaint() -> None:
    parts = [(16, "", "", UNHEARD, BEFORE), (94, "", "", EVERYDAY, BEFORE),
             (8, "", "", UNHEARD, NOW), (48, "", "", EVERYDAY, NOW)]  # fmt: skip
    assert read(made("scale", CREW, 120, parts)) == "healthy"  # type: ignore[arg-type]


@pytest.mark.parametrize("most", [1, 3])
def test_a_complaint_of_few_people_is_none(most: int) -> None:
    few = tuple(
        replace(event, person=f"p{int(event.person[1:]) % most}")
        if "bascule" in event.reason
        else event
        for event in PLATEAU.events
    )
    assert read(replace(PLATEAU, events=few)) != "gate_wrong"


def test_usual_words_are_those_of_the_median_gate_in_whole_per_cent() -> None:
    plain = [bypass(week, week, reason="hotfix for billing") for week in range(20)]
    mixed = [bypass(week, week, reason="limit of billing") for week in range(10)] + plain[:11]
    few = [bypass(1, 1, reason="bascule muette")] * 9
    assert usual_words([plain, mixed, plain, few]) == {"billing": 1.0, "hotfix": 1.0}
    assert usual_words([mixed]) == {"billing": 1.0, "hotfix": 0.52, "limit": 0.48}
    assert Usual(None, {"hotfix": 0.52}).share("bascule") == 0.01


def test_a_complaint_holds_in_both_windows_or_is_none() -> None:
    now = [bypass(80 + i, i, reason=f"bascule fausse, poids refusé {i}") for i in range(20)]
    then = [bypass(i, 90 + i, reason=f"bascule fausse, poids refusé {i}") for i in range(20)]
    found = find_complaint(now, then, Usual())
    assert found is None or min(found.now, found.before) == 0  # every reason: that is the name
    plain = [bypass(60 + i, 50 + i, reason=f"hotfix of {EVERYDAY[i]}") for i in range(20)]
    found = find_complaint([*plain[:10], *now], [*plain[10:], *then], Usual())
    assert found is not None
    assert (round(found.now, 2), round(found.before, 2)) == (0.67, 0.67)
    assert find_complaint(now, [], Usual()) is None


def test_one_reason_more_judges_its_gate_and_those_that_stand_above() -> None:
    history = History(END, (PLATEAU, *others()))
    board = VerdictBoard()
    assert len(board.refresh(history)) == 6
    assert board.refresh(history) == ()
    first = history.gates[1]
    new = replace(first.events[-1], id="new", reason=EVERYDAY[0])
    more = replace(first, events=(*first.events, new))
    added = replace(history, gates=(PLATEAU, more, *others()[1:]))
    # The plateau alone reads what the others say, and its verdict is the one that may change.
    assert set(board.refresh(added)) <= {first.name, "scale"}
    assert board.refresh(added) == ()
    assert {name: v.reading for name, v in board.verdicts.items()} == {
        v.gate: v.reading for v in judge_all(added)
    }


def test_a_plateau_is_judged_again_when_its_siblings_begin_to_say_the_same() -> None:
    board = VerdictBoard()
    board.refresh(History(END, (PLATEAU, *others())))
    assert board.verdicts["scale"].reading.value == "gate_wrong"
    board.refresh(History(END, (PLATEAU, *saying(UNHEARD))))
    assert board.verdicts["scale"].reading.value == "healthy"
