"""The fold: who is on call, as the monitor repeats it from the policy's source."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from breakglass.errors import MalformedError
from breakglass.records.fold.forgetting import ROSTER_KEPT, standing_rosters
from breakglass.records.kinds.roster import Roster
from breakglass.records.record_reader import parse_record

from ..kit.organisation import NOW, SECOND, SKEW, Organisation
from ..kit.twins import alike
from .folding import begun, holds, pulse, void

TAKEN = Roster("oncall-shop", ("mira", "teo"), "pagerduty:PX7QA", NOW)


def of_set_2() -> Organisation:
    org = begun()
    holds(org.activate_trust(version="2", kinds="2"))
    return org


def state(org: Organisation, body: Roster, ident: str = "roster/1", role: str = "monitor") -> Any:
    return org.state_that(role, body, ident)


def people(org: Organisation) -> list[tuple[str, ...]]:
    return [each.people for each in standing_rosters(org.state, "oncall-shop")]


def test_the_newest_roster_of_a_group_stands_and_the_one_before_it() -> None:
    """(F-110) A decision of a moment ago was made on the one before."""
    org = of_set_2()
    holds(state(org, TAKEN))
    assert parse_record(org.log.notes[-1]).body == TAKEN
    found = org.state.monitor.rosters["oncall-shop"][0]
    assert (found.source, found.taken_at, found.seen) == (TAKEN.source, NOW, org.now)
    for number, name in enumerate(("sam", "noor"), start=2):
        later = replace(TAKEN, people=(name,), taken_at=NOW + number * SECOND)
        holds(state(org, later, f"roster/{number}"))
    assert people(org) == [("noor",), ("sam",)]
    holds(state(org, replace(TAKEN, group="leads"), "roster/4"))
    assert people(org) == [("noor",), ("sam",)]


def test_a_roster_of_nobody_is_one_too() -> None:
    """(F-110)"""
    org = of_set_2()
    holds(state(org, replace(TAKEN, people=())))
    assert people(org) == [()]


@pytest.mark.parametrize(
    "changes",
    [
        {"people": ("teo", "mira")},
        {"people": ("mira", "mira")},
        {"taken_at": NOW + SKEW + SECOND},
        {"taken_at": NOW - ROSTER_KEPT - SECOND},
    ],
    ids=["unsorted", "twice", "future", "old"],
)
def test_a_roster_that_nobody_could_have_read_is_void(changes: dict[str, Any]) -> None:
    """(F-110)"""
    org = of_set_2()
    void(state(org, replace(TAKEN, **changes)), "mismatch")
    assert people(org) == []


def test_an_older_roster_does_not_come_back() -> None:
    """(F-110) Else who left the shift would be on call again."""
    org = of_set_2()
    holds(state(org, TAKEN))
    void(state(org, TAKEN, "roster/2"), "mismatch")
    earlier = replace(TAKEN, people=("bo",), taken_at=NOW - SECOND)
    void(state(org, earlier, "roster/3"), "mismatch")
    assert people(org) == [("mira", "teo")]


def test_a_roster_has_500_people_at_most() -> None:
    org = of_set_2()
    many = tuple(sorted(f"p{number}" for number in range(501)))
    with pytest.raises(MalformedError, match="0 to 500 items, got 501"):
        state(org, replace(TAKEN, people=many))


@pytest.mark.parametrize("role", ["broker", "minter:orders-db", "gate:orders-write"])
def test_nobody_but_the_monitor_states_a_roster(role: str) -> None:
    """(F-110)"""
    void(state(of_set_2(), TAKEN, role=role), "role")


def test_a_roster_is_unknown_under_kinds_1_and_stays_so() -> None:
    """(F-75) (F-110)"""
    org = begun()
    holds(state(org, TAKEN))
    assert people(org) == []
    holds(org.activate_trust(version="2", kinds="2"))
    assert people(org) == []
    holds(state(org, TAKEN, "roster/2"))
    assert people(org) == [("mira", "teo")]


def test_a_late_roster_is_excused_by_no_gap() -> None:
    """(F-79) Who is on call now is no outcome."""
    org = of_set_2()
    org.now += timedelta(hours=1)
    void(org.state_that("monitor", TAKEN, "roster/1", envelope={"at": NOW}), "late")


def test_a_roster_is_forgotten_when_no_policy_can_call_it_fresh() -> None:
    """(F-111)"""
    org = of_set_2()
    holds(state(org, TAKEN))
    before = org.state.digest()
    org.now += timedelta(days=15)
    holds(pulse(org))
    assert people(org) == [("mira", "teo")]
    org.now += timedelta(days=1)
    holds(pulse(org))
    assert people(org) == []
    assert org.state.summary()["rosters"] == {}
    assert org.state.digest() != before
    void(state(org, replace(TAKEN, people=("bo",)), "roster/2"), "mismatch")
    alike(org.genesis, org.log.entries())
