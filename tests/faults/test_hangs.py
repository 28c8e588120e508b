"""Neighbours that hang: a witness, the archiver, PostgreSQL. Nobody waits for them without end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from breakglass.submit.outbox import Receipt
from breakglass.submit.record_header import NO_PREV
from breakglass.tlog.tiles import encode_bundle
from tests.faults.ledger_client import Clerk, told
from tests.kit.postgres import Postgres, start_postgres
from tests.kit.processes import draft, signed, until
from tests.kit.standby import Pair, append, check_everything, make_pair


@pytest.mark.parametrize("who", ["one witness", "two witnesses", "archiver"])
def test_a_hung_cosigner_is_told_by_name_and_what_it_kept_back_follows_by_itself(
    make: Callable[..., Clerk], who: str
) -> None:
    clerk = make()
    log_set = clerk.log_set.start()
    clerk.appended("before")
    hung = {
        "one witness": log_set.witnesses[:1],
        "two witnesses": log_set.witnesses[:2],
        "archiver": [log_set.archiver],
    }[who]
    for each in hung:
        each.signal(signal.SIGSTOP)
    note = clerk.note("hung")
    reply = clerk.send(note)
    if who == "one witness":
        assert reply.status == 200
    else:
        assert told(reply) == (503, "unwitnessed")
        assert "recorded, and no receipt: the quorum is missing" in reply.json()["message"]
        assert "did not answer" in reply.json()["message"]
        assert all(each.folder.name in reply.json()["message"] for each in hung)
        assert reply.json()["hint"] == "repeat the same bytes; the receipt follows when the" + (
            " quorum is met"
        )
    clerk.read()
    away = clerk.ledger.get("/healthz").json()["away"]
    assert {each.folder.name for each in hung} <= set(away) or who == "one witness"
    for each in hung:
        each.signal(signal.SIGCONT)
    until(lambda: clerk.send(note).status == 200)
    clerk.appended("after", submitter=1)
    until(lambda: clerk.ledger.get("/healthz").json()["away"] == {})
    clerk.whole()


@pytest.fixture
def server() -> Iterator[Postgres]:
    made = start_postgres()
    yield made
    made.close()


@pytest.fixture
def pair(server: Postgres, tmp_path: Path) -> Iterator[Pair]:
    made = make_pair(tmp_path / "set", server, submitters=2)
    yield made
    made.kill()


def processes_of(server: Postgres) -> list[int]:
    """Return the server's process and all that it has started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat[1])
    return [server.process.pid, *(pid for pid, up in parents.items() if up == server.process.pid)]


def test_a_hung_postgresql_is_a_bounded_503_and_nothing_is_lost_or_doubled(
    pair: Pair, server: Postgres
) -> None:
    pair.start()
    outbox = pair.outbox()
    receipts = {"before": append(outbox, "before")}
    hung = processes_of(server)
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    note = signed(draft("during"), pair.log_set.submitters[1], 0, NO_PREV)
    try:
        ledger = pair.first.neighbour(8)
        reply = ledger.send("POST", "/append", encode_bundle([note]))
        assert reply.status == 503
        assert reply.json()["error"] in ("journal", "unanswered")
        # What is in memory is served all the same.
        assert ledger.get("/checkpoint").body
        assert ledger.get("/entries?from=0&wait=0").json()["commits"]
    finally:
        for pid in hung:
            os.kill(pid, signal.SIGCONT)

    def again() -> bool:
        for each in pair.both:
            pair.revive(each)
        return pair.neighbour().send("POST", "/append", encode_bundle([note])).status == 200

    until(again, 30)
    answer = pair.neighbour().post("/append", encode_bundle([note])).json()
    receipts["during"] = Receipt(answer["first"], note, answer["proofs"][0].encode())
    receipts["after"] = append(outbox, "after")
    outbox.close()
    assert not any("rolled back" in each.said() for each in pair.both), "a false alarm"
    check_everything(pair, receipts)
