"""The fold: who may state what, and what people say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from breakglass.records import all_kinds as kinds
from breakglass.records.card import card_digest
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.kinds.alert import Delivery
from breakglass.records.kinds.answered import Reply
from breakglass.records.kinds.attested import Attesting
from breakglass.records.kinds.bypassed import GateState
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.kinds.standing import Occasion
from breakglass.records.record import Attachment
from breakglass.records.record_reader import parse_record
from breakglass.records.statement import Do, Target, digest_of
from breakglass.tlog.note import Note

from ..kit.organisation import NOW, SECOND, SKEW, Organisation, cards_attachment, signer
from ..kit.people import SoftKey
from .folding import (
    begun,
    holds,
    last,
    orders,
    void,
)

# --- authority ----------------------------------------------------------------------------------


def bodies() -> dict[str, Any]:
    org = begun()
    broken = orders(org)
    signed = org.sign(org.statement())
    shown = org.token(broken).presentation
    assert shown is not None
    digest = digest_of(signed.text)
    listed = [parse_record(note).body for note in org.log.notes[:5]] + [
        org.asked(signed),
        kinds.Refused(
            **{
                f: getattr(org.asked(signed), f)
                for f in ("grant", "path", "statement", "factors", "decision")
            },
            name="no",
        ),
        kinds.Answered(broken.grant, Reply.NOBODY, None, ()),
        kinds.Withdrawn(broken.grant, signed),
        broken.intent,
        kinds.Minted(broken.grant, "postgres", "x", {}, NOW, 1),
        kinds.Usable(broken.grant, "", 1),
        kinds.Ended(broken.grant, EndedWhy.IDLE, "", None),
        kinds.Dead(broken.grant, "", 1, 0, ()),
        kinds.Suspended(Target.PERSON, "mira", True, signed),
        kinds.Bypassed("orders-write", broken.grant, digest, "42", GateState.FAILED, "", shown),
        kinds.Passages("orders-write", NOW, NOW, 1, 0, 0, 0, 0, 1, 1, ()),
        kinds.Door(broken.grant, "cd" * 32, "mira", "orders-repair", "42", NOW, ("ines",), "away"),
        kinds.Alert("x", "y", 1, "sink", ("sink",), Delivery.DELIVERED, "", 1, ""),
        kinds.KeyHandedOver("broker", "a", "b", 1, "", ""),
        kinds.Pulse(0, ()),
        kinds.Justified(broken.grant, "ab" * 32, 5, broken.intent.policy),
        org.gate_reviewed(),
        kinds.Attested("archive", "worm", Attesting.HELD, NOW, "ab" * 32, ""),
        kinds.Roster("oncall-shop", ("mira",), "file:oncall.json", NOW),
        kinds.AllSuspended(True, signed),
        kinds.Standing("orders-db", Occasion.DAILY, (), (), {}, (), "ab" * 32, ZERO_DIGEST, NOW),
    ]
    return {body.kind: body for body in listed}


SURVEYOR = "minter:orders-db.survey"
MAY = {
    "broker": "genesis trust policy cards key suspended all_suspended incident asked refused"
    " answered withdrawn intent ended gap",
    "minter:orders-db": "minted usable ended dead door gap",
    "minter:orders-db.survey": "standing minted usable ended dead door gap",
    "monitor": "alert pulse justified gate_reviewed attested roster gap",
    "gate:orders-write": "bypassed passages door gap",
}


@pytest.mark.parametrize("role", MAY)
def test_a_role_states_its_own_kinds_and_no_others(role: str) -> None:
    """(F-16) A stolen gate key's intent is void, whatever it says."""
    org = begun()
    org.submitters[SURVEYOR] = signer("orders-db-survey.shop.example")
    holds(org.activate_trust(version="2", kinds="2"))
    holds(org.activate_trust(version="3", kinds="3"))
    for kind, body in bodies().items():
        attached = [b"x"] if kind in ("trust", "policy", "cards") and role == "broker" else []
        judged = org.append(org.record(role, body, f"{role}/{kind}", attachments=attached))
        assert (judged.void == "role") == (kind not in MAY[role].split()), (role, kind, judged)
    assert set(bodies()) | {"gap"} == set(kinds.KINDS.by_name)


def test_one_maintainer_alone_activates_nothing() -> None:
    """(F-17) (F-18)"""
    org = begun()
    one = {"ana": org.maintainers["ana"]}
    org.policy_version = 8
    body = kinds.Policy(8, org.policy_digest, "4f2c9d1")
    data = [org.bundle, org.policy_note(signers=one)]
    void(org.state_that("broker", body, attachments=data), "policy_signatures")
    assert org.state.governance.policy is not None
    assert org.state.governance.policy.version == 7
    notes = {"deploy-rollback": org.card_note(signers=one, version=7)}
    org.policy_version = 7
    void(org.activate_cards(notes), "card_signatures")
    text = org.trust_text(version="2")
    file = org.people_sign(text, "breakglass-trust@v1", one)
    body2 = kinds.TrustActivated(2, digest_of(text))
    void(org.state_that("broker", body2, attachments=[file]), "trust_signatures")


def test_policy_trust_and_cards_do_not_go_back() -> None:
    """(F-17) (F-18) (F-19)"""
    org = begun()
    first_note = org.policy_note()
    org.policy_version, org.bundle = 8, b"version 8\n"
    org.activate_policy()
    assert all(each.holds for each in org.judged[-2:])
    old = kinds.Policy(
        7, Attachment.of(b"the bundle of shop.example, version 7\n").digest, "4f2c9d1"
    )
    void(
        org.state_that(
            "broker",
            old,
            "policy/old",
            attachments=[b"the bundle of shop.example, version 7\n", first_note],
        ),
        "policy_order",
    )
    newer = {"deploy-rollback": org.card_note(issued=NOW + SECOND)}
    holds(org.activate_cards(newer))
    void(org.activate_cards({"deploy-rollback": org.card_note()}), "card_order")
    holds(org.activate_trust(version="2", policy_at_least="8"))
    first = kinds.TrustActivated(1, digest_of(org.trust_text()))
    again = org.state_that("broker", first, "trust/again", attachments=[org.trust_note()])
    void(again, "trust_order")
    holds(org.activate_trust(version="3", policy_at_least="9"))
    assert org.state.governance.cards == {}
    void(last(org, org.break_glass()), "no_card")


def test_a_policy_and_its_cards_come_with_their_lists_of_people() -> None:
    """(F-18) (F-19) The list is the one that maintainers signed, whole."""
    org = begun()
    org.policy_version, org.bundle = 8, b"version 8\n"
    body = kinds.Policy(8, org.policy_digest, "4f2c9d1")
    parts = [org.bundle, org.policy_note()]
    people = org.policy_people.encoded()
    fewer = people[: people.rstrip(b"\n").rindex(b"\n") + 1]
    void(org.state_that("broker", body, attachments=parts), "malformed")
    void(org.state_that("broker", body, attachments=[*parts, fewer]), "malformed")
    assert org.state.governance.may_kill("sam")
    holds(org.state_that("broker", body, "policy/8", attachments=[*parts, people]))
    note = {"deploy-rollback": org.card_note()}
    digests = {glass: card_digest(Note.parse(each)) for glass, each in note.items()}
    cards = kinds.Cards(org.policy_digest, 8, digests)
    table = cards_attachment(note)
    void(org.state_that("broker", cards, attachments=[table]), "mismatch")
    void(org.state_that("broker", cards, attachments=[table, people]), "mismatch")
    assert org.state.governance.cards == {}
    lists = [people, org.card_people().encoded()]
    holds(org.state_that("broker", cards, attachments=[table, *lists]))
    assert org.state.governance.cards["deploy-rollback"].people.by_name["sam"].may == (
        "approve",
        "break",
        "review",
    )


def test_whoever_holds_the_brokers_key_takes_no_glass_away() -> None:
    """(F-19) An empty table of cards changes nothing."""
    org = begun()
    standing = dict(org.state.governance.cards)
    body = kinds.Cards(org.policy_digest, 7, {})
    holds(org.state_that("broker", body, attachments=[b"{}"]))
    assert org.state.governance.cards == standing


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"[]", "bad_json"),
        (b'{"a":1}', "bad_json"),
        (b"\xff", "bad_json"),
        (b'{"a":"x","a":"y"}', "duplicate_key"),
        (b'{"a":"\\ud800"}', "bad_text"),
        (b'{ "a":"x"}', "not_canonical"),
        (b'{"a":"x"}', "bad_note"),
        (b'"' * 9, "bad_json"),
        ('{"a":"x"}'.encode("utf-16"), "bad_json"),
    ],
)
def test_malformed_cards_are_void_by_name(data: bytes, name: str) -> None:
    """(F-19)"""
    org = begun()
    body = kinds.Cards(org.policy_digest, 7, {})
    void(org.state_that("broker", body, attachments=[data]), name)
    void(org.state_that("broker", body, attachments=[]), "malformed")


def test_cards_of_another_log_glass_or_policy_are_void() -> None:
    """(F-19)"""
    org = begun()
    void(org.activate_cards({"orders-repair": org.card_note()}), "mismatch")
    void(org.activate_cards(version=8), "wrong_policy")
    void(org.activate_cards(cards={"deploy-rollback": "ab" * 32}), "mismatch")
    other = {"deploy-rollback": org.card_note(version=8)}
    void(org.activate_cards(other), "mismatch")
    assert cards_attachment({}) == b"{}"


# --- what people say ----------------------------------------------------------------------------


def test_an_incident_is_declared_by_a_person_and_once() -> None:
    """(F-20)"""
    org = begun(people={"mira": Organisation().people["mira"], "sam": Organisation().people["sam"]})
    void(org.open_incident(), "lost_race", quiet=True)
    other = {"incident": "INC-2", "nonce": "44" * 16}
    stranger = org.sign(org.declare(who="zoe", **other), SoftKey.of("zoe"))
    void(org.open_incident(incident="INC-2", statement=stranger), "unknown_person")
    machine = org.sign(org.declare(who="rollback-on-5xx", **other), org.machine)
    void(org.open_incident(incident="INC-2", statement=machine), "unknown_person")
    void(org.open_incident(incident="INC-2", statement=None), "no_statement")
    word = org.sign(org.declare(**other))
    void(org.open_incident(incident="INC-2", statement=word, severity="SEV2"), "mismatch")
    void(org.open_incident(incident="INC-3", statement=word), "mismatch")
    closing = org.sign(org.declare(do=Do.CLOSE, **other))
    void(org.open_incident(incident="INC-2", statement=closing), "mismatch")
    holds(org.open_incident(incident="INC-2", statement=word))
    closing = org.sign(org.declare(do=Do.CLOSE, incident="INC-2", nonce="55" * 16))
    closed = {"incident": "INC-2", "change": IncidentChange.CLOSED, "statement": closing}
    holds(org.open_incident(**closed))
    void(org.open_incident(**closed), "lost_race", quiet=True)
    void(org.open_incident(incident="INC-2", statement=word), "nonce")
    void(org.open_incident(**{**closed, "incident": "INC-9"}), "no_incident")
    void(last(org, org.break_glass(statement={"incident": "INC-2"})), "no_incident")


def test_an_incident_from_outside_is_not_made_graver_by_a_persons_word() -> None:
    """(F-20) Self-declared incidents satisfy contained glasses alone."""
    org = begun()
    outside = {"incident": "INC-2", "severity": "SEV3", "self_declared": False, "statement": None}
    void(org.open_incident(**outside), "no_source")
    body = kinds.Incident("INC-2", IncidentChange.OPENED, "SEV3", "slow", "pager", False, None)
    holds(org.state_that("broker", body, attachments=[b"signed by the pager"]))
    assert not org.state.incidents.by_id["INC-2"].self_declared
    word = org.sign(org.declare(incident="INC-2", severity="SEV1", nonce="66" * 16))
    holds(org.open_incident(incident="INC-2", change=IncidentChange.UPDATED, statement=word))
    assert org.state.incidents.by_id["INC-2"].self_declared
    assert org.state.incidents.by_id["INC-2"].severity == "SEV1"


def test_a_word_is_of_about_the_records_time_of_this_log_and_form() -> None:
    """(F-21)"""
    org = begun()
    other = {"incident": "INC-2", "nonce": "44" * 16}
    for said, name in (
        (org.declare(at=NOW - SKEW - SECOND, **other), "statement_old"),
        (org.declare(log="ledger.example/staging", **other), "wrong_log"),
        (org.kill(Target.PERSON, "mira"), "wrong_do"),
        (org.declare(nonce="33" * 16, incident="INC-2"), "nonce"),
    ):
        void(org.open_incident(incident="INC-2", statement=org.sign(said)), name)


def test_a_kill_stops_and_only_a_lift_lets_go() -> None:
    """(F-22) The kill's own statement, shown again with the other meaning, does nothing."""
    org = begun()
    kill = org.sign(org.kill(Target.PERSON, "mira"))
    stop = kinds.Suspended(Target.PERSON, "mira", True, kill)
    void(org.state_that("broker", replace(stop, name="teo")), "mismatch")
    holds(org.state_that("broker", stop))
    void(org.state_that("broker", stop), "lost_race", quiet=True)
    void(org.state_that("broker", replace(stop, active=False)), "mismatch")
    void(last(org, org.break_glass()), "suspended")
    lift = org.sign(org.kill(Target.PERSON, "mira", do=Do.LIFT, nonce="77" * 16))
    holds(org.state_that("broker", kinds.Suspended(Target.PERSON, "mira", False, lift)))
    void(org.state_that("broker", stop), "nonce")
    org.break_glass(statement={"nonce": "ab" * 16})
    holds(last(org))


def test_only_those_who_may_kill_do_and_not_while_they_are_stopped() -> None:
    """(F-22)"""
    org = begun()
    other = org.sign(org.kill(Target.PERSON, "sam", who="mira"))
    void(
        org.state_that("broker", kinds.Suspended(Target.PERSON, "sam", True, other)),
        "unknown_person",
    )
    own = org.sign(org.kill(Target.PERSON, "sam"))
    holds(org.state_that("broker", kinds.Suspended(Target.PERSON, "sam", True, own)))
    lift = org.sign(org.kill(Target.PERSON, "sam", do=Do.LIFT, nonce="77" * 16))
    void(org.state_that("broker", kinds.Suspended(Target.PERSON, "sam", False, lift)), "suspended")
    said = org.statement(glass="key-deletion")
    signed = org.sign(said)
    yes = org.sign(org.answer(digest_of(signed.text)))
    void(last(org, org.break_glass(said=said, signed=signed, approvals=(yes,))), "suspended")


@pytest.mark.parametrize("target", [Target.GRANT, Target.GLASS])
def test_a_stopped_grant_or_glass_is_not_live(target: Target) -> None:
    """(F-22)"""
    org = begun()
    broken = org.break_glass()
    name = broken.grant if target is Target.GRANT else "deploy-rollback"
    kill = org.sign(org.kill(target, name))
    holds(org.state_that("broker", kinds.Suspended(target, name, True, kill)))
    if target is Target.GRANT:
        assert not org.state.grants.by_id[broken.grant].live(org.now)
    void(
        last(org, org.break_glass(statement={"nonce": "ab" * 16, "glass": "deploy-rollback"})),
        "suspended",
    ) if (target is Target.GLASS) else None
