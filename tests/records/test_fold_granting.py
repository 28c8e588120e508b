"""The fold: the life of a grant."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import Judged
from breakglass.records.kinds.alert import Delivery
from breakglass.records.kinds.answered import Reply
from breakglass.records.kinds.bypassed import GateState
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import Factor
from breakglass.records.statement import Do, Target, digest_of
from breakglass.tlog.note import Note, SignatureLine, sign_note

from ..kit.organisation import NOW, SECOND, SKEW, Broken, Organisation, signer
from ..kit.people import SoftKey
from .folding import (
    MINUTE,
    begun,
    broken_digest,
    ended,
    holds,
    last,
    minted,
    orders,
    refused,
    void,
)

# --- a grant ------------------------------------------------------------------------------------


def test_two_replicas_may_race_quietly() -> None:
    """(F-23)"""
    org = begun()
    signed = org.sign(org.statement())
    holds(org.state_that("broker", org.asked(signed)))
    void(org.state_that("broker", org.asked(signed)), "lost_race", quiet=True)
    org.break_glass()
    holds(last(org))
    note = org.record("broker", org.judged[-1].record.body, "again/intent")  # type: ignore[union-attr]
    judged = org.append(note)
    void(judged, "lost_race", quiet=True)
    grant = next(iter(org.state.grants.by_id))
    holds(ended(org, grant, EndedWhy.NOT_MINTED))
    void(ended(org, grant, EndedWhy.NOT_MINTED), "lost_race", quiet=True)
    void(org.state_that("broker", refused(org, signed)), "lost_race", quiet=True)
    void(org.state_that("broker", org.asked(signed)), "lost_race", quiet=True)


def test_what_was_refused_is_not_intended_afterwards() -> None:
    """(F-24) A stolen broker key cannot use a statement that was turned down."""
    org = begun()
    signed = org.sign(org.statement())
    holds(org.state_that("broker", refused(org, signed)))
    void(last(org, org.break_glass()), "refused_already")
    void(org.state_that("broker", refused(org, signed)), "lost_race", quiet=True)
    void(org.state_that("broker", org.asked(signed)), "lost_race", quiet=True)


def test_asked_is_of_the_statement_that_it_carries() -> None:
    """(F-25)"""
    org = begun()
    signed = org.sign(org.statement())
    void(org.state_that("broker", org.asked(signed, grant="g-aaaaaaaaaaaa")), "wrong_id")
    void(org.state_that("broker", org.asked(org.sign(org.statement(who="bo")))), "mismatch")
    void(
        org.state_that("broker", org.asked(org.sign(org.statement(), SoftKey.of("x")))),
        "foreign_key",
    )
    old = org.sign(org.statement(at=NOW - SKEW - SECOND))
    void(org.state_that("broker", org.asked(old)), "statement_old")
    machine = org.sign(org.statement(do=Do.MACHINE), org.machine)
    factors = replace(org.asked(signed).factors, factor=Factor.ONE)
    holds(org.state_that("broker", org.asked(machine, factors=factors)))
    void(org.state_that("broker", org.asked(machine, factors=factors)), "lost_race", quiet=True)
    stranger = org.sign(org.statement(do=Do.MACHINE, who="nobody"), org.machine)
    void(org.state_that("broker", org.asked(stranger)), "unknown_person")


def test_a_nonce_is_used_once() -> None:
    """(F-26)"""
    org = begun()
    holds(org.state_that("broker", org.asked(org.sign(org.statement()))))
    other = org.sign(org.statement(for_s=60))
    void(org.state_that("broker", org.asked(other)), "nonce")
    void(last(org, org.break_glass(statement={"for_s": 60})), "nonce")


def test_an_answer_is_to_who_asked_and_says_what_the_record_says() -> None:
    """(F-27)"""
    org = begun()
    signed = org.sign(org.statement(glass="key-deletion"))
    grant = org.asked(signed).grant
    nobody = kinds.Answered(grant, Reply.NOBODY, None, ())
    void(org.state_that("broker", nobody), "no_grant")
    holds(org.state_that("broker", org.asked(signed)))
    void(org.state_that("broker", nobody), "not_paged")
    digest = digest_of(signed.text)
    yes = org.sign(org.answer(digest))
    void(org.state_that("broker", replace(nobody, statement=yes)), "mismatch")
    void(org.state_that("broker", kinds.Answered(grant, Reply.NO, yes, ())), "mismatch")
    void(org.state_that("broker", kinds.Answered(grant, Reply.YES, None, ())), "no_statement")
    other = org.sign(org.answer("ab" * 32))
    void(org.state_that("broker", kinds.Answered(grant, Reply.YES, other, ())), "mismatch")
    own = org.sign(org.answer(digest, who="mira"))
    void(org.state_that("broker", kinds.Answered(grant, Reply.YES, own, ())), "mismatch")
    holds(org.state_that("broker", kinds.Answered(grant, Reply.YES, yes, ())))
    void(
        org.state_that("broker", kinds.Answered(grant, Reply.YES, yes, ())), "lost_race", quiet=True
    )
    said = org.statement(glass="key-deletion")
    org.break_glass(said=said, signed=signed, approvals=(yes,))
    holds(last(org))


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({"intent": {"statements": ()}}, "no_statement"),
        ({"key": SoftKey.of("x")}, "foreign_key"),
        ({"statement": {"who": "bo"}}, "weak_factor"),
        ({"statement": {"glass": "key-deletion"}}, "too_few_people"),
        ({"intent": {"gates": ("orders-write",)}}, "scope_widened"),
        ({"statement": {"at": NOW - SKEW - SECOND}}, "statement_old"),
        ({"statement": {"incident": "INC-9"}}, "no_incident"),
        ({"intent": {"handle": "bg_other"}}, "wrong_id"),
        ({"role": "gate:deploy-approval"}, "role"),
        ({"role": "monitor"}, "role"),
        ({"statement": {"do": Do.DOOR}}, "door"),
    ],
)
def test_a_broker_whose_key_was_stolen_opens_nothing(how: dict[str, Any], name: str) -> None:
    """(F-28) The fold judges an intent as a token is judged."""
    org = begun()
    void(last(org, org.break_glass(**how)), name)
    assert org.state.grants.by_id == {}


def test_an_intent_takes_the_card_in_force_when_it_was_written() -> None:
    """(F-28) A card that comes later does not open what came before."""
    org = begun()
    later = org.card_note(issued=NOW + SECOND)
    void(last(org, org.break_glass(card=later)), "wrong_card")
    holds(org.activate_cards({"deploy-rollback": later}))
    void(last(org, org.break_glass(statement={"nonce": "ab" * 16})), "wrong_card")
    org.break_glass(card=later, statement={"nonce": "cd" * 16})
    holds(last(org))


def test_an_intent_under_a_card_that_has_expired_opens_nothing() -> None:
    """(F-28) Maintainers gave the glass for so long; no other rule of the fold looks."""
    org = begun()
    card = org.state.governance.cards["deploy-rollback"]
    org.now = card.card.expires + SECOND
    org.break_glass(card=card.note)
    void(last(org), "card_expired")
    assert org.state.grants.by_id == {}
    other = begun()
    other.now = card.card.expires
    other.break_glass(card=card.note)
    holds(last(other))


def test_who_asked_waits_as_long_as_the_card_says_and_at_least_the_skew() -> None:
    """(F-34) Two clocks may be so far apart; a shorter wait would be over before it began."""
    for wait_s, until in ((600, 10 * MINUTE), (60, SKEW)):
        org = begun()
        org.now += SECOND
        holds(org.activate_cards({"deploy-rollback": org.card_note(wait_s=wait_s, issued=org.now)}))
        signed = org.sign(org.statement())
        holds(org.state_that("broker", org.asked(signed)))
        assert org.state.grants.asked[org.asked(signed).grant].until == org.now + until
    org = begun()
    signed = org.sign(org.statement(glass="no-such-glass"))
    holds(org.state_that("broker", org.asked(signed)))
    assert org.state.grants.asked[org.asked(signed).grant].until == NOW + timedelta(hours=1)


def test_the_door_is_judged_by_its_custodians_when_the_ledger_is_back() -> None:
    """(F-29) An extra line does not excuse an intent from its time."""
    org = begun(door="yes")
    line = sign_note("x\n", signer("nobody.example")).lines[0]
    late = NOW + 60 * MINUTE
    before = org.chains["broker"].seq, org.chains["broker"].prev
    void(last(org, org.break_glass(lines=[line], witnessed=late)), "extra_lines")
    org.chains["broker"].seq, org.chains["broker"].prev = before
    void(org.append(org.door_intent(("ines",)), at=late), "custodians")
    note = org.door_intent(nonce="ab" * 16)
    grant = parse_record(note).body.grant
    assert grant not in org.state.grants.by_id
    holds(org.append(note, at=late))
    assert grant in org.state.grants.by_id


def test_a_holder_who_appends_a_variant_first_spoils_nothing() -> None:
    """(F-10) (F-29) With a line more the note moves no chain; the honest one stands behind it."""
    org = begun(door="yes")
    note = org.door_intent()
    line = SignatureLine("x", b"\0\0\0\1", b"y" * 64)
    void(org.append(Note.parse(note).with_lines(line).encoded()), "extra_lines")
    holds(org.append(note))
    assert parse_record(note).body.grant in org.state.grants.by_id


def test_a_suspended_custodian_opens_no_door() -> None:
    """(F-29)"""
    org = begun(door="yes")
    card = org.card_note()
    org.people["ines"] = org.custodians["ines"]
    org.state.governance.people = org.policy_people
    stop = org.kill(Target.PERSON, "ines")
    holds(org.state_that("broker", kinds.Suspended(stop.target, stop.name, True, org.sign(stop))))
    org.people.pop("ines")
    void(org.append(org.door_intent(card=card)), "suspended")


def test_a_door_intent_comes_within_a_day() -> None:
    """(F-29)"""
    org = begun(door="yes")
    void(org.append(org.door_intent(), at=NOW + timedelta(hours=25)), "proven_late")


def test_the_life_of_a_grant() -> None:
    """(F-30) (F-31) (F-70) (F-71)"""
    org = begun()
    broken = orders(org)
    grant = broken.grant
    role = "minter:orders-db"
    void(org.state_that(role, kinds.Dead(grant, "", 1, 0, ())), "not_ended")
    holds(minted(org, broken))
    void(minted(org, broken), "lost_race", quiet=True)
    usable = kinds.Usable(grant, "select 1", 30)
    holds(org.state_that(role, usable))
    void(org.state_that(role, usable), "lost_race", quiet=True)
    void(ended(org, grant, EndedWhy.IDLE), "role")
    void(ended(org, grant, EndedWhy.EXPIRED, role=role), "not_yet")
    void(ended(org, grant, EndedWhy.INCIDENT_CLOSED, role=role), "mismatch")
    done = org.answer(broken_digest(broken), do=Do.DONE, who="sam", nonce="88" * 16)
    void(ended(org, grant, EndedWhy.DONE, org.sign(done), role), "mismatch")
    void(ended(org, grant, EndedWhy.DONE, None, role), "no_statement")
    kill = org.kill(Target.PERSON, "teo", nonce="99" * 16)
    void(ended(org, grant, EndedWhy.KILLED, org.sign(kill), role), "mismatch")
    old = org.kill(Target.GRANT, grant, at=NOW - SKEW - SECOND)
    void(ended(org, grant, EndedWhy.KILLED, org.sign(old), role), "mismatch")
    mine = org.sign(replace(done, who="mira"))
    holds(ended(org, grant, EndedWhy.DONE, mine, role))
    assert not org.state.grants.by_id[grant].live(org.now)
    void(minted(org, broken), "after_end")
    void(org.state_that(role, usable), "after_end")
    holds(org.state_that(role, kinds.Dead(grant, "login refused", 900, 1, ())))
    void(org.state_that(role, kinds.Dead(grant, "", 1, 0, ())), "lost_race", quiet=True)
    assert org.state.grants.by_id[grant].deadline() is None
    void(org.state_that(role, kinds.Dead("g-aaaaaaaaaaaa", "", 1, 0, ())), "no_grant")


def test_nothing_is_minted_before_its_intent_or_after_its_expiry() -> None:
    """(F-30) The skew allowed at both."""
    for told in (minted, tried):
        org = begun()
        broken = orders(org)
        org.now = NOW - SKEW - SECOND
        void(told(org, broken), "before_intent")
        org.now = NOW - SKEW
        holds(told(org, broken))
        org = begun()
        broken = orders(org)
        org.now = broken.intent.not_after + SKEW
        holds(told(org, broken))
        org = begun()
        broken = orders(org)
        org.now = broken.intent.not_after + SKEW + SECOND
        void(told(org, broken), "after_end")


def tried(org: Organisation, broken: Broken) -> Judged:
    return org.state_that("minter:orders-db", kinds.Usable(broken.grant, "select 1", 30))


def test_another_minter_says_nothing_of_a_grant() -> None:
    """(F-30) (F-70) (F-71)"""
    org = begun()
    broken = org.break_glass()
    void(minted(org, broken), "role")
    void(org.state_that("minter:orders-db", kinds.Usable(broken.grant, "", 1)), "role")
    void(org.state_that("minter:orders-db", kinds.Dead(broken.grant, "", 1, 0, ())), "role")


def test_overlapping_grants_of_one_person_are_two() -> None:
    org = begun()
    first, second = orders(org), orders(org, statement={"nonce": "ab" * 16})
    holds(ended(org, first.grant, EndedWhy.IDLE, role="minter:orders-db"))
    assert org.state.grants.by_id[second.grant].live(org.now)


def bypass(org: Organisation, broken: Broken, run: str = "42", **changes: Any) -> Judged:
    shown = org.token(broken, run).presentation
    assert shown is not None
    body = kinds.Bypassed(
        "deploy-approval", broken.grant, broken_digest(broken), run, GateState.FAILED, "", shown
    )
    return org.state_that("gate:deploy-approval", replace(body, **changes))


def test_a_bypass_counts_once_per_run_and_only_if_its_holder_showed_it() -> None:
    """(F-32) A stolen gate key inflates nobody's count."""
    org = begun()
    broken = org.break_glass()
    holds(bypass(org, broken))
    void(bypass(org, broken), "lost_race", quiet=True)
    holds(bypass(org, broken, "43"))
    void(bypass(org, broken, run="44", statement="ab" * 32), "presentation")
    shown = org.token(broken, "45").presentation
    void(bypass(org, broken, run="46", presentation=shown), "presentation")
    forged = org.token(broken, "47", key=SoftKey.of("x")).presentation
    void(bypass(org, broken, run="47", presentation=forged), "foreign_key")
    void(bypass(org, broken, gate="orders-write"), "role")
    assert org.state.grants.by_id[broken.grant].bypasses == 2
    org.now = broken.intent.not_after + SKEW + SECOND
    void(bypass(org, broken, "48"), "after_end")


def test_a_gate_opens_for_a_grant_of_its_own_and_within_its_time_only() -> None:
    """(F-32) A stolen gate key hangs its passages on nobody's grant."""
    org = begun()
    broken = org.break_glass()
    shown = org.token(broken, "42", "gate:orders-write").presentation
    assert shown is not None
    body = kinds.Bypassed(
        "orders-write", broken.grant, broken_digest(broken), "42", GateState.FAILED, "", shown
    )
    void(org.state_that("gate:orders-write", body), "wrong_gate")
    org.now = NOW - SKEW - SECOND
    void(bypass(org, broken), "before_intent")
    org.now = NOW - SKEW
    holds(bypass(org, broken))
    assert org.state.grants.by_id[broken.grant].bypasses == 1


def test_a_bypass_of_a_grant_that_was_handed_back_still_is_a_fact() -> None:
    """(F-32) An offline gate cannot know."""
    org = begun()
    broken = org.break_glass()
    holds(ended(org, broken.grant, EndedWhy.NOT_MINTED))
    holds(bypass(org, broken))


def test_the_monitors_records() -> None:
    """(F-33) (F-38) (F-73)"""
    org = begun()
    broken = org.break_glass()
    void(org.state_that("monitor", kinds.Pulse(99, ())), "mismatch")
    rung = kinds.Alert(
        "glass", broken.grant, broken.index, "sink", ("sink",), Delivery.FAILED, "", 1, ""
    )
    holds(org.state_that("monitor", rung))
    assert org.state.grants.by_id[broken.grant].rung_at is None
    holds(org.state_that("monitor", replace(rung, delivery=Delivery.DELIVERED)))
    assert org.state.grants.by_id[broken.grant].rung_at == org.now
    org.justify(broken, leaf="ab" * 32)
    void(last(org), "mismatch")
    body = kinds.Justified(
        broken.grant, org.log.leaves[broken.index].hex(), broken.index, broken.intent.policy
    )
    holds(org.state_that("monitor", body))
    note = org.record("monitor", org.judged[-1].record.body, "again")  # type: ignore[union-attr]
    void(org.append(note), "lost_race", quiet=True)
