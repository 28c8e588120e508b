"""The custodians' door in the ledger: its uses are told, its intent missed until it is there."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from breakglass.errors import UnprovenError
from breakglass.records import all_kinds as kinds
from breakglass.records.proven import prove, prove_door
from breakglass.records.record_reader import parse_record
from breakglass.tlog.note import Note

from ..kit.organisation import NOW, Organisation
from .folding import begun, holds, void

MINUTE = timedelta(minutes=1)
GATE, MINTER = "gate:deploy-approval", "minter:orders-db"


def door_intent(org: Organisation) -> tuple[bytes, str]:
    """Return a complete door intent, not in the log, and the SHA-256 of its text."""
    note = org.door_intent()
    return note, hashlib.sha256(Note.parse(note).text.encode()).hexdigest()


def use(note: bytes, digest: str, run: str = "42") -> kinds.Door:
    found = parse_record(note).body
    return kinds.Door(
        found.grant, digest, found.who, found.glass, run, found.not_after, ("ines", "ravi"), "away"
    )


def test_a_use_of_the_door_is_missed_until_its_intent_stands() -> None:
    """(F-50) (F-29) The intent's text is what counts, and a grant of another text is not it."""
    org = begun(door="yes")
    note, digest = door_intent(org)
    told = use(note, digest)
    holds(org.state_that(GATE, told))
    void(org.state_that(GATE, told), "lost_race", quiet=True)
    holds(org.state_that(GATE, replace(told, run="43")))
    (door,) = org.state.unappended_doors()
    assert (door.grant, [each.run for each in door.uses]) == (told.grant, ["42", "43"])
    assert door.seen == NOW
    holds(org.append(note, at=NOW + 60 * MINUTE))
    assert org.state.unappended_doors() == []
    other = replace(told, intent="ab" * 32, run="44")
    holds(org.state_that(GATE, other))
    assert [each.intent for each in org.state.unappended_doors()] == ["ab" * 32]


def test_what_a_door_record_may_not_say() -> None:
    """(F-50)"""
    org = begun(door="yes")
    note, digest = door_intent(org)
    told = use(note, digest)
    late = replace(told, not_after=NOW + 61 * MINUTE)
    void(org.state_that(GATE, late), "life_lengthened")
    holds(org.state_that(GATE, told))
    for changes in ({"who": "teo"}, {"glass": "key-deletion"}, {"grant": "g-aaaaaaaaaaaa"}):
        void(org.state_that(GATE, replace(told, run="9", **changes)), "mismatch")
    assert len(org.state.gates.doors) == 1


def test_what_is_told_of_a_door_before_its_intent_is_quietly_void() -> None:
    """(F-51) A grant that nobody told of at all is an alarm."""
    org = begun(door="yes")
    note, digest = door_intent(org)
    told = use(note, digest)
    ended = kinds.Dead(told.grant, "", 1, 0, ())
    void(org.state_that(MINTER, ended), "no_grant")
    holds(org.state_that(GATE, told))
    void(org.state_that(MINTER, ended), "door_unappended", quiet=True)


def test_a_trial_of_the_state_reads_the_doors_and_leaves_them_alone() -> None:
    org = begun(door="yes")
    note, digest = door_intent(org)
    holds(org.state_that(GATE, use(note, digest)))
    trial = org.state.trial("somebody")
    assert trial.gates.doors == org.state.gates.doors
    trial.gates.doors.clear()
    assert len(org.state.gates.doors) == 1
    assert digest in org.state.summary()["doors"]  # type: ignore[operator]


def test_that_a_door_intent_is_in_the_log_is_proven_within_a_day() -> None:
    """(D-11) A proof of a door intent is no proof for a token."""
    for hours, name in ((23, ""), (25, "proven_late")):
        org = begun(door="yes")
        note, _ = door_intent(org)
        at = NOW + timedelta(hours=hours)
        org.append(note, at=at)
        proof = org.log.proof(org.log.size - 1, at)
        trust = org.trust()
        with pytest.raises(UnprovenError) as refused:
            prove(kinds.Intent, note, proof, trust, "broker")
        assert refused.value.name == "proven_late"
        if name:
            with pytest.raises(UnprovenError) as refused:
                prove_door(note, proof, trust)
            assert refused.value.name == name
        else:
            assert prove_door(note, proof, trust).index == org.log.size - 1
            other = org.log.proof(org.log.size - 2, NOW)
            with pytest.raises(UnprovenError):
                prove_door(note, other, trust)
