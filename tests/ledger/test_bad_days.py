"""Crashes at every step, neighbours away or hanging, disks that fail, journals rolled back.

Nothing acknowledged is lost, nothing is shown before a quorum has seen it, and every follower sees
the same bytes.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.clock import SystemClock
from breakglass.errors import UnavailableError
from breakglass.ledger.export import export
from breakglass.ledger.verifier import verify_heads, verify_tree
from breakglass.submit.outbox import Outbox, Receipt
from breakglass.submit.record_header import NO_PREV
from breakglass.tlog.proof import TlogProof, verify_proof
from breakglass.tlog.tiles import encode_bundle
from tests.kit.processes import LogSet, draft, make_log_set, signed, until

WITHIN = timedelta(seconds=15)
CRASHING = str(Path(__file__).resolve().parents[1] / "kit" / "crashing_ledger.py")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., LogSet]]:
    """Make log sets that are ended afterwards."""
    made: list[LogSet] = []

    def make_one(**given: object) -> LogSet:
        made.append(make_log_set(tmp_path / f"set-{len(made)}", **given))  # type: ignore[arg-type]
        return made[-1]

    yield make_one
    for each in made:
        each.kill()


def outbox_of(log_set: LogSet, number: int = 0) -> Outbox:
    folder = log_set.folder / f"outbox-{number}"
    folder.mkdir(exist_ok=True)
    return Outbox(log_set.ledger.neighbour(), log_set.submitters[number], folder, SystemClock())


def append(outbox: Outbox, ident: str, within: timedelta = WITHIN) -> Receipt:
    (receipt,) = outbox.append([draft(ident)], within)
    return receipt


def check_everything(log_set: LogSet, receipts: dict[str, Receipt]) -> None:
    """The log verifies as a whole, and holds what every receipt says, once."""
    for receipt in receipts.values():
        proven = verify_proof(receipt.note, TlogProof.parse(receipt.proof), log_set.policy)
        assert proven.index == receipt.index
    copy = log_set.folder / f"copy-{time.monotonic_ns()}"
    export(log_set.ledger.folder, copy, policy_text=log_set.policy.text)
    head = verify_tree(copy, log_set.policy)
    entries = list(verify_heads(copy, log_set.policy, head.checkpoint))
    for receipt in receipts.values():
        assert entries[receipt.index].note == receipt.note
        # The receipt and the followers see one and the same head of this entry's commit.
        assert entries[receipt.index].head == TlogProof.parse(receipt.proof).checkpoint
    assert len({entry.note for entry in entries}) == len(entries)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6])
def test_a_crash_at_this_step_of_a_commit_loses_and_doubles_nothing(
    make: Callable[..., LogSet], step: int
) -> None:
    log_set = make(ledger_command=(sys.executable, CRASHING, str(step), "3")).start()
    outbox = outbox_of(log_set)
    receipts = {}
    for number in range(2):
        receipts[f"before-{number}"] = append(outbox, f"before-{number}")

    def append_during() -> None:
        receipts["during"] = append(outbox, "during")

    # The caller waits in a thread; processes are started by the one that lives on.
    caller = threading.Thread(target=append_during)
    caller.start()
    assert log_set.ledger.wait_ended() == 137
    log_set.ledger.command = ()
    log_set.ledger.start()
    caller.join(15)
    receipts["after"] = append(outbox, "after")
    outbox.close()
    assert [receipt.index for receipt in receipts.values()] == [0, 1, 2, 3]
    check_everything(log_set, receipts)


def test_kill_9_at_random_moments_under_load(make: Callable[..., LogSet]) -> None:
    log_set = make(submitters=4).start()
    receipts: dict[str, Receipt] = {}
    done = threading.Event()
    failures: list[Exception] = []

    def work(number: int) -> None:
        outbox = outbox_of(log_set, number)
        count = 0
        try:
            while not done.is_set():
                ident = f"{number}-{count}"
                receipts[ident] = append(outbox, ident)
                count += 1
        except Exception as error:  # noqa: BLE001  told by the main thread
            failures.append(error)
        outbox.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    dice = random.Random(7)
    for _ in range(5):
        time.sleep(dice.uniform(0.1, 0.5))
        victim = dice.choice([log_set.ledger, log_set.ledger, *log_set.processes])
        victim.kill()
        victim.start()
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(receipts) > 10
    check_everything(log_set, receipts)


def test_one_witness_away_changes_nothing_and_it_catches_up(make: Callable[..., LogSet]) -> None:
    log_set = make().start()
    outbox = outbox_of(log_set)
    receipts = {"a": append(outbox, "a")}
    log_set.witnesses[0].kill()
    for number in range(3):
        start = time.monotonic()
        receipts[f"b{number}"] = append(outbox, f"b{number}")
        assert time.monotonic() - start < 0.9, "waited for the one that is away"
    log_set.witnesses[0].start()
    receipts["c"] = append(outbox, "c")
    until(lambda: append(outbox, f"d{time.monotonic_ns()}") and "w-0" in cosigners(log_set))
    outbox.close()
    check_everything(log_set, receipts)


def cosigners(log_set: LogSet) -> str:
    return log_set.ledger.neighbour().get("/checkpoint").body.decode().replace("witness-", "w-")


@pytest.mark.parametrize("hang", [False, True])
@pytest.mark.parametrize("who", ["two witnesses", "archiver"])
def test_without_a_quorum_there_is_no_receipt_and_nothing_is_shown(
    make: Callable[..., LogSet], who: str, hang: bool
) -> None:
    log_set = make().start()
    ledger = log_set.ledger.neighbour()
    first = signed(draft("first"), log_set.submitters[0], 0, NO_PREV)
    assert ledger.send("POST", "/append", encode_bundle([first])).status == 200
    away = log_set.witnesses[:2] if who == "two witnesses" else [log_set.archiver]
    for each in away:
        each.signal(signal.SIGSTOP) if hang else each.kill()
    place = ledger.get(f"/submitter/{log_set.submitters[0].verifier.label}").json()
    note = signed(draft("second"), log_set.submitters[0], 1, str(place["prev"]))
    start = time.monotonic()
    reply = ledger.send("POST", "/append", encode_bundle([note]))
    assert time.monotonic() - start < 2.5, "a hanging cosigner must not hang the ledger"
    assert (reply.status, reply.json()["error"]) == (503, "unwitnessed")
    assert "no receipt" in reply.json()["message"]
    assert ledger.get("/entries?from=1&wait=0").json() == {"commits": []}
    assert ledger.send("GET", "/proof/1").status == 404
    for each in away:
        each.signal(signal.SIGCONT) if hang else each.start()
    # In the background, without anybody asking again.
    until(lambda: bool(ledger.get("/entries?from=1&wait=1").json()["commits"]))
    again = ledger.send("POST", "/append", encode_bundle([note])).checked().json()
    assert again["first"] == 1
    verify_proof(note, TlogProof.parse(again["proofs"][0].encode()), log_set.policy)


def test_an_intent_without_quorum_is_unanswered_and_may_yet_count(
    make: Callable[..., LogSet],
) -> None:
    log_set = make().start()
    outbox = outbox_of(log_set)
    append(outbox, "first")
    log_set.archiver.kill()
    with pytest.raises(UnavailableError, match="may yet be recorded") as caught:
        append(outbox, "intent", timedelta(seconds=2))
    assert caught.value.name == "unanswered"
    log_set.archiver.start()
    assert append(outbox, "next").index == 2
    outbox.close()


def test_a_hung_witness_costs_no_time(make: Callable[..., LogSet]) -> None:
    log_set = make().start()
    outbox = outbox_of(log_set)
    append(outbox, "first")
    log_set.witnesses[1].signal(signal.SIGSTOP)
    took = []
    for number in range(10):
        start = time.monotonic()
        append(outbox, f"n{number}")
        took.append(time.monotonic() - start)
    assert sorted(took)[5] < 0.5
    outbox.close()


def test_the_archiver_catches_up_commit_by_commit(make: Callable[..., LogSet]) -> None:
    """A new archiver gets one segment for each commit that it never saw."""
    log_set = make().start()
    outbox = outbox_of(log_set)
    receipts = {f"{number}": append(outbox, f"{number}") for number in range(5)}
    log_set.archiver.kill()
    shutil.rmtree(log_set.archiver.folder / "data")
    log_set.archiver.start()
    receipts["after"] = append(outbox, "after")
    outbox.close()
    (segments,) = (log_set.archiver.folder / "data" / "store").glob("*/seg")
    assert len(list(segments.iterdir())) == 6
    check_everything(log_set, receipts)


def test_a_journal_rolled_back_is_not_started(make: Callable[..., LogSet]) -> None:
    log_set = make().start()
    outbox = outbox_of(log_set)
    append(outbox, "kept")
    log_set.ledger.stop()
    data = log_set.ledger.folder / "data"
    shutil.copytree(data, log_set.folder / "snapshot")
    log_set.ledger.start()
    append(outbox, "will be lost")
    outbox.close()
    log_set.ledger.stop()
    shutil.rmtree(data)
    shutil.copytree(log_set.folder / "snapshot", data)
    assert log_set.ledger.start(wait=False).wait_ended() == 6
    assert "rolled back" in log_set.ledger.said()
    # With everybody away it cannot know: then it records nothing at all.
    for each in [*log_set.witnesses, log_set.archiver]:
        each.kill()
    log_set.ledger.start()
    place = (
        log_set.ledger.neighbour().get(f"/submitter/{log_set.submitters[0].verifier.label}").json()
    )
    note = signed(draft("other"), log_set.submitters[0], place["next"], place["prev"])
    reply = log_set.ledger.neighbour().send("POST", "/append", encode_bundle([note]))
    assert (reply.status, reply.json()["error"]) == (503, "unwitnessed")
    assert "nothing of this was recorded" in reply.json()["message"]
    for each in [*log_set.witnesses, log_set.archiver]:
        each.start()

    def refused() -> bool:
        told = log_set.ledger.neighbour().send("POST", "/append", encode_bundle([note]))
        return told.status == 500 and told.json()["error"] == "rolled_back"

    until(refused)
    assert log_set.ledger.neighbour().send("GET", "/healthz").status == 500


def test_an_altered_journal_is_not_started(make: Callable[..., LogSet]) -> None:
    log_set = make().start()
    outbox = outbox_of(log_set)
    append(outbox, "one")
    append(outbox, "two")
    outbox.close()
    log_set.ledger.stop()
    journal = sqlite3.connect(log_set.ledger.folder / "data" / "journal.sqlite")
    altered = "cast(replace(cast(note as text), 'one', 'ONE') as blob)"
    journal.execute(f"update entries set note = {altered} where place = 0")
    journal.commit()
    journal.close()
    assert log_set.ledger.start(wait=False).wait_ended() == 6
    assert "does not lead to its own head" in log_set.ledger.said()


def test_a_failing_disk_records_nothing_and_recovers(make: Callable[..., LogSet]) -> None:
    """A journal that another process holds locked cannot be written, as a full disk cannot."""
    log_set = make().start()
    outbox = outbox_of(log_set)
    append(outbox, "before")
    blocker = sqlite3.connect(
        log_set.ledger.folder / "data" / "journal.sqlite", isolation_level=None
    )
    blocker.execute("begin immediate")
    with pytest.raises(UnavailableError):
        append(outbox, "during", timedelta(seconds=7))
    blocker.execute("rollback")
    blocker.close()
    receipt = append(outbox, "after")
    assert receipt.index == 2
    outbox.close()
    check_everything(log_set, {"after": receipt})


def test_a_second_ledger_in_one_folder_is_refused(make: Callable[..., LogSet]) -> None:
    log_set = make().start()
    address = log_set.ledger.address
    second = type(log_set.ledger)(log_set.ledger.folder, "breakglass.ledger")
    second.start(wait=False)
    assert second.wait_ended() == 6
    assert "in use by process" in second.said()
    (log_set.ledger.folder / "address").write_text(address)
