"""The one memory of doors, its older files, and the walk that brings doors into the log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.broker.door.door_request import next_place
from breakglass.broker.door.folded_door import over
from breakglass.errors import BreakglassError, RefusedError, UnavailableError
from breakglass.http.client import Reply
from breakglass.node.door_return import DoorReturn, by_leaf_hash, waited
from breakglass.node.door_store import DoorStore, KeptDoor
from breakglass.records.fold.slices.submitters import SubmitterState
from tests.kit.fake_ledger import FakeLedger
from tests.kit.organisation import NOW, Organisation
from tests.submit.test_outbox import Hands

MINUTE = timedelta(minutes=1)
PATIENCE = waited(5 * MINUTE)
OLD_BROKER = """
create table if not exists doors(
    seq integer primary key, grant_id text not null unique, note blob not null,
    card blob not null, not_after text not null, index_ integer
) strict;
"""
OLD_TAKER = """
create table if not exists doors(
    intent text primary key, grant_id text not null, note blob not null, who text not null,
    glass text not null, taken text not null, answered text, rang text, index_ integer
) strict;
"""


@pytest.fixture
def org() -> Organisation:
    return Organisation(door="yes")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "doors.sqlite"


def made(org: Organisation, nonce: str = "1" * 32) -> KeptDoor:
    return KeptDoor(org.door_intent(nonce=nonce), org.now)


def old_file(path: Path, schema: str, rows: list[tuple[object, ...]]) -> None:
    with sqlite3.connect(path) as file:
        file.execute("pragma journal_mode = wal")
        file.executescript(schema)
        for row in rows:
            file.execute(f"insert into doors values ({', '.join('?' * len(row))})", row)
    file.close()


def test_a_brokers_older_file_is_carried_over(org: Organisation, path: Path) -> None:
    first, second = made(org), made(org, "2" * 32)
    end = "2026-06-22T04:14:09.000Z"
    rows = [
        (1, second.grant, second.note, b"card 2", end, None),
        (0, first.grant, first.note, b"card 1", end, 17),
    ]
    old_file(path, OLD_BROKER, rows)
    for _ in range(2):  # opened anew each time
        kept = DoorStore(path).all()
        assert [(each.note, each.card, each.index) for each in kept] == [
            (first.note, b"card 1", 17),
            (second.note, b"card 2", None),
        ]
        assert {each.taken for each in kept} == {first.record.envelope.at}
    assert [each.grant for each in DoorStore(path).standing()] == [second.grant]


def test_a_takers_older_file_is_carried_over_and_still_refuses_a_second(
    org: Organisation, path: Path
) -> None:
    door, other = made(org), made(org, "2" * 32)
    at = "2026-06-22T03:15:00.000Z"
    row = (door.digest, door.grant, door.note, "mira", "deploy-rollback", at, at, at, None)
    old_file(path, OLD_TAKER, [row])
    with pytest.raises(RefusedError, match=f"taken here already: {door.grant!r}, 'mira'") as said:
        DoorStore(path).take(other)
    assert said.value.name == "second_door"
    (kept,) = DoorStore(path).standing()
    assert (kept.note, kept.answered, kept.rang) == (door.note, kept.taken, kept.taken)
    DoorStore(path).settle(door.digest, 5)
    DoorStore(path).take(other)


def test_an_older_file_that_cannot_be_carried_over_is_left_as_it_was(
    org: Organisation, path: Path
) -> None:
    door = made(org)
    row = (door.digest, door.grant, door.note, "mira", "deploy-rollback", "never", None, None, None)
    old_file(path, OLD_TAKER, [row])
    with pytest.raises(BreakglassError):
        DoorStore(path).standing()
    with sqlite3.connect(path) as file:
        assert file.execute("select note from doors").fetchall() == [(door.note,)]


def test_a_door_is_on_disk_before_take_returns(
    org: Organisation, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power loss must not let a second one in."""
    said: list[str] = []
    connect = sqlite3.connect

    def watched(*given: object, **named: object) -> sqlite3.Connection:
        file = connect(*given, **named)  # type: ignore[arg-type, call-overload]
        file.set_trace_callback(said.append)
        return file  # type: ignore[no-any-return]

    monkeypatch.setattr(sqlite3, "connect", watched)
    DoorStore(path).take(made(org))
    assert "pragma synchronous = full" in said
    assert not any("pragma synchronous = off" in each for each in said)


def test_the_next_number_is_behind_what_the_ledger_took_and_we_have_not_followed(
    org: Organisation,
) -> None:
    door = made(org)
    key, seq = door.record.note.lines[0].label, door.record.envelope.seq
    chain = SubmitterState(seq, "ab" * 32, None)
    placed = next_place(key, chain, [door])
    assert placed == SubmitterState(seq + 1, door.digest, door.record.envelope.at)
    followed = SubmitterState(seq + 1, door.digest, NOW)
    assert next_place(key, followed, [door]) is followed
    # Another door key begins a chain of its own.
    assert next_place("broker.example+00000000", chain, [door]) is chain


class Answering(FakeLedger):
    """A ledger whose answer to an append is this one."""

    def __init__(self, answer: dict[str, object]) -> None:
        super().__init__()
        self.answer = answer

    def append(self, run: list[bytes]) -> Reply:
        self.appends.append(run)
        return self.said(200, self.answer)


def away() -> FakeLedger:
    return FakeLedger(away=True)


def refusing(door: KeptDoor) -> FakeLedger:
    return FakeLedger(refuse={f"{door.grant}/intent"})


@pytest.fixture
def returning(
    org: Organisation, path: Path
) -> tuple[DoorStore, Hands, list[str], Callable[..., DoorReturn]]:
    doors, clock, rings = DoorStore(path), Hands(), list[str]()
    clock.time = NOW

    def make(late=PATIENCE, evidence=lambda door, ledger, refusal: None) -> DoorReturn:
        def ring(door: KeptDoor, why: str) -> None:
            rings.append(door.grant)

        return DoorReturn(doors, evidence, org.trust, clock, ring, late)

    return doors, clock, rings, make


def test_nothing_follows_a_door_that_the_ledger_refuses_until_patience_is_over(
    org: Organisation, returning
) -> None:
    doors, clock, rings, make = returning
    door = made(org)
    doors.take(door)
    walk = make()
    for minutes in (0, 5):
        clock.time = NOW + minutes * MINUTE
        with pytest.raises(UnavailableError, match="is not in the log: refused") as said:
            walk.before_sending(refusing(door))
        assert said.value.name == "door_unappended"
    assert rings == []
    clock.time = NOW + 6 * MINUTE
    walk.before_sending(refusing(door))
    make().before_sending(refusing(door))  # also another process rings once an hour
    assert rings == [door.grant]
    clock.time += timedelta(hours=1, seconds=1)
    walk.before_sending(refusing(door))
    assert rings == [door.grant] * 2
    assert [each.grant for each in doors.standing()] == [door.grant]


def test_a_ledger_that_is_away_uses_up_no_patience(org: Organisation, returning) -> None:
    doors, clock, rings, make = returning
    doors.take(made(org))
    for hours in (0, 10):
        clock.time = NOW + timedelta(hours=hours)
        with pytest.raises(UnavailableError, match="cannot be reached"):
            make().before_sending(away())
    assert (doors.standing()[0].answered, rings) == (None, [])
    make().try_now(away())


def test_a_brokers_door_is_told_of_when_its_time_is_over(org: Organisation, returning) -> None:
    doors, clock, rings, make = returning
    door = made(org)
    doors.add(door)
    make(over).try_now(refusing(door))
    assert rings == []
    clock.time = door.intent.not_after
    make(over).try_now(refusing(door))
    assert rings == [door.grant]


def test_what_others_brought_in_is_found_also_while_the_ledger_is_away(
    org: Organisation, returning
) -> None:
    doors, _, _, make = returning
    doors.add(made(org))
    make(evidence=lambda door, ledger, refusal: 12).before_sending(away())
    assert (doors.standing(), doors.all()[0].index) == ([], 12)


@pytest.mark.parametrize("said", [{"proofs": []}, {"proofs": [5]}, {"proofs": ["x"]}, {}])
def test_an_answer_that_proves_nothing_settles_nothing(org: Organisation, returning, said) -> None:
    doors, _, _, make = returning
    doors.take(made(org))
    with pytest.raises(UnavailableError):
        make(evidence=by_leaf_hash(org.trust)).before_sending(Answering(said))
    # Nor does the proof of another log.
    with pytest.raises(UnavailableError, match="is not in the log"):
        make(evidence=by_leaf_hash(org.trust)).before_sending(FakeLedger())
    assert len(doors.standing()) == 1


def test_a_door_is_settled_by_the_proof_of_its_append(org: Organisation, returning) -> None:
    doors, _, _, make = returning
    door = made(org)
    doors.take(door)
    org.append(door.note)
    proof = org.log.proof(org.log.size - 1, org.now)
    ledger = Answering({"proofs": [proof.decode()]})
    make().before_sending(ledger)
    assert (doors.standing(), ledger.appends) == ([], [[door.note]])
    assert doors.find(door.grant).index == org.log.size - 1
    # Nothing stands: nothing is asked.
    make().before_sending(ledger)
    assert len(ledger.appends) == 1
