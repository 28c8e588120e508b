"""A submitter turns to its next key only when the ledger has all that it said under the old one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.clock import SystemClock, to_milliseconds
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.node.door_store import DoorStore, KeptDoor
from breakglass.node.key_rollover import turn_submitter
from breakglass.process.folder import held
from breakglass.process.key_store import KeyStore, read_key, read_next_key
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.kinds.pulse import Pulse
from breakglass.records.record import Envelope, record_text
from breakglass.submit.spool import Draft, Spool
from breakglass.tlog.note import SignerKey
from breakglass.tlog.tiles import encode_bundle
from tests.kit.organisation import Organisation
from tests.kit.processes import ORIGIN, LogSet, draft, running_log_set, signed, until

CLOCK = SystemClock()
SHORT = timedelta(seconds=0.5)
LONG = timedelta(seconds=10)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogSet]:
    folder = tmp_path_factory.mktemp("turning")
    with running_log_set(folder, submitters=6, witnesses=1, needed=1) as made:
        yield made


@pytest.fixture
def room(logs: LogSet, tmp_path: Path) -> Path:
    """A submitter's folder with a next key, which the ledger knows, and two records that wait."""
    old = logs.submitters.pop()
    new = SignerKey.generate(old.name)
    with (logs.ledger.folder / "submitters").open("a") as file:
        file.write(f"{new.verifier} broker\n")
    room = tmp_path / "room"
    (room / "data").mkdir(parents=True)
    address = logs.ledger.folder / "address"
    (room / "settings.toml").write_text(f'log = "{ORIGIN}"\nledger = "{address}"\n')
    KeyStore(room).write("key", old)
    KeyStore(room).write("key.next", new)
    spool = Spool(room / "data" / "spool.sqlite")
    for number in range(2):
        now = to_milliseconds(CLOCK.now())
        envelope = Envelope(ORIGIN, f"pulse/{number}", now, 0, ZERO_DIGEST)
        ident = f"pulse/{number}"
        spool.add([Draft(ident, record_text(envelope, Pulse(0, ())))], now)
    spool.close()
    return room


def place(logs: LogSet, key: SignerKey) -> int:
    path = f"/submitter/{key.verifier.label}"
    with logs.ledger.neighbour() as ledger:
        return int(ledger.get(path).json()["next"])


def test_what_waits_is_said_under_the_old_key_and_then_it_turns(logs, room):
    old, new = read_key(room), read_next_key(room)
    assert turn_submitter(room, CLOCK, LONG) == new.verifier
    assert (place(logs, old), place(logs, new)) == (2, 0)
    assert (read_key(room), read_next_key(room)) == (new, None)
    assert KeyStore(room).past() == [old.verifier]
    with pytest.raises(MisconfiguredError, match="is missing; nothing was changed") as said:
        turn_submitter(room, CLOCK, LONG)
    assert said.value.name == "no_next_key"


def test_while_the_ledger_is_away_the_old_key_stays(logs, room):
    old, text = read_key(room), (room / "settings.toml").read_text()
    (room / "settings.toml").write_text(f'log = "{ORIGIN}"\nledger = "http://127.0.0.1:9"\n')
    with pytest.raises(UnavailableError, match=r"2 records wait .* the old key stays") as said:
        turn_submitter(room, CLOCK, SHORT)
    assert said.value.name == "not_finished"
    assert read_key(room) == old
    (room / "settings.toml").write_text(text)
    turn_submitter(room, CLOCK, LONG)
    assert place(logs, old) == 2


def test_once_the_ledger_forgot_the_old_key_it_does_not_turn_over_what_waits(logs, room):
    """What waits might have been sent under the old key; under the new one it would count twice."""
    old = read_key(room)
    path = logs.ledger.folder / "submitters"
    path.write_text("".join(line for line in path.open() if str(old.verifier) not in line))
    far = encode_bundle([signed(draft("far"), old, 9, ZERO_DIGEST)])  # known, it would be bad_seq
    with logs.ledger.neighbour() as ledger:
        until(lambda: ledger.send("POST", "/append", far).json()["error"] == "unknown_submitter")
    with pytest.raises(UnavailableError, match="the old key stays"):
        turn_submitter(room, CLOCK, timedelta(seconds=1.5))
    assert read_key(room) == old
    shutil.rmtree(room / "data")
    (room / "data").mkdir()
    turn_submitter(room, CLOCK, LONG)  # with nothing to say, nothing can be said twice


def test_a_process_that_runs_is_not_turned(room):
    with held(room), pytest.raises(MisconfiguredError, match="is in use by process"):
        turn_submitter(room, CLOCK, LONG)
    with held(room / "data"), pytest.raises(MisconfiguredError, match="is in use by process"):
        turn_submitter(room, CLOCK, LONG)
    assert read_next_key(room) is not None


def test_what_follows_a_door_is_not_said_before_the_door(logs, room):
    """Without its intent in the log what is told of a door's grant is void for good."""
    old = read_key(room)
    org = Organisation(door="yes")
    doors = DoorStore(room / "data" / "doors.sqlite")
    door = KeptDoor(org.door_intent(), org.now)
    doors.take(door)
    with pytest.raises(UnavailableError, match=r"2 records wait .* the old key stays"):
        turn_submitter(room, CLOCK, SHORT)
    assert place(logs, old) == 0
    doors.settle(door.digest, 3)
    turn_submitter(room, CLOCK, LONG)
    assert place(logs, old) == 2
