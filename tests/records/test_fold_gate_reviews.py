"""The fold: what gate reviews decided, by a person's word that the monitor repeats."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from breakglass.records.kinds.gate_reviewed import GateReviewed
from breakglass.records.record_reader import parse_record
from breakglass.records.statement import GateVerdict, Target

from ..kit.organisation import NOW, SECOND, SKEW, Organisation
from ..kit.people import SoftKey
from .folding import begun, holds, void


def state(org: Organisation, body: GateReviewed, ident: str = "") -> Any:
    return org.state_that("monitor", body, ident)


def test_a_gate_review_holds_once_and_is_read_as_it_was_written() -> None:
    """(F-36) Whoever repeats somebody's word takes it for nobody a second time."""
    org = begun()
    body = org.gate_reviewed()
    holds(state(org, body, "gates/1"))
    assert parse_record(org.log.notes[-1]).body == body
    void(state(org, body, "gates/2"), "nonce")
    void(state(org, org.gate_reviewed(org.review_gate(decision="other")), "gates/3"), "nonce")
    holds(state(org, org.gate_reviewed(org.review_gate(nonce="99" * 16)), "gates/4"))


@pytest.mark.parametrize(
    "changes",
    [
        {"gate": "orders-write"},
        {"verdict": GateVerdict.HEALTHY},
        {"decision": "nothing"},
        {"look_again": NOW + timedelta(days=1)},
        {"by": "mira"},
    ],
)
def test_a_monitor_that_says_more_than_the_person_did_is_not_believed(
    changes: dict[str, Any],
) -> None:
    """(F-36)"""
    org = begun()
    void(state(org, replace(org.gate_reviewed(), **changes)), "mismatch")
    holds(state(org, org.gate_reviewed(), "after"))


def test_a_gate_review_is_the_fresh_word_of_somebody_in_the_policy_in_this_log() -> None:
    """(F-36) (F-21)"""
    org = begun()
    stranger = org.gate_reviewed(org.review_gate(who="zoe"), SoftKey.of("zoe"))
    void(state(org, stranger, "1"), "unknown_person")
    void(state(org, org.gate_reviewed(key=SoftKey.of("zoe")), "2"), "foreign_key")
    old = org.review_gate(at=NOW - SKEW - SECOND)
    void(state(org, org.gate_reviewed(old), "3"), "statement_old")
    other = org.review_gate(log="ledger.example/staging")
    void(state(org, org.gate_reviewed(other), "4"), "wrong_log")
    kill = org.sign(org.kill(Target.PERSON, "mira"))
    void(state(org, replace(org.gate_reviewed(), statement=kill), "5"), "wrong_do")
