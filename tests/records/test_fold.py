"""The fold: form, authority and order, and what a void record may not do."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import MalformedError, UnavailableError, UnprovenError
from breakglass.records import kinds
from breakglass.records.fold import Judged, apply, fold
from breakglass.records.judging import Entry
from breakglass.records.kinds.gates import GateState
from breakglass.records.kinds.grants import EndedWhy, Intent, Reply
from breakglass.records.kinds.incidents import IncidentChange
from breakglass.records.kinds.monitoring import Delivery
from breakglass.records.proven import Proven, prove
from breakglass.records.record import (
    KINDS,
    Attachment,
    Envelope,
    Unknown,
    parse_attachments,
    parse_record,
    record_text,
)
from breakglass.records.signing import Factor
from breakglass.records.state import State
from breakglass.records.statement import Do, Target, digest_of
from breakglass.tlog.note import Note, sign_note

from ..kit.organisation import NOW, SECOND, SKEW, Broken, Organisation, cards_attachment, signer
from ..kit.people import SoftKey

MINUTE = timedelta(minutes=1)


def begun(**how: Any) -> Organisation:
    org = Organisation(**how)
    org.begin()
    assert [each.void for each in org.judged] == [""] * 5
    return org


def void(judged: Judged, name: str, *, quiet: bool = False) -> None:
    assert (judged.void, judged.quiet) == (name, quiet), judged.why
    assert not judged.holds
    assert judged.why or judged.void


def holds(judged: Judged) -> None:
    assert judged.holds, (judged.void, judged.why)


def pulse(org: Organisation, **how: Any) -> Judged:
    return org.state_that("monitor", kinds.Pulse(0, ("sink",)), **how)


def minted(org: Organisation, broken: Broken, **how: Any) -> Judged:
    body = kinds.Minted(broken.grant, "postgres", "x", {}, broken.intent.not_after, 3)
    return org.state_that("minter:orders-db", body, **how)


def ended(
    org: Organisation, grant: str, why: EndedWhy, statement: Any = None, role: str = "broker"
) -> Judged:
    return org.state_that(role, kinds.Ended(grant, why, "", statement))


def orders(org: Organisation, **how: Any) -> Broken:
    how["statement"] = {"glass": "orders-repair", **how.get("statement", {})}
    return org.break_glass(**how)


# --- beginning ----------------------------------------------------------------------------------


def test_everybody_who_folds_the_same_entries_has_the_same_state() -> None:
    """(F-1)"""
    org = begun()
    broken = orders(org)
    holds(minted(org, broken))
    again = fold(org.genesis, org.log.entries())
    assert again.digest() == org.state.digest()
    assert again.summary() == org.state.summary()
    pulse(org)
    assert again.digest() != org.state.digest()


def test_an_entry_that_is_not_the_next_one_is_the_followers_own_mistake() -> None:
    org = begun()
    with pytest.raises(ValueError, match="is not the next one"):
        apply(org.state, org.log.entries()[0])


def test_a_log_of_another_genesis_holds_nothing() -> None:
    """(F-2)"""
    org = begun()
    state = fold("ab" * 32, org.log.entries())
    assert [name for _, name in state.void] == ["genesis", *["no_trust"] * 4]
    assert state.trust is None


def test_without_its_trust_at_entry_1_a_log_never_begins() -> None:
    """(F-3)"""
    org = Organisation()
    org.append(sign_note(org.genesis_text, org.submitters["broker"]).encoded())
    org.chains["broker"] = type(org.chains.setdefault("broker", None) or _chain())(1, org.genesis)
    void(org.open_incident(), "no_trust")
    void(org.activate_trust(), "no_trust")


def _chain() -> Any:
    from ..kit import organisation

    return organisation._Chain()


def start(org: Organisation) -> None:
    org.append(sign_note(org.genesis_text, org.submitters["broker"]).encoded())
    org.chains["broker"] = _chain()
    org.chains["broker"].seq, org.chains["broker"].prev = 1, org.genesis


def test_a_broker_cannot_begin_a_log_with_maintainers_of_its_own() -> None:
    """(F-3) The genesis is pinned; the first trust file is signed by its maintainers."""
    org = Organisation()
    start(org)
    org.maintainers = {"zoe": SoftKey.of("zoe"), "yan": SoftKey.of("yan")}
    void(org.activate_trust(), "trust_genesis")
    assert org.state.trust is None
    assert org.state.submitters == {}


def test_the_genesis_is_signed_by_a_broker_of_the_first_trust_file() -> None:
    """(F-3)"""
    org = Organisation()
    org.append(sign_note(org.genesis_text, signer("stranger.example")).encoded())
    org.chains["broker"] = _chain()
    org.chains["broker"].seq, org.chains["broker"].prev = 1, org.genesis
    void(org.activate_trust(), "submitter")


def test_missing_attachments_stop_a_follower_and_change_nothing() -> None:
    """(F-4) Judging without would make this state differ from everybody else's."""
    org = begun()
    policy = org.log.entries()[2]
    state = fold(org.genesis, org.log.entries()[:2])
    before = state.digest()
    for attachments in ({}, dict.fromkeys(policy.attachments, b"x")):
        with pytest.raises(UnavailableError):
            apply(state, replace(policy, attachments=attachments))
    assert state.digest() == before
    holds(apply(state, policy))


# --- the chain ----------------------------------------------------------------------------------


def test_a_missing_record_shows_once() -> None:
    """(F-7)"""
    org = begun()
    org.record("monitor", kinds.Pulse(0, ()))  # written and never stored
    void(pulse(org), "chain")
    holds(pulse(org))


def test_another_text_before_shows() -> None:
    """(F-7)"""
    org = begun()
    holds(pulse(org))
    void(pulse(org, envelope={"prev": "ab" * 32}), "chain")
    holds(pulse(org))


def test_a_record_that_is_stored_again_moves_nothing() -> None:
    """(F-7) A ledger that repeats old records must not void the next honest one."""
    org = begun()
    holds(pulse(org))
    for note in (org.log.notes[-1], org.log.notes[0], org.log.notes[2]):
        void(org.append(note), "replayed")
    holds(pulse(org))
    holds(
        org.open_incident(
            incident="INC-2", statement=org.sign(org.declare(incident="INC-2", nonce="ab" * 16))
        )
    )


def test_a_record_of_another_log_moves_nothing() -> None:
    """(F-6) Signed by a good key, for the staging log, with a high number."""
    org, staging = begun(), Organisation(log_name="ledger.example/staging")
    staging.begin()
    for note in staging.log.notes[1:]:
        void(org.append(note), "wrong_log")
    holds(pulse(org))
    holds(org.state_that("broker", org.asked(org.sign(org.statement()))))


def test_a_stranger_moves_nothing() -> None:
    """(F-5)"""
    org = begun()
    before = dict(org.state.submitters)
    void(pulse(org, signed_by=signer("stranger.example")), "submitter")
    assert org.state.submitters == before


def test_a_forged_line_moves_nothing() -> None:
    """(F-5)"""
    org = begun()
    note = org.record("monitor", kinds.Pulse(0, ()))
    org.chains["monitor"] = _chain()
    forged = note.replace(b'"size":0', b'"size":1')
    void(org.append(forged), "signature")
    holds(pulse(org))


def test_an_id_stands_once_per_submitter() -> None:
    """(F-7)"""
    org = begun()
    holds(pulse(org, record_id="p"))
    void(pulse(org, record_id="p"), "id_taken")


def test_a_malformed_body_is_void_and_keeps_its_place_in_the_chain() -> None:
    """(F-8)"""
    org = begun()
    text = record_text(org.envelope("monitor", "x"), kinds.Pulse(0, ()))
    text = text.replace('"channels":[]', '"channels":[1]')
    void(org.append(sign_note(text, org.submitters["monitor"]).encoded()), "malformed")
    org.chains["monitor"].seq, org.chains["monitor"].prev = 1, digest_of(text)
    holds(pulse(org))


@pytest.mark.parametrize("note", [b"", b"\xff", b"x\n\n\xe2\x80\x94 a AAAAAAA=\n", b"x" * 20000])
def test_bytes_that_are_no_record_are_void(note: bytes) -> None:
    """(F-8)"""
    org = begun()
    void(org.append(note), "malformed")
    holds(pulse(org))


def test_an_unknown_kind_is_kept_and_not_judged() -> None:
    """(F-9)"""
    org = begun()
    text = record_text(org.envelope("monitor", "x"), kinds.Pulse(0, ()))
    text = text.replace('"kind":"pulse"', '"kind":"weather"')
    judged = org.append(sign_note(text, org.submitters["monitor"]).encoded())
    holds(judged)
    assert judged.record is not None
    assert isinstance(judged.record.body, Unknown)


def test_a_version_of_true_is_not_one() -> None:
    """(D-4)"""
    org = begun()
    text = record_text(org.envelope("monitor", "x"), kinds.Pulse(0, ())).replace(
        '"v":1', '"v":true'
    )
    with pytest.raises(MalformedError):
        parse_record(sign_note(text, org.submitters["monitor"]).encoded())


def test_a_line_beside_the_submitters_is_void() -> None:
    """(F-10)"""
    org = begun()
    line = sign_note("x\n", signer("nobody.example")).lines[0]
    void(pulse(org, lines=[line]), "extra_lines")
    void(_last(org, org.break_glass(lines=[line])), "extra_lines")
    both = sign_note("x\n", org.submitters["broker"]).lines[0]
    void(pulse(org, lines=[both]), "submitter")


def _last(org: Organisation, unused: object = None) -> Judged:
    return org.judged[-1]


def test_a_gates_record_is_small_and_carries_nothing() -> None:
    """(F-11)"""
    org = begun()
    tally = kinds.Passages("deploy-approval", NOW, NOW, 1, 0, 0, 0, 0, 1, 1, ())
    holds(org.state_that("gate:deploy-approval", tally))
    void(org.state_that("gate:deploy-approval", tally, attachments=[b"x"]), "too_large")
    big = replace(tally, flaky=("x" * 190,) * 11)
    void(org.state_that("gate:deploy-approval", big), "too_large")
    assert org.state.passages["deploy-approval"]["passed"] == 1


# --- time ---------------------------------------------------------------------------------------


def test_a_submitters_time_does_not_go_back() -> None:
    """(F-12)"""
    org = begun()
    holds(pulse(org))
    org.now -= SECOND
    void(pulse(org), "time_back")
    org.now += SECOND
    holds(pulse(org))


def test_a_clock_that_jumped_ahead_once_holds_up_nobody() -> None:
    """(F-12) The record was never in time, so its time does not count."""
    org = begun()
    void(pulse(org, envelope={"at": NOW + timedelta(days=365)}), "late")
    holds(pulse(org))


def test_late_records_need_a_gap_that_names_them_and_their_time() -> None:
    """(F-13) (F-14)"""
    org = begun()
    outage = org.now
    back = org.now + 60 * MINUTE
    void(org.append(org.record("monitor", kinds.Pulse(0, ())), at=back), "late")
    seq = org.chains["monitor"].seq
    gap = kinds.Gap(outage, back, "the ledger was away", seq + 1, seq + 2)
    holds(org.append(org.record("monitor", gap), at=back))
    org.now = outage + MINUTE
    holds(org.append(org.record("monitor", kinds.Pulse(0, ())), at=back))
    org.now = back + SKEW + SECOND
    late = org.now + 5 * MINUTE
    void(org.append(org.record("monitor", kinds.Pulse(0, ())), at=late), "late")
    void(org.append(org.record("monitor", kinds.Pulse(0, ())), at=late), "late")


@pytest.mark.parametrize(
    "changes",
    [
        {"first_seq": 0},
        {"first_seq": 9, "last_seq": 8},
        {"last_seq": 20_000},
        {"end": NOW - MINUTE},
    ],
)
def test_a_gap_that_names_what_it_may_not_is_void(changes: dict[str, Any]) -> None:
    """(F-14)"""
    org = begun()
    gap = kinds.Gap(NOW - MINUTE * 0, NOW + SECOND, "x", 5, 6)
    void(org.state_that("monitor", replace(gap, **changes)), "mismatch")


def test_a_gap_does_not_reach_into_the_future() -> None:
    """(F-14)"""
    org = begun()
    gap = kinds.Gap(NOW, NOW + 60 * MINUTE, "x", 5, 6)
    void(org.append(org.record("monitor", gap), at=NOW + SKEW + SECOND), "late")


def test_an_intent_is_never_late_gap_or_not() -> None:
    """(F-15)"""
    org = begun()
    gap = kinds.Gap(NOW, NOW + SECOND, "x", 6, 9)
    holds(org.state_that("broker", gap))
    void(_last(org, org.break_glass(witnessed=NOW + SKEW + SECOND)), "proven_late")
    other = {"nonce": "ab" * 16}
    void(_last(org, org.break_glass(statement=other, by=("w-sec", "worm"))), "proven_late")


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
        broken.intent,
        kinds.Minted(broken.grant, "postgres", "x", {}, NOW, 1),
        kinds.Usable(broken.grant, "", 1),
        kinds.Ended(broken.grant, EndedWhy.IDLE, "", None),
        kinds.Dead(broken.grant, "", 1, 0, ()),
        kinds.Suspended(Target.PERSON, "mira", True, signed),
        kinds.Bypassed("orders-write", broken.grant, digest, "42", GateState.FAILED, "", shown),
        kinds.Passages("orders-write", NOW, NOW, 1, 0, 0, 0, 0, 1, 1, ()),
        kinds.Alarm("x", "y", 1, "sink", Delivery.DELIVERED, "", 1, ""),
        kinds.Pulse(0, ()),
        kinds.Justified(broken.grant, "ab" * 32, 5, broken.intent.policy),
    ]
    return {body.kind: body for body in listed}


MAY = {
    "broker": "genesis trust policy cards suspended incident asked refused answered intent ended"
    " gap",
    "minter:orders-db": "minted usable ended dead gap",
    "monitor": "alarm pulse justified gap",
    "gate:orders-write": "bypassed passages gap",
}


@pytest.mark.parametrize("role", MAY)
def test_a_role_states_its_own_kinds_and_no_others(role: str) -> None:
    """(F-16) A stolen gate key's intent is void, whatever it says."""
    org = begun()
    for kind, body in bodies().items():
        attached = [b"x"] if kind in ("trust", "policy", "cards") and role == "broker" else []
        judged = org.append(org.record(role, body, f"{role}/{kind}", attachments=attached))
        assert (judged.void == "role") == (kind not in MAY[role].split()), (role, kind, judged)
    assert set(bodies()) | {"gap"} == set(KINDS)


def test_one_maintainer_alone_activates_nothing() -> None:
    """(F-17) (F-18)"""
    org = begun()
    one = {"ana": org.maintainers["ana"]}
    org.policy_version = 8
    body = kinds.Policy(8, org.policy_digest, "4f2c9d1")
    data = [org.bundle, org.policy_note(signers=one)]
    void(org.state_that("broker", body, attachments=data), "policy_signatures")
    assert org.state.policy is not None
    assert org.state.policy.version == 7
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
    assert org.state.cards == {}
    void(_last(org, org.break_glass()), "no_card")


def test_whoever_holds_the_brokers_key_takes_no_glass_away() -> None:
    """(F-19) An empty table of cards changes nothing."""
    org = begun()
    standing = dict(org.state.cards)
    body = kinds.Cards(org.policy_digest, 7, {})
    holds(org.state_that("broker", body, attachments=[b"{}"]))
    assert org.state.cards == standing


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
    void(_last(org, org.break_glass(statement={"incident": "INC-2"})), "no_incident")


def test_an_incident_from_outside_is_not_made_graver_by_a_persons_word() -> None:
    """(F-20) Self-declared incidents satisfy contained glasses alone."""
    org = begun()
    outside = {"incident": "INC-2", "severity": "SEV3", "self_declared": False, "statement": None}
    void(org.open_incident(**outside), "no_source")
    body = kinds.Incident("INC-2", IncidentChange.OPENED, "SEV3", "slow", "pager", False, None)
    holds(org.state_that("broker", body, attachments=[b"signed by the pager"]))
    assert not org.state.incidents["INC-2"].self_declared
    word = org.sign(org.declare(incident="INC-2", severity="SEV1", nonce="66" * 16))
    holds(org.open_incident(incident="INC-2", change=IncidentChange.UPDATED, statement=word))
    assert org.state.incidents["INC-2"].self_declared
    assert org.state.incidents["INC-2"].severity == "SEV1"


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
    void(_last(org, org.break_glass()), "suspended")
    lift = org.sign(org.kill(Target.PERSON, "mira", do=Do.LIFT, nonce="77" * 16))
    holds(org.state_that("broker", kinds.Suspended(Target.PERSON, "mira", False, lift)))
    void(org.state_that("broker", stop), "nonce")
    org.break_glass(statement={"nonce": "ab" * 16})
    holds(_last(org))


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
    void(_last(org, org.break_glass(said=said, signed=signed, approvals=(yes,))), "suspended")


@pytest.mark.parametrize("target", [Target.GRANT, Target.GLASS])
def test_a_stopped_grant_or_glass_is_not_live(target: Target) -> None:
    """(F-22)"""
    org = begun()
    broken = org.break_glass()
    name = broken.grant if target is Target.GRANT else "deploy-rollback"
    kill = org.sign(org.kill(target, name))
    holds(org.state_that("broker", kinds.Suspended(target, name, True, kill)))
    if target is Target.GRANT:
        assert not org.state.grants[broken.grant].live(org.now)
    void(
        _last(org, org.break_glass(statement={"nonce": "ab" * 16, "glass": "deploy-rollback"})),
        "suspended",
    ) if (target is Target.GLASS) else None


# --- a grant ------------------------------------------------------------------------------------


def test_two_replicas_may_race_quietly() -> None:
    """(F-23)"""
    org = begun()
    signed = org.sign(org.statement())
    holds(org.state_that("broker", org.asked(signed)))
    void(org.state_that("broker", org.asked(signed)), "lost_race", quiet=True)
    org.break_glass()
    holds(_last(org))
    note = org.record("broker", org.judged[-1].record.body, "again/intent")  # type: ignore[union-attr]
    judged = org.append(note)
    void(judged, "lost_race", quiet=True)
    grant = next(iter(org.state.grants))
    holds(ended(org, grant, EndedWhy.NOT_MINTED))
    void(ended(org, grant, EndedWhy.NOT_MINTED), "lost_race", quiet=True)
    refused = _refused(org, signed)
    void(org.state_that("broker", refused), "lost_race", quiet=True)
    void(org.state_that("broker", org.asked(signed)), "lost_race", quiet=True)


def _refused(org: Organisation, signed: Any) -> Any:
    asked = org.asked(signed)
    return kinds.Refused(
        asked.grant, asked.path, asked.statement, asked.factors, asked.decision, "no_incident"
    )


def test_what_was_refused_is_not_intended_afterwards() -> None:
    """(F-24) A stolen broker key cannot use a statement that was turned down."""
    org = begun()
    signed = org.sign(org.statement())
    holds(org.state_that("broker", _refused(org, signed)))
    void(_last(org, org.break_glass()), "refused_already")
    void(org.state_that("broker", _refused(org, signed)), "lost_race", quiet=True)
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
    void(_last(org, org.break_glass(statement={"for_s": 60})), "nonce")


def test_an_answer_is_to_who_asked_and_says_what_the_record_says() -> None:
    """(F-27)"""
    org = begun()
    signed = org.sign(org.statement(glass="key-deletion"))
    grant = org.asked(signed).grant
    nobody = kinds.Answered(grant, Reply.NOBODY, None, ())
    void(org.state_that("broker", nobody), "no_grant")
    holds(org.state_that("broker", org.asked(signed)))
    holds(org.state_that("broker", nobody))
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
    holds(_last(org))


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
    void(_last(org, org.break_glass(**how)), name)
    assert org.state.grants == {}


def test_an_intent_takes_the_card_in_force_when_it_was_written() -> None:
    """(F-28) A card that comes later does not open what came before."""
    org = begun()
    later = org.card_note(issued=NOW + SECOND)
    void(_last(org, org.break_glass(card=later)), "wrong_card")
    holds(org.activate_cards({"deploy-rollback": later}))
    void(_last(org, org.break_glass(statement={"nonce": "ab" * 16})), "wrong_card")
    org.break_glass(card=later, statement={"nonce": "cd" * 16})
    holds(_last(org))


def test_the_door_is_judged_by_its_custodians_when_the_ledger_is_back() -> None:
    """(F-29) An extra line does not excuse an intent from its time."""
    org = begun(door="yes")
    line = sign_note("x\n", signer("nobody.example")).lines[0]
    late = NOW + 60 * MINUTE
    void(_last(org, org.break_glass(lines=[line], witnessed=late)), "extra_lines")
    said = org.statement(do=Do.DOOR)
    body = org.intent(said, (org.sign(said),), org.card_note())
    note = org.record("broker", body, f"{body.grant}/intent")
    text = Note.parse(note)
    signed = text.with_lines(*(org.door_line(note, name) for name in ("ines", "ravi")))
    few = text.with_lines(org.door_line(note, "ines"))
    trial = org.state.trial(org.submitters["broker"].verifier.label)
    entry = Entry(org.log.size, few.encoded(), dict.fromkeys(org.witness_keys, late), {})
    void(apply(trial, entry), "custodians")
    assert body.grant not in org.state.grants
    holds(org.append(signed.encoded(), at=late))
    assert body.grant in org.state.grants


def test_a_door_intent_comes_within_a_day() -> None:
    """(F-29)"""
    org = begun(door="yes")
    said = org.statement(do=Do.DOOR)
    body = org.intent(said, (org.sign(said),), org.card_note())
    note = org.record("broker", body, f"{body.grant}/intent")
    lines = [org.door_line(note, name) for name in ("ines", "ravi")]
    signed = Note.parse(note).with_lines(*lines).encoded()
    void(org.append(signed, at=NOW + timedelta(hours=25)), "proven_late")


def test_the_life_of_a_grant() -> None:
    """(F-30) (F-31)"""
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
    assert not org.state.grants[grant].live(org.now)
    void(minted(org, broken), "after_end")
    void(org.state_that(role, usable), "after_end")
    holds(org.state_that(role, kinds.Dead(grant, "login refused", 900, 1, ())))
    void(org.state_that(role, kinds.Dead(grant, "", 1, 0, ())), "lost_race", quiet=True)
    assert org.state.grants[grant].deadline() is None
    void(org.state_that(role, kinds.Dead("g-aaaaaaaaaaaa", "", 1, 0, ())), "no_grant")


def broken_digest(broken: Broken) -> str:
    return digest_of(broken.signed.text)


def test_nothing_is_minted_before_its_intent_or_after_its_expiry() -> None:
    """(F-30)"""
    org = begun()
    broken = orders(org)
    org.now = broken.intent.not_after + SKEW + SECOND
    void(minted(org, broken), "after_end")
    other = begun()
    other.now = NOW - SKEW - SECOND
    late = orders(begun())
    holds_at = other.state_that("minter:orders-db", kinds.Usable(late.grant, "", 1))
    void(holds_at, "no_grant")


def test_another_minter_says_nothing_of_a_grant() -> None:
    """(F-30)"""
    org = begun()
    broken = org.break_glass()
    void(minted(org, broken), "role")


def test_overlapping_grants_of_one_person_are_two() -> None:
    org = begun()
    first, second = orders(org), orders(org, statement={"nonce": "ab" * 16})
    holds(ended(org, first.grant, EndedWhy.IDLE, role="minter:orders-db"))
    assert org.state.grants[second.grant].live(org.now)


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
    assert org.state.grants[broken.grant].bypasses == 2
    org.now = broken.intent.not_after + SKEW + SECOND
    void(bypass(org, broken, "48"), "after_end")


def test_a_bypass_of_a_grant_that_was_handed_back_still_is_a_fact() -> None:
    """(F-32) An offline gate cannot know."""
    org = begun()
    broken = org.break_glass()
    holds(ended(org, broken.grant, EndedWhy.NOT_MINTED))
    holds(bypass(org, broken))


def test_the_monitors_records() -> None:
    """(F-33)"""
    org = begun()
    broken = org.break_glass()
    void(org.state_that("monitor", kinds.Pulse(99, ())), "mismatch")
    rung = kinds.Alarm("glass", broken.grant, broken.index, "sink", Delivery.FAILED, "", 1, "")
    holds(org.state_that("monitor", rung))
    assert org.state.grants[broken.grant].rung_at is None
    holds(org.state_that("monitor", replace(rung, delivery=Delivery.DELIVERED)))
    assert org.state.grants[broken.grant].rung_at == org.now
    org.justify(broken, leaf="ab" * 32)
    void(_last(org), "mismatch")
    body = kinds.Justified(
        broken.grant, org.log.leaves[broken.index].hex(), broken.index, broken.intent.policy
    )
    holds(org.state_that("monitor", body))
    note = org.record("monitor", org.judged[-1].record.body, "again")  # type: ignore[union-attr]
    void(org.append(note), "lost_race", quiet=True)


# --- properties ---------------------------------------------------------------------------------

STEPS = ["asked", "intent", "minted", "usable", "ended", "dead", "killed", "refused"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=9))
def test_every_state_that_is_not_final_has_a_deadline(steps: list[str]) -> None:
    """(F-34) Whatever order the records come in."""
    org = begun()
    said = org.statement(glass="orders-repair")
    signed = org.sign(said)
    grant = org.asked(signed).grant
    role = "minter:orders-db"
    for step in steps:
        if step == "asked":
            org.state_that("broker", org.asked(signed))
        elif step == "refused":
            org.state_that("broker", _refused(org, signed))
        elif step == "intent":
            org.break_glass(said=said, signed=signed)
        elif step == "minted":
            org.state_that(role, kinds.Minted(grant, "postgres", "x", {}, NOW, 3))
        elif step == "usable":
            org.state_that(role, kinds.Usable(grant, "", 3))
        elif step == "ended":
            ended(org, grant, EndedWhy.IDLE, role=role)
        elif step == "dead":
            org.state_that(role, kinds.Dead(grant, "", 3, 0, ()))
        else:
            kill = org.sign(org.kill(Target.GRANT, grant))
            org.state_that("broker", kinds.Suspended(Target.GRANT, grant, True, kill))
        found = org.state.grants.get(grant)
        if found is not None:
            over = found.ended is not None and (
                found.minted_at is None or found.dead_at is not None
            )
            assert (found.deadline() is None) == over
            if found.deadline() is not None:
                assert found.deadline() <= found.intent.not_after + MINUTE  # type: ignore[operator]
            assert found.live(org.now) <= (found.ended is None)
        for waiting in org.state.asked.values():
            assert NOW < waiting.until <= waiting.at + timedelta(hours=1) + SKEW
        assert grant not in org.state.asked or grant not in org.state.grants
    assert fold(org.genesis, org.log.entries()).digest() == org.state.digest()


def test_a_void_record_changes_nothing_but_its_submitters_chain() -> None:
    """(F-35)"""
    org = begun()
    broken = orders(org)
    before = org.state.summary()
    minted(org, replace(broken, intent=replace(broken.intent, grant="g-aaaaaaaaaaaa")))
    org.break_glass(statement={"who": "bo", "nonce": "cd" * 16})
    org.open_incident()
    after = org.state.summary()
    differ = {key for key in before if before[key] != after[key]}
    assert differ == {"size", "submitters", "void"}
    assert after["nonces"] == before["nonces"]


def test_records_are_tried_on_a_thin_copy_that_changes_nothing() -> None:
    org = begun()
    signed = org.sign(org.statement())
    holds(org.state_that("broker", org.asked(signed)))
    before = org.state.digest()
    trial = org.state.trial(org.submitters["broker"].verifier.label)
    note = org.record(
        "broker",
        org.intent(org.statement(), (signed,), org.card_note()),
        f"{org.asked(signed).grant}/intent",
    )
    holds(apply(trial, Entry(org.log.size, note, dict.fromkeys(org.witness_keys, org.now), {})))
    grant = org.asked(signed).grant
    assert grant in trial.grants
    assert grant not in trial.asked
    assert (org.state.digest(), grant in org.state.asked) == (before, True)


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 5), st.data())
def test_whatever_bytes_a_ledger_stores_the_fold_goes_on(which: int, data: st.DataObject) -> None:
    """(F-8)"""
    note = ORG.log.notes[which]
    at = data.draw(st.integers(0, len(note) - 1))
    altered = note[:at] + data.draw(st.binary(max_size=3)) + note[at + 1 :]
    state = fold(ORG.genesis, ORG.log.entries()[:which])
    judged = apply(state, Entry(which, altered, ORG.log.covered[which], ORG.log.attachments))
    assert judged.holds == (altered == note)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_an_altered_entry_1_begins_nothing_and_stops_nobody_for_long(data: st.DataObject) -> None:
    """(F-3) (F-8)"""
    note = ORG.log.notes[1]
    at = data.draw(st.integers(0, len(note) - 1))
    altered = note[:at] + data.draw(st.binary(max_size=3)) + note[at + 1 :]
    for attachments in ({}, ORG.log.attachments):
        state = fold(ORG.genesis, ORG.log.entries()[:1])
        try:
            judged = apply(state, Entry(1, altered, ORG.log.covered[1], attachments))
        except UnavailableError:
            continue  # the follower waits for what the record names
        assert judged.holds == (altered == note)
        assert (state.trust is None) == (altered != note)


ORG = begun()
ORG.break_glass()


# --- records and proofs -------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written() -> None:
    """(D-1)"""
    for note in ORG.log.notes:
        record = parse_record(note)
        assert record.text_digest == digest_of(record.note.text)
        assert record.note.text == record_text(record.envelope, record.body, record.attachments)


@pytest.mark.parametrize(
    "change",
    [
        ("breakglass.dev/record/v1", "breakglass.dev/record/v2"),
        ("attach sha256:", "attach sha512:"),
        ('"seq":', '"seq":0'),
        ('"kind":"policy"', '"kind":7'),
        ('"at":"2026', '"at":"1026'),
        ('{"at"', '{"aa":1,"at"'),
        ('"prev":"', '"prev":"x'),
    ],
)
def test_a_record_of_another_form_is_refused(change: tuple[str, str]) -> None:
    """(D-2) (D-3) (D-4)"""
    note = ORG.log.notes[2].decode()
    assert change[0] in note
    with pytest.raises(MalformedError):
        parse_record(note.replace(*change, 1).encode())


def test_attach_lines_are_exact_and_few() -> None:
    """(D-3)"""
    for line in (
        f"attach sha256:{'ab' * 32} 01",
        f"attach sha256:{'AB' * 32} 1",
        f"attach sha256:{'ab' * 32} 67108865",
        f"attach sha256:{'ab' * 32}  1",
        "",
    ):
        with pytest.raises(MalformedError):
            parse_attachments(f"breakglass.dev/record/v1\n{line}\n{{}}\n")
    good = f"attach sha256:{'ab' * 32} 67108864\n"
    assert len(parse_attachments(f"breakglass.dev/record/v1\n{good * 8}{{}}\n")) == 8
    with pytest.raises(MalformedError):
        parse_attachments(f"breakglass.dev/record/v1\n{good * 9}{{}}\n")


def test_a_record_of_more_than_16_kib_is_not_read() -> None:
    """(D-2)"""
    with pytest.raises(MalformedError) as caught:
        parse_record(b"x" * (16 * 1024 + 1))
    assert caught.value.name == "too_large"


def test_a_record_that_nobody_would_read_is_not_written() -> None:
    envelope = Envelope("ledger.example/one", "x", NOW, 0, "0" * 64)
    with pytest.raises(MalformedError):
        record_text(envelope, kinds.Usable("g-aaaaaaaaaaaa", "two\nlines", 1))


def test_proven_is_made_by_prove_alone() -> None:
    """(D-10)"""
    org = begun()
    broken = org.break_glass()
    proven = prove(Intent, broken.note, broken.proof, org.trust(), "broker")
    assert proven.body == broken.intent
    assert proven.index == broken.index
    with pytest.raises(TypeError):
        Proven(proven.body, proven.envelope, 0, {}, b"", b"")
    with pytest.raises((TypeError, ValueError)):
        replace(proven, body=replace(proven.body, who="teo"))
    with pytest.raises(FrozenInstanceError):
        proven.index = 7  # type: ignore[misc]


@pytest.mark.parametrize(
    ("how", "role", "name"),
    [
        ({}, "monitor", "submitter_role"),
        ({"signed_by": signer("stranger.example")}, "broker", "submitter"),
        ({"witnessed": NOW + SKEW + SECOND}, "broker", "proven_late"),
        ({"by": ("w-sec",)}, "broker", "quorum"),
        ({"lines": [sign_note("x\n", signer("nobody.example")).lines[0]]}, "broker", "extra_lines"),
        ({"envelope": {"log": "ledger.example/staging"}}, "broker", "wrong_log"),
    ],
)
def test_what_is_not_proven_is_refused_by_name(how: dict[str, Any], role: str, name: str) -> None:
    """(D-10)"""
    org = begun()
    broken = org.break_glass(**how)
    with pytest.raises(UnprovenError) as caught:
        prove(Intent, broken.note, broken.proof, org.trust(), role)
    assert caught.value.name == name
    with pytest.raises(MalformedError):
        prove(kinds.Pulse, broken.note, broken.proof, org.trust(), role)


def test_a_state_is_folded_from_nothing() -> None:
    assert State("ab" * 32).summary()["size"] == 0
