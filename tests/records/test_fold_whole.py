"""The fold as a whole, records, and what is proven."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import MalformedError, UnavailableError, UnprovenError
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import apply, fold
from breakglass.records.fold.state import State
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.kinds.intent import Intent
from breakglass.records.proven import Proven, prove
from breakglass.records.record import Envelope, parse_attachments, record_text
from breakglass.records.record_reader import parse_record
from breakglass.records.statement import Target, digest_of
from breakglass.tlog.note import sign_note

from ..kit.organisation import NOW, SECOND, SKEW, signer
from .folding import (
    MINUTE,
    begun,
    ended,
    holds,
    minted,
    orders,
    refused,
)

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
            org.state_that("broker", refused(org, signed))
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
        found = org.state.grants.by_id.get(grant)
        if found is not None:
            over = found.ended is not None and (
                found.minted_at is None or found.dead_at is not None
            )
            assert (found.deadline() is None) == over
            if found.deadline() is not None:
                assert found.deadline() <= found.intent.not_after + MINUTE  # type: ignore[operator]
            assert found.live(org.now) <= (found.ended is None)
        for waiting in org.state.grants.asked.values():
            assert NOW < waiting.until <= waiting.at + timedelta(hours=1) + SKEW
        assert grant not in org.state.grants.asked or grant not in org.state.grants.by_id
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
    assert grant in trial.grants.by_id
    assert grant not in trial.grants.asked
    assert (org.state.digest(), grant in org.state.grants.asked) == (before, True)


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
        assert (state.governance.trust is None) == (altered != note)


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
