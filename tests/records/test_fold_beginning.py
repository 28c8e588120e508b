"""The fold: how a log begins, its chains, its times."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from breakglass.errors import MalformedError, UnavailableError
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import apply, attachments_read, fold
from breakglass.records.fold.state import State
from breakglass.records.kinds.alert import Delivery
from breakglass.records.record import Unknown, parse_outer, record_text
from breakglass.records.record_reader import parse_record
from breakglass.records.statement import Do, Target, digest_of
from breakglass.tlog.note import sign_note

from ..kit.organisation import NOW, SECOND, SKEW, Organisation, signer
from ..kit.people import SoftKey
from .folding import (
    MINUTE,
    begun,
    holds,
    last,
    minted,
    new_chain,
    orders,
    pulse,
    start,
    void,
)

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
    state = State("ab" * 32)
    judged = [apply(state, entry) for entry in org.log.entries()]
    assert [each.void for each in judged] == ["genesis", *["no_trust"] * 4]
    assert state.void.count == 5
    assert state.governance.trust is None


def test_without_its_trust_at_entry_1_a_log_never_begins() -> None:
    """(F-3)"""
    org = Organisation()
    start(org)
    void(org.open_incident(), "no_trust")
    void(org.activate_trust(), "no_trust")


def test_a_broker_cannot_begin_a_log_with_maintainers_of_its_own() -> None:
    """(F-3) The genesis is pinned; the first trust file is signed by its maintainers."""
    org = Organisation()
    start(org)
    org.maintainers = {"zoe": SoftKey.of("zoe"), "yan": SoftKey.of("yan")}
    void(org.activate_trust(), "trust_genesis")
    assert org.state.governance.trust is None
    assert org.state.submitters.by_key == {}


def test_the_genesis_is_signed_by_a_broker_of_the_first_trust_file() -> None:
    """(F-3)"""
    org = Organisation()
    org.append(sign_note(org.genesis_text, signer("stranger.example")).encoded())
    org.chains["broker"] = new_chain()
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


def test_a_note_that_was_read_already_is_judged_alike_and_another_ones_reading_is_refused() -> None:
    org = begun()
    pulse(org)
    entries = org.log.entries()
    state = State(org.genesis)
    for entry in entries:
        outer = parse_outer(entry.note)
        needed = {each.digest for each in attachments_read(state, outer)}
        with pytest.raises(ValueError, match="not read from its own note"):
            apply(state, entry, parse_outer(org.record("monitor", kinds.Pulse(9, ()))))
        handed = {name: data for name, data in entry.attachments.items() if name in needed}
        holds(apply(state, replace(entry, attachments=handed), outer))
    assert state.digest() == fold(org.genesis, entries).digest()


@pytest.mark.parametrize("kind", ["trust", "policy", "cards"])
def test_what_is_too_long_to_be_read_is_void_and_stops_no_follower(kind: str) -> None:
    """(F-37) A stolen broker key could otherwise jam everybody with one record."""
    org = begun()
    body = {
        "trust": kinds.TrustActivated(9, "0" * 64),
        "policy": kinds.Policy(9, "0" * 64, "commit"),
        "cards": kinds.Cards("0" * 64, 9, {}),
    }[kind]
    most = 6 if kind == "policy" else 8  # a bundle, a list of people
    note = org.record("broker", body, attachments=[b"x" * (most * 1024 * 1024 + 1)])
    org.log.attachments.clear()  # nobody has fetched it
    void(org.append(note), "too_large")
    holds(pulse(org))


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
    before = dict(org.state.submitters.by_key)
    void(pulse(org, signed_by=signer("stranger.example")), "submitter")
    assert org.state.submitters.by_key == before


def test_a_forged_line_moves_nothing() -> None:
    """(F-5)"""
    org = begun()
    note = org.record("monitor", kinds.Pulse(0, ()))
    org.chains["monitor"] = new_chain()
    forged = note.replace(b'"size":0', b'"size":1')
    void(org.append(forged), "signature")
    holds(pulse(org))


def test_a_record_is_let_in_once_by_its_number_and_not_by_its_id() -> None:
    """(F-7) The ledger keeps ids; a fold that kept them would never forget anything."""
    org = begun()
    holds(pulse(org, record_id="p"))
    holds(pulse(org, record_id="p"))
    void(org.append(org.log.notes[-1]), "replayed")


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
    void(last(org, org.break_glass(lines=[line])), "extra_lines")
    both = sign_note("x\n", org.submitters["broker"]).lines[0]
    void(pulse(org, lines=[both]), "submitter")


def test_a_log_has_one_genesis() -> None:
    """(F-74)"""
    org = begun()
    second = kinds.Genesis("shop.example", org.judged[0].record.body.maintainers, 2)  # type: ignore[union-attr]
    void(org.state_that("broker", second), "genesis")


def test_a_gate_tells_of_its_own_passages_and_of_windows_that_go_forward() -> None:
    """(F-72)"""
    org = begun()
    tally = kinds.Passages("orders-write", NOW, NOW, 1, 0, 0, 0, 0, 1, 1, ())
    holds(org.state_that("gate:orders-write", tally))
    void(org.state_that("gate:orders-write", replace(tally, gate="deploy-approval")), "role")
    void(org.state_that("gate:orders-write", replace(tally, end=NOW - SECOND)), "mismatch")
    assert org.state.gates.passages == {
        "orders-write": {
            "passed": 1,
            "blocked": 0,
            "could_not_evaluate": 0,
            "bypassed": 0,
            "sanctioned": 0,
        }
    }


def test_a_gates_record_is_small_and_carries_nothing() -> None:
    """(F-11)"""
    org = begun()
    tally = kinds.Passages("deploy-approval", NOW, NOW, 1, 0, 0, 0, 0, 1, 1, ())
    holds(org.state_that("gate:deploy-approval", tally))
    void(org.state_that("gate:deploy-approval", tally, attachments=[b"x"]), "too_large")
    big = replace(tally, flaky=("x" * 190,) * 11)
    void(org.state_that("gate:deploy-approval", big), "too_large")
    assert org.state.gates.passages["deploy-approval"]["passed"] == 1


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
    rung = kinds.Alert("x", "y", 1, "sink", ("sink",), Delivery.DELIVERED, "", 1, "")
    void(org.append(org.record("monitor", rung), at=back), "late")
    seq = org.chains["monitor"].seq
    gap = kinds.Gap(outage, back, "the ledger was away", seq + 1, seq + 2)
    holds(org.append(org.record("monitor", gap), at=back))
    org.now = outage + MINUTE
    holds(org.append(org.record("monitor", rung), at=back))
    org.now = back + SKEW + SECOND
    late = org.now + 5 * MINUTE
    void(org.append(org.record("monitor", rung), at=late), "late")
    void(org.append(org.record("monitor", rung), at=late), "late")


def test_a_gap_reaches_seven_days_back_and_no_further() -> None:
    """(F-13) (F-78)"""
    org = begun()
    outage = org.now
    back = outage + timedelta(days=8)
    rung = kinds.Alert("x", "y", 1, "sink", ("sink",), Delivery.DELIVERED, "", 1, "")
    gap = kinds.Gap(outage, back, "the ledger was away", 1, 2)
    holds(org.append(org.record("monitor", gap), at=back))
    org.now = outage + timedelta(hours=23)
    void(org.append(org.record("monitor", rung), at=back), "late")
    org.now = outage + timedelta(days=1)
    holds(org.append(org.record("monitor", rung), at=back))


def test_the_folds_time_is_the_middle_witness_of_the_newest_entry() -> None:
    """(F-78) One witness whose clock is days ahead moves nothing."""
    org = begun()
    holds(pulse(org))
    assert org.state.witnessed == org.now
    org.now += MINUTE
    note = org.record("monitor", kinds.Pulse(0, ()))
    far = dict.fromkeys(org.witness_keys, org.now) | {"w-sec": org.now + timedelta(days=9)}
    holds(apply(org.state, Entry(org.state.size, note, far, {})))
    assert org.state.witnessed == org.now
    few = {"w-sec": org.now + MINUTE}
    note = org.record("monitor", kinds.Pulse(0, ()))
    void(apply(org.state, Entry(org.state.size, note, few, {})), "late")
    assert org.state.witnessed == org.now


def test_a_gap_takes_no_old_word_of_a_person() -> None:
    """(F-79) A stolen key with a short chain dates a gap back and lets a suspended person go."""
    org = begun()
    day = timedelta(days=1)

    def suspend(active: bool, nonce: str) -> tuple[Any, Any]:
        said = org.kill(
            Target.PERSON, "mira", do=Do.KILL if active else Do.LIFT, nonce=nonce, at=org.now
        )
        body = kinds.Suspended(Target.PERSON, "mira", active, org.sign(said))
        return body, org.state_that("broker", body)

    holds(suspend(True, "a1" * 16)[1])
    org.now += day
    then = org.now
    lift, judged = suspend(False, "a2" * 16)
    holds(judged)
    org.now += day
    holds(suspend(True, "a3" * 16)[1])
    second = signer("broker-b.shop.example")
    text = org.trust_text(version="2") + f"submitter broker {second.verifier}\n"
    file = org.people_sign(text, "breakglass-trust@v1")
    holds(org.state_that("broker", kinds.TrustActivated(2, digest_of(text)), attachments=[file]))
    org.submitters["broker-b"] = second
    org.chains.pop("broker-b", None)
    org.state.statements.nonces.clear()  # what a fold that forgets would have done by then
    org.now += day
    gap = kinds.Gap(then, then + 5 * MINUTE, "the ledger was away", 1, 1)
    holds(org.state_that("broker-b", gap, envelope={"at": then}))
    void(org.state_that("broker-b", lift, envelope={"at": then}), "late")
    assert ("person", "mira") in org.state.governance.suspended


@pytest.mark.parametrize(
    "changes",
    [
        {"first_seq": 0},
        {"first_seq": 9, "last_seq": 8},
        {"last_seq": 20_000},
        {"start": NOW + 2 * SECOND},  # it would end before it began
    ],
)
def test_a_gap_that_names_what_it_may_not_is_void(changes: dict[str, Any]) -> None:
    """(F-14)"""
    org = begun()
    gap = kinds.Gap(NOW - MINUTE * 0, NOW + SECOND, "x", 5, 6)
    void(org.state_that("monitor", replace(gap, **changes)), "mismatch")


@pytest.mark.parametrize(
    ("start", "end", "witnessed", "name"),
    [
        (0, 60, 60, ""),
        (2, 60, 60, ""),  # the skew: its own time may be that much before its start
        (3, 60, 60, "late"),  # of a time before the outage
        (-60, 0, 0, ""),
        (-60, -1, 0, "late"),  # of a time after the outage, though witnessed in time
        (-60, -1, 60, "late"),
        (0, 60, 58, ""),  # the skew: its end may be that much behind those who witnessed it
        (0, 60, 57, "late"),
        (0, 60, 2, "late"),  # told before it was over
        (0, 60, 0, "late"),
        (0, 60 * 24 * 365, 0, "late"),
    ],
)
def test_a_gaps_own_time_lies_in_its_outage_and_it_is_witnessed_after_it(
    start: int, end: int, witnessed: int, name: str
) -> None:
    """(F-14) Else a stolen key could excuse in advance, or for any year, what comes late.

    All in minutes from the gap's own time.
    """
    org = begun()
    gap = kinds.Gap(NOW + start * MINUTE, NOW + end * MINUTE, "x", 5, 6)
    judged = org.append(org.record("monitor", gap), at=NOW + witnessed * MINUTE)
    assert judged.void == name, judged.why
    excuse = org.state.submitters.by_key[org.submitters["monitor"].verifier.label].late
    assert excuse == (None if name else gap)


def test_an_intent_is_never_late_gap_or_not() -> None:
    """(F-15)"""
    org = begun()
    gap = kinds.Gap(NOW, NOW + SECOND, "x", 6, 9)
    holds(org.state_that("broker", gap))
    void(last(org, org.break_glass(witnessed=NOW + SKEW + SECOND)), "proven_late")
    other = {"nonce": "ab" * 16}
    void(last(org, org.break_glass(statement=other, by=("w-sec", "worm"))), "proven_late")
