"""Active and standby, real processes over a real PostgreSQL: killed, frozen, woken, cut off."""

from __future__ import annotations

import contextlib
import itertools
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from breakglass.errors import UnavailableError
from breakglass.replica.follower import Follower
from breakglass.submit.outbox import Receipt
from breakglass.submit.record_header import NO_PREV, text_digest
from breakglass.tlog.note import Note, SignerKey
from breakglass.tlog.proof import verify_head
from breakglass.tlog.tiles import encode_bundle
from tests.kit.postgres import Postgres, start_postgres
from tests.kit.processes import Process, draft, signed, until
from tests.kit.standby import (
    FREEZING,
    Pair,
    Watch,
    append,
    check_everything,
    frozen,
    make_pair,
    role,
    stopped,
)

TAKEN_OVER_WITHIN_S = 3
FENCED = 6  # the exit code of a ledger whose lease was taken


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    made = start_postgres()
    yield made
    made.close()


@pytest.fixture
def pair(server: Postgres, tmp_path: Path) -> Iterator[Pair]:
    made = make_pair(tmp_path / "set", server, submitters=2)
    yield made
    made.kill()


@dataclass
class ByHand:
    """A submitter that numbers and signs, and sends nothing."""

    signer: SignerKey
    seq: int = 0
    prev: str = NO_PREV

    def note(self, ident: str) -> bytes:
        """Sign the next note."""
        made = signed(draft(ident), self.signer, self.seq, self.prev)
        self.seq, self.prev = self.seq + 1, text_digest(Note.parse(made).text)
        return made


def sent(process: Process, note: bytes) -> Receipt:
    """Send one note to this ledger."""
    answer = process.neighbour().post("/append", encode_bundle([note])).json()
    return Receipt(answer["first"], note, answer["proofs"][0].encode())


def takes_over(pair: Pair, process: str = "second") -> float:
    """Wait until it is open; returns the seconds."""
    start = time.monotonic()
    until(lambda: role(getattr(pair, process)) == "active")
    return time.monotonic() - start


def test_one_records_and_the_other_serves_reads(pair: Pair) -> None:
    pair.start()
    assert (role(pair.first), role(pair.second)) == ("active", "standby")
    ledger, standby = pair.first.neighbour(), pair.second.neighbour()
    note = signed(draft("a"), pair.log_set.submitters[0], 0, NO_PREV)
    reply = standby.send("POST", "/append", encode_bundle([note]))
    assert (reply.status, reply.json()["error"]) == (503, "standby")
    until(lambda: pair.first.address in standby.send("POST", "/append", b"").json()["hint"])
    digest = "0" * 64
    assert standby.send("PUT", f"/attachment/{digest}", b"x").json()["error"] == "standby"
    proof = ledger.post("/append", encode_bundle([note])).json()["proofs"][0]
    until(lambda: standby.get("/healthz").json()["size"] == 1)
    for path in ("/checkpoint", "/proof/0", "/entries?from=0&wait=0", "/tile/0/000.p/1"):
        assert standby.get(path).body == ledger.get(path).body
    assert standby.get("/proof/0").body == proof.encode()
    verify_head(standby.get("/checkpoint").body, pair.log_set.policy)
    key = pair.log_set.submitters[0].verifier.label
    assert standby.get(f"/submitter/{key}").json()["next"] == 1


def test_the_standby_takes_over_from_one_that_was_killed(pair: Pair) -> None:
    pair.start()
    outbox = pair.outbox()
    receipts = {"before": append(outbox, "before")}
    pair.first.kill()
    assert takes_over(pair) < TAKEN_OVER_WITHIN_S
    receipts["after"] = append(outbox, "after")
    pair.first.start()  # and it stands by
    assert role(pair.first) == "standby"
    pair.second.kill()
    assert takes_over(pair, "first") < TAKEN_OVER_WITHIN_S
    receipts["back again"] = append(outbox, "back again")
    outbox.close()
    check_everything(pair, receipts)


def test_a_frozen_one_that_wakes_cannot_write_and_leaves(pair: Pair) -> None:
    pair.start()
    outbox = pair.outbox()
    receipts = {"before": append(outbox, "before")}
    frozen(pair.first)
    assert takes_over(pair) < TAKEN_OVER_WITHIN_S
    receipts["after"] = append(outbox, "after")
    place = pair.second.neighbour().get(f"/submitter/{pair.log_set.submitters[1].verifier.label}")
    assert place.json()["next"] == 0
    pair.first.signal(signal.SIGCONT)
    assert pair.first.wait_ended(5) == FENCED
    assert "has taken over in term 2, ours was 1" in pair.first.said()
    assert "rolled back" not in pair.first.said(), "a false alarm"
    pair.first.start()
    assert role(pair.first) == "standby"
    receipts["last"] = append(outbox, "last")
    outbox.close()
    check_everything(pair, receipts)


@pytest.mark.parametrize(
    "steps",
    [
        # Inside the transaction, signed, committed, witnessed; the rest in the long form.
        pytest.param((0, 2, 3, 5), id="four"),
        pytest.param(tuple(range(8)), id="all", marks=pytest.mark.long),
    ],
)
def test_frozen_at_a_step_of_a_commit_it_forks_and_loses_nothing(
    pair: Pair, steps: tuple[int, ...]
) -> None:
    """The two freeze in turn, each at another step of a commit, and wake when it is too late."""
    for each in pair.both:
        each.command = (sys.executable, FREEZING)
    pair.start()
    own, other = (ByHand(signer) for signer in pair.log_set.submitters)
    receipts = {}
    with Watch(pair).watching() as watch:
        for step, process in zip(steps, itertools.cycle(pair.both), strict=False):
            (process.folder / "freeze").write_text(str(step))
            note = own.note(f"own-{step}")
            with contextlib.suppress(UnavailableError):
                process.neighbour(0.3).post("/append", encode_bundle([note]))
            until(lambda frozen=process: stopped(frozen))
            # Another note, in the place where the frozen one was about to put this one.
            standby = pair.other(process)
            until(lambda taking=standby: role(taking) == "active")
            receipts[f"other-{step}"] = sent(standby, other.note(f"other-{step}"))
            process.signal(signal.SIGCONT)
            assert process.wait_ended(5) == FENCED
            assert "rolled back" not in process.said(), "a false alarm"
            process.start()
            receipts[f"own-{step}"] = sent(standby, note)
    assert sorted(receipt.index for receipt in receipts.values()) == list(range(2 * len(steps)))
    check_everything(pair, receipts, watch)


def test_one_that_is_stopped_hands_over(pair: Pair) -> None:
    pair.start()
    outbox = pair.outbox()
    receipts = {"before": append(outbox, "before")}
    assert pair.first.stop() == 0
    assert takes_over(pair) < TAKEN_OVER_WITHIN_S
    receipts["after"] = append(outbox, "after")
    outbox.close()
    check_everything(pair, receipts)


def test_attachments_are_there_after_a_switch(pair: Pair) -> None:
    pair.start()
    outbox = pair.outbox()
    data = b"evidence" * 100_000
    outbox.append([draft("a", attachments=(data,))], timedelta(seconds=10))
    pair.first.kill()
    assert takes_over(pair) < TAKEN_OVER_WITHIN_S
    outbox.append([draft("b", attachments=(data,))], timedelta(seconds=10))
    outbox.close()
    import hashlib

    path = f"/attachment/{hashlib.sha256(data).hexdigest()}"
    assert pair.second.neighbour().get(path).body == data


def test_a_follower_goes_on_after_a_switch(pair: Pair, tmp_path: Path) -> None:
    pair.start()
    outbox = pair.outbox()
    seen: list[bytes] = []
    follower = Follower(
        pair.neighbour(),
        lambda: pair.log_set.policy,
        tmp_path / "follower",
        lambda entry: seen.append(entry.note),
    ).start()
    notes = [append(outbox, "before").note]
    until(lambda: seen == notes)
    frozen(pair.first)
    receipt = append(outbox, "after")
    follower.wait_for(receipt.index, timedelta(seconds=4))
    notes.append(receipt.note)
    assert seen == notes
    outbox.close()
    follower.close()


def test_a_new_active_one_that_knows_too_little_does_not_open(pair: Pair) -> None:
    """PostgreSQL was restored from an old copy: the witnesses know more than the journal."""
    pair.start()
    outbox = pair.outbox()
    for name in ("one", "two", "three"):
        append(outbox, name)
    outbox.close()
    frozen(pair.first)
    with psycopg.connect(pair.dsn, autocommit=True) as connection:
        for table, column in (
            ("heads", "size > 2"),
            ("entries", "place > 1"),
            ("ids", "place > 1"),
        ):
            connection.execute(f"delete from {table} where {column}")
    assert pair.second.wait_ended(8) == FENCED
    assert "rolled back" in pair.second.said()
    pair.first.kill()
    assert pair.first.start(wait=False).wait_ended(8) == FENCED
    assert "rolled back" in pair.first.said()
