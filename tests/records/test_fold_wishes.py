"""One wish and its intents: two replicas, an ask and the break behind it, a machine's cap."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from breakglass.records import all_kinds as kinds
from breakglass.records.grant import Path
from breakglass.records.kinds.bypassed import GateState
from breakglass.records.statement import Do, digest_of

from ..kit.organisation import NOW, SECOND, Broken, Organisation, signer
from .folding import begun, holds, last, void

MINUTE = timedelta(minutes=1)


class Second(str):
    """A second replica's line in the trust file: the same role, another key."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def two_brokers() -> tuple[Organisation, Any]:
    org, two = Organisation(), Second("broker")
    org.submitters[two] = signer("broker-b.shop.example")
    org.begin()
    return org, two


def approved(org: Organisation, by: str, role: Any = "broker", **how: Any) -> Broken:
    said = org.statement(do=Do.ASK, at=NOW)
    signed = org.sign(said)
    nonce = {"sam": "aa", "noor": "bb"}[by] * 16
    yes = org.sign(org.answer(digest_of(signed.text), who=by, nonce=nonce))
    return org.break_glass(said=said, signed=signed, approvals=(yes,), role=role, **how)


def test_two_brokers_who_each_heard_another_approver_race_quietly() -> None:
    """(F-90) Both are honest, and the second gives nothing that the first does not."""
    org, two = two_brokers()
    first = approved(org, "sam")
    holds(last(org))
    org.now += MINUTE  # the second one's clock; it counts life and review from there
    card = Organisation().card_note()
    approved(org, "noor", two, card=card)
    void(last(org), "lost_race", quiet=True)
    assert org.state.grants.by_id[first.grant].index == first.index


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ({"gates": ()}, {}, "gates"),
        ({"not_after": NOW + SECOND}, {}, "not_after"),
        ({"not_before": NOW + SECOND}, {"not_before": NOW - 2 * MINUTE}, "not_before"),
        ({}, {"review_by": NOW + timedelta(days=9)}, "review_by"),
        ({"gates": (), "not_after": NOW + SECOND}, {}, "gates, not_after"),
    ],
)
def test_a_second_intent_that_gives_more_is_loud_and_says_who_signed_it(
    first: dict[str, Any], second: dict[str, Any], name: str
) -> None:
    """(F-90) Else a harmless one in the log would cover the one that is shown to a gate."""
    org, two = two_brokers()
    counted = approved(org, "sam", intent=first)
    holds(last(org))
    shown = approved(org, "noor", two, intent=second)
    void(last(org), "id_taken")
    why = last(org).why
    assert f"entry {shown.index}, signed by {org.submitters[two].verifier.label}" in why
    assert f"gives more ({name}) than entry {counted.index}" in why


def test_an_ask_is_granted_by_its_approval_and_as_asked() -> None:
    """(F-25) (F-28) The path follows from the statement, in every record."""
    org = begun()
    signed = org.sign(org.statement(do=Do.ASK))
    void(org.state_that("broker", org.asked(signed, path=Path.GLASS)), "mismatch")
    holds(org.state_that("broker", org.asked(signed)))
    broken = approved(org, "sam")
    holds(last(org))
    assert broken.intent.path is Path.JIT


def asked(org: Organisation, **said: Any) -> str:
    signed = org.sign(org.statement(do=Do.ASK, nonce="a5" * 16, **said))
    holds(org.state_that("broker", org.asked(signed, path=Path.JIT)))
    return digest_of(signed.text)


def test_a_break_behind_an_ask_that_nobody_answered() -> None:
    """(F-91) The ask is then waited for no more, and is named once."""
    org, card = begun(), Organisation().card_note()
    after = asked(org)
    org.now += 3 * MINUTE
    org.break_glass(statement={"after": after}, card=card)
    holds(last(org))
    assert org.state.grants.asked == {}
    org.break_glass(statement={"after": after, "nonce": "cc" * 16}, card=card)
    void(last(org), "after_mismatch")


@pytest.mark.parametrize(
    "said",
    [
        {"who": "sam"},
        {"glass": "orders-repair"},
        {"incident": ""},
        {"at": NOW + 11 * MINUTE},
        {"after": "ab" * 32},
    ],
)
def test_a_break_that_names_an_ask_of_something_else_is_void(said: dict[str, Any]) -> None:
    """(F-91)"""
    org = begun()
    after = asked(org)
    card = org.card_note(said.get("glass", "deploy-rollback"))
    org.now = said.get("at", org.now)
    org.break_glass(statement={"after": after, **said}, card=card)
    void(last(org), "after_mismatch")


def test_a_break_takes_no_more_than_the_ask_that_it_names() -> None:
    """(F-91)"""
    org = begun()
    narrow = {"databases": ("orders",), "roles": ("look",)}
    after = asked(org, glass="orders-repair", scope=narrow)
    org.break_glass(statement={"glass": "orders-repair", "after": after})
    void(last(org), "after_mismatch")


def test_a_break_behind_an_ask_that_was_approved_is_no_second_grant() -> None:
    """(F-91)"""
    org = begun()
    broken = approved(org, "sam")
    org.break_glass(statement={"after": digest_of(broken.signed.text), "nonce": "cc" * 16})
    void(last(org), "granted_already")


def acts(org: Organisation, nonce: int) -> Any:
    org.break_glass(
        statement={"do": Do.MACHINE, "nonce": f"{nonce:032x}"},
        key=org.machine,
        card=Organisation().card_note("auto-rollback"),
    )
    return last(org)


def test_a_machine_acts_no_more_often_than_its_card_says() -> None:
    """(F-92) Three times in an hour, a minute between two, by the witnesses' time."""
    org = begun()
    holds(acts(org, 1))
    org.now += 59 * SECOND
    void(acts(org, 2), "machine_cap")
    org.now += SECOND
    holds(acts(org, 3))
    org.now += MINUTE
    holds(acts(org, 4))
    org.now += 57 * MINUTE
    void(acts(org, 5), "machine_cap")
    org.now += MINUTE + SECOND
    holds(acts(org, 6))


def test_a_drill_needs_its_incident_and_opens_no_gate() -> None:
    """(F-28) (F-32) A drill that a gate opened for is a bypass that nobody counts."""
    org = Organisation()
    org.begin(incident=False)
    org.break_glass(statement={"drill": True})
    void(last(org), "no_incident")
    org.open_incident()
    broken = org.break_glass(statement={"drill": True, "nonce": "cc" * 16})
    holds(last(org))
    shown = org.token(broken).presentation
    assert shown is not None
    body = kinds.Bypassed(
        "deploy-approval",
        broken.grant,
        digest_of(broken.signed.text),
        "42",
        GateState.FAILED,
        "",
        shown,
    )
    void(org.state_that("gate:deploy-approval", body), "wrong_gate")
