"""Disks that are full, read-only, slow, stuck or broken, and pages that were torn.

What a client is told, to the word; nothing acknowledged is lost; nobody speaks of tampering; and
when the disk is well again the ledger goes on by itself.
"""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.ledger.fsck import check_folder
from breakglass.tlog.tiles import encode_bundle
from tests.faults.crash import DOOMED
from tests.faults.ledger_client import Clerk, on_disk, told
from tests.kit.disks import small_disk
from tests.kit.processes import Process, draft, make_log_set, permit, signed, until

TOLD = "no receipt, and it may or may not be recorded"


def test_a_full_disk_records_nothing_keeps_reading_and_goes_on_by_itself(
    make: Callable[..., Clerk],
) -> None:
    clerk = make()
    with small_disk(clerk.log_set.ledger.folder / "data") as disk:
        clerk.log_set.start()
        clerk.appended("before")
        with disk.full():
            for place in range(3):
                reply = clerk.send(clerk.note(f"full-{place}", 9000))
                assert told(reply) == (503, "journal")
                assert "database or disk is full" in reply.json()["message"]
                assert TOLD in reply.json()["message"]
                assert "repeat the same bytes" in reply.json()["hint"]
            data = b"evidence"
            path = f"/attachment/{hashlib.sha256(data).hexdigest()}"
            reply = clerk.ledger.send("PUT", path, data, headers=permit(data, clerk.signer))
            assert told(reply) == (503, "not_stored")
            assert "disk is full" in clerk.ledger.get("/healthz").json()["journal"]
            clerk.read()
        clerk.appended("after")
        assert clerk.ledger.get("/healthz").json()["journal"] == ""
        clerk.whole()
        clerk.log_set.kill()


def test_a_ledger_starts_on_a_full_disk_and_serves_what_it_has(make: Callable[..., Clerk]) -> None:
    clerk = make()
    with small_disk(clerk.log_set.ledger.folder / "data") as disk:
        clerk.log_set.start()
        clerk.appended("before")
        clerk.log_set.ledger.kill()
        with disk.full():
            clerk.log_set.ledger.start()
            clerk.read()
            assert told(clerk.send(clerk.note("full", 9000))) == (503, "journal")
        clerk.appended("after")
        clerk.whole()
        clerk.log_set.kill()


def test_without_room_for_its_own_address_no_process_starts_and_each_says_why(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "set", mib=8) as disk:
        log_set = make_log_set(disk.folder / "log")
        with disk.full():
            for each in log_set.processes:
                said = last_error(tmp_path, each)
                assert "cannot be used: [Errno 28] No space left on device" in said
                assert "; not started" in said
        log_set.start()
        log_set.kill()


def last_error(folder: Path, process: Process) -> str:
    """Return what a process says of its start, that fails."""
    done = subprocess.run(
        [sys.executable, "-m", process.module, str(process.folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 6
    assert "Traceback" not in done.stderr
    return done.stderr


def test_an_archiver_with_a_full_disk_withholds_the_receipt_and_makes_it_good(
    make: Callable[..., Clerk],
) -> None:
    clerk = make()
    log_set = clerk.log_set
    full = log_set.archiver
    with small_disk(full.folder / "data") as disk:
        log_set.start()
        clerk.appended("before")
        with disk.full():
            note = clerk.note("full", 9000)
            reply = clerk.send(note)
            assert told(reply) == (503, "unwitnessed")
            assert "No space left on device" in reply.json()["message"]
            assert "No space left" in clerk.ledger.get("/healthz").json()["away"][full.folder.name]
        # Nobody asks again: the ledger brings the head to them by itself.
        until(lambda: bool(clerk.ledger.get("/entries?from=1&wait=1").json()["commits"]))
        assert clerk.send(note).json()["first"] == 1
        clerk.appended("after", submitter=1)
        clerk.whole()
        log_set.kill()


def test_a_witness_needs_no_room_for_the_next_head_of_a_log_that_it_knows(
    make: Callable[..., Clerk],
) -> None:
    """Its two copies are overwritten in place: a full disk is no reason to cosign nothing."""
    clerk = make()
    log_set = clerk.log_set
    full = log_set.witnesses[0]
    with small_disk(full.folder / "data") as disk:
        log_set.start()
        clerk.appended("before")
        log_set.witnesses[1].kill()  # the quorum needs the one that is full
        with disk.full():
            clerk.appended("full")
        log_set.witnesses[1].start()
        clerk.appended("after", submitter=1)
        clerk.whole()
        log_set.kill()


def test_a_disk_that_turned_read_only_records_nothing_and_what_was_acknowledged_is_on_it(
    make: Callable[..., Clerk],
) -> None:
    clerk = make()
    ledger = clerk.log_set.ledger
    with small_disk(ledger.folder / "data", mib=8) as disk:
        clerk.log_set.start()
        clerk.appended("before")
        disk.worn_out()
        reply = clerk.send(clerk.note("read-only"))
        assert told(reply) == (503, "journal")
        assert TOLD in reply.json()["message"]
        clerk.read()
        # A ledger started on it serves what there is.
        ledger.kill()
        ledger.start()
        clerk.read()
        assert told(clerk.send(clerk.note("read-only"))) == (503, "journal")
        ledger.kill()
        disk.mended()
        ledger.start()
        clerk.appended("after")
        clerk.whole()
        clerk.log_set.kill()


def test_a_slow_disk_makes_everything_slow_and_nothing_wrong(make: Callable[..., Clerk]) -> None:
    clerk = make()
    disks = [on_disk(each) for each in (clerk.log_set.ledger, clerk.log_set.archiver)]
    clerk.log_set.start()
    with disks[0].slow(150), disks[1].slow(150):
        for place in range(3):
            clerk.appended(f"slow-{place}")
        clerk.read()
    clerk.appended("after")
    clerk.whole()


def test_a_stuck_disk_is_told_in_time_reads_go_on_and_the_note_counts_once(
    make: Callable[..., Clerk],
) -> None:
    clerk = make()
    disk = on_disk(clerk.log_set.ledger)
    clerk.log_set.start()
    clerk.appended("before")
    note = clerk.note("stuck")
    with disk.stuck():
        reply = clerk.send(note)
        assert told(reply) == (503, "unanswered")
        assert "the notes may yet be recorded" in reply.json()["message"]
        assert reply.json()["hint"] == "repeat the same bytes"
        clerk.read()
    again = clerk.send(note)
    assert (again.status, again.json()["first"]) == (200, 1)
    assert clerk.send(note).body == again.body
    clerk.appended("after")
    clerk.whole()


def test_on_a_stuck_disk_a_ledger_still_stops_when_told(make: Callable[..., Clerk]) -> None:
    clerk = make()
    disk = on_disk(clerk.log_set.ledger)
    clerk.log_set.start()
    clerk.appended("before")
    with disk.stuck():
        with pytest.raises(UnavailableError):
            clerk.ledger.send(
                "POST", "/append", encode_bundle([clerk.note("stuck")]), within=timedelta(seconds=1)
            )
        assert clerk.log_set.ledger.stop() == 0
    clerk.log_set.ledger.start()
    clerk.appended("after")
    clerk.whole()


def test_syncs_that_fail_are_never_taken_for_done(make: Callable[..., Clerk]) -> None:
    """What was written and not synced is read again, never guessed: twice nothing, then once."""
    clerk = make()
    disk = on_disk(clerk.log_set.ledger)
    clerk.log_set.start()
    clerk.appended("before")
    notes = [clerk.note("failing")]
    with disk.failing():
        for _ in range(2):
            reply = clerk.send(*notes)
            assert told(reply) == (503, "journal")
            assert "disk I/O error" in reply.json()["message"]
        clerk.read()
    # Another run than the one that failed, and the first one after it.
    other = signed(draft("other"), clerk.log_set.submitters[1], 0, "0" * 64)
    assert clerk.send(other).status == 200
    assert clerk.send(*notes).status == 200
    clerk.whole()


@pytest.mark.parametrize("torn", ["cut", "garbled"])
def test_a_torn_end_of_the_write_ahead_log_is_a_commit_that_never_was(
    make: Callable[..., Clerk], torn: str
) -> None:
    """Killed when all was written and nobody had been shown it; the last page got half-way."""
    clerk = make()
    ledger = clerk.log_set.ledger
    ledger.command = DOOMED
    clerk.log_set.start()
    clerk.appended("before")
    note = clerk.note("torn")
    (ledger.folder / "doom").write_text("3")
    with pytest.raises(UnavailableError):
        clerk.send(note)
    assert ledger.wait_ended() == 137
    wal = ledger.folder / "data" / "journal.sqlite-wal"
    with wal.open("r+b") as file:
        size = wal.stat().st_size
        if torn == "cut":
            file.truncate(size - 2000)
        else:
            file.seek(size - 2000)
            file.write(b"\xff" * 2000)
    ledger.start()
    assert clerk.ledger.get("/healthz").json()["size"] == 1
    clerk.read()
    # The same bytes are recorded now, once.
    assert clerk.send(note).json()["first"] == 1
    clerk.appended("after", submitter=1)
    clerk.whole()


def test_pages_torn_while_they_were_moved_into_the_main_file_are_healed(
    make: Callable[..., Clerk],
) -> None:
    """A checkpoint writes pages that stand in the write-ahead log still: what it tears is there."""
    clerk = make()
    ledger = clerk.log_set.ledger
    clerk.log_set.start()
    clerk.appended(*[f"before-{place}" for place in range(20)])
    ledger.kill()
    main = ledger.folder / "data" / "journal.sqlite"
    pages = logged_pages(main.with_name("journal.sqlite-wal"))
    assert pages
    with main.open("r+b") as file:
        for page in pages:
            if page * 4096 <= main.stat().st_size:
                file.seek((page - 1) * 4096 + 2048)
                file.write(b"\xff" * 2048)
    ledger.start()
    clerk.appended("after")
    clerk.whole()


def logged_pages(wal: Path) -> set[int]:
    """Return the numbers of the pages that a write-ahead log holds whole. Source: SQLite, «WAL»."""
    data = wal.read_bytes()
    return {
        int.from_bytes(data[at : at + 4], "big")
        for at in range(32, len(data) - 4096, 24 + 4096)
        if data[at + 8 : at + 16] == data[16:24]
    }


def test_a_page_that_rotted_is_damage_that_is_named_and_no_tampering(
    make: Callable[..., Clerk],
) -> None:
    """Beyond what SQLite heals: the ledger does not start, fsck says what is wrong."""
    clerk = make()
    ledger = clerk.log_set.ledger
    clerk.log_set.start()
    clerk.appended(*[f"before-{place}" for place in range(40)])
    ledger.stop()
    path = ledger.folder / "data" / "journal.sqlite"
    with sqlite3.connect(path) as journal:
        journal.execute("pragma wal_checkpoint(truncate)")
        root = journal.execute("select rootpage from sqlite_master where name = 'heads'").fetchone()
    journal.close()
    with path.open("r+b") as file:
        file.seek((root[0] - 1) * 4096)
        file.write(b"\xff" * 4096)
    assert ledger.start(wait=False).wait_ended() == 6
    assert "database disk image is malformed" in ledger.said()
    assert "not started" in ledger.said()
    assert "rolled back" not in ledger.said()
    with pytest.raises(MisconfiguredError, match="malformed"):
        check_folder(ledger.folder)


def test_an_end_that_was_acknowledged_and_is_gone_is_refused_by_its_name(
    make: Callable[..., Clerk],
) -> None:
    """A disk that lies about syncing: the witnesses remember, and this alarm is a true one."""
    clerk = make()
    ledger = clerk.log_set.ledger
    clerk.log_set.start()
    clerk.appended("before")
    clerk.appended("acknowledged", submitter=1)
    ledger.kill()
    wal = ledger.folder / "data" / "journal.sqlite-wal"
    with wal.open("r+b") as file:
        file.truncate(32 + (wal.stat().st_size - 32) // 2)
    assert ledger.start(wait=False).wait_ended() == 6
    assert "rolled back or replaced; not started" in ledger.said()
