"""The fold: looks at what the evidence rests on, repeated by the monitor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from breakglass.clock import format_time
from breakglass.records.kinds.attested import Attested, Attesting
from breakglass.records.record_reader import parse_record

from ..kit.organisation import NOW, SECOND, SKEW, Organisation
from .folding import begun, holds, void

LOOK = Attested("archive", "worm", Attesting.HELD, NOW, "ab" * 32, "a bucket: 9 looks")


def state(org: Organisation, body: Attested, ident: str) -> Any:
    return org.state_that("monitor", body, ident)


def test_a_look_holds_once_and_is_read_as_it_was_written() -> None:
    """(F-40) Whoever repeats an old look makes nothing look newer than it is."""
    org = begun()
    holds(state(org, LOOK, "attested/1"))
    assert parse_record(org.log.notes[-1]).body == LOOK
    void(state(org, LOOK, "attested/2"), "mismatch")
    void(state(org, replace(LOOK, looked=NOW - SECOND), "attested/3"), "mismatch")
    holds(state(org, replace(LOOK, looked=NOW + SECOND), "attested/4"))
    found = org.state.monitor.attested["archive", "worm"]
    assert (found.outcome, found.looked) == ("held", NOW + SECOND)


def test_looks_at_other_things_are_counted_apart() -> None:
    """(F-40)"""
    org = begun()
    holds(state(org, LOOK, "attested/1"))
    holds(state(org, replace(LOOK, about="worm-2"), "attested/2"))
    holds(state(org, replace(LOOK, subject="clock"), "attested/3"))


def test_a_look_from_the_future_is_void() -> None:
    """(F-40) It would keep the bell silent until then."""
    org = begun()
    void(state(org, replace(LOOK, looked=NOW + SKEW + SECOND), "attested/1"), "mismatch")
    holds(state(org, replace(LOOK, looked=NOW + SKEW), "attested/2"))


@pytest.mark.parametrize("outcome", list(Attesting))
def test_the_state_shows_what_was_found(outcome: Attesting) -> None:
    """(F-40)"""
    org = begun()
    before = org.state.digest()
    holds(state(org, replace(LOOK, outcome=outcome), "attested/1"))
    assert org.state.summary()["attested"] == {
        "archive worm": f"{org.state.size - 1} {outcome.value} {format_time(LOOK.looked)}"
    }
    assert org.state.digest() != before


def test_only_the_monitor_attests() -> None:
    """(F-40)"""
    org = begun()
    void(org.state_that("broker", LOOK, "attested/1"), "role")
