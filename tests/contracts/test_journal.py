"""Every journal keeps the contract of ``Journal``: SQLite, and a real PostgreSQL."""

from __future__ import annotations

import secrets
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from breakglass.ledger.journal import (
    Commit,
    Entry,
    ForkedError,
    Head,
    Journal,
    JournalError,
    Place,
)
from breakglass.ledger.postgres_calls import PostgresCalls
from breakglass.ledger.postgres_journal import PostgresJournal
from breakglass.ledger.sqlite_journal import SqliteJournal
from tests.kit.journals import journal_database, wait_gone
from tests.kit.postgres import Postgres, start_postgres

Open = Callable[[], Journal]
KEY = "broker.example+00010203"
OTHER = "gate.example+00010203"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """One real server for all tests here."""
    server = start_postgres()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name the one journal of this test: a path, or a connection string."""
    if request.param == "sqlite":
        return str(tmp_path / "journal.sqlite")
    server: Postgres = request.getfixturevalue("postgres")
    return journal_database(server)


@pytest.fixture
def reopen(where: str) -> Iterator[Open]:
    """Open the journal; again gives what a restart would see."""
    opened: list[Journal] = []

    def open_one() -> Journal:
        opened.append(open_journal(where))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def open_journal(where: str) -> Journal:
    if where.startswith("/"):
        return SqliteJournal(Path(where))
    return PostgresJournal(PostgresCalls(where, f"test {secrets.token_hex(4)}"))


def entry(number: int, submitter: str = KEY) -> Entry:
    return Entry(f"note {number}".encode(), submitter, f"id-{number}", number, f"{number:064x}")


def commit(before: int, count: int, before_head: bytes | None = None, size: int = 0) -> Commit:
    head = Head(size or before + count, f"head {before + count}".encode())
    known = (f"head {before}".encode() if before else b"") if before_head is None else before_head
    return Commit(before, known, [entry(before + at) for at in range(count)], [], head)


def test_an_empty_journal(reopen: Open) -> None:
    journal = reopen()
    assert journal.newest() is None
    assert journal.newest_cosigned() is None
    assert journal.cosigned_after(0) is None
    assert journal.cosigned_before(9) == 0
    assert journal.notes(0, 9) == []
    assert journal.tile(0, 0) is None
    assert journal.place(KEY) == Place(0, "0" * 64)
    assert journal.find(KEY, "id-0") is None


def test_what_was_committed_is_there_after_a_restart(reopen: Open) -> None:
    journal = reopen()
    tile = bytes(range(256)) * 32
    first = commit(0, 3)
    journal.commit(Commit(0, b"", first.entries, [(0, 7, tile)], first.head))
    journal.commit(commit(3, 2))
    journal.close()
    journal = reopen()
    assert journal.newest() == Head(5, b"head 5", None)
    assert journal.notes(1, 4) == [b"note 1", b"note 2", b"note 3"]
    assert journal.notes(4, 99) == [b"note 4"]
    assert journal.tile(0, 7) == tile
    assert journal.place(KEY) == Place(5, f"{4:064x}")
    assert journal.place(OTHER) == Place()
    assert journal.find(KEY, "id-3") == 3
    assert journal.find(OTHER, "id-3") is None
    assert journal.head_after(0) == Head(3, b"head 3")
    assert journal.head_after(3) == Head(5, b"head 5")
    assert journal.head_after(5) is None
    assert journal.head_at(3) == Head(3, b"head 3")
    assert journal.head_at(4) is None


def test_a_commit_on_another_head_writes_nothing(reopen: Open) -> None:
    journal = reopen()
    journal.commit(commit(0, 3))
    for wrong in (commit(0, 3), commit(3, 1, b"other head"), commit(2, 2, b"head 3")):
        with pytest.raises(ForkedError, match="nothing was written"):
            journal.commit(wrong)
    assert journal.newest() == Head(3, b"head 3")
    assert journal.notes(0, 9) == [b"note 0", b"note 1", b"note 2"]
    journal.commit(commit(3, 1))


def test_an_empty_journal_takes_no_commit_upon_something(reopen: Open) -> None:
    with pytest.raises(ForkedError):
        reopen().commit(commit(3, 1))


def test_a_commit_that_fails_half_way_leaves_nothing(reopen: Open) -> None:
    journal = reopen()
    journal.commit(commit(0, 1))
    twice = commit(1, 1)
    with pytest.raises(JournalError):
        journal.commit(Commit(1, b"head 1", [*twice.entries, entry(0)], [], Head(3, b"head 3")))
    assert journal.newest() == Head(1, b"head 1")
    assert journal.notes(0, 9) == [b"note 0"]
    assert journal.place(KEY).next == 1


def test_of_two_writers_one_commits(reopen: Open) -> None:
    """Two processes with one journal: the second one's compare fails, whatever the timing."""
    reopen().commit(commit(0, 1))
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def write() -> None:
        journal = reopen()
        start.wait()
        try:
            journal.commit(commit(1, 1))
            outcomes.append("committed")
        except ForkedError:
            outcomes.append("forked")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["committed", "forked", "forked", "forked"]


def test_the_first_final_form_of_a_head_stands(reopen: Open) -> None:
    journal = reopen()
    journal.commit(commit(0, 2))
    journal.commit(commit(2, 2))
    journal.commit(commit(4, 2))
    assert journal.cosign(4, b"cosigned 4") == b"cosigned 4"
    assert journal.cosign(4, b"other") == b"cosigned 4"
    with pytest.raises(JournalError):
        journal.cosign(5, b"no such head")
    journal = reopen()
    four = Head(4, b"head 4", b"cosigned 4")
    assert journal.newest_cosigned() == four
    # An entry's own head is the first cosigned one that holds it.
    assert journal.cosigned_after(0) == four
    assert journal.cosigned_after(3) == four
    assert journal.cosigned_after(4) is None
    assert (journal.cosigned_before(3), journal.cosigned_before(4)) == (0, 4)


def test_one_submitters_ids_are_not_anothers(reopen: Open) -> None:
    journal = reopen()
    both = [entry(0), Entry(b"note", OTHER, "id-0", 0, "a" * 64)]
    journal.commit(Commit(0, b"", both, [], Head(2, b"head 2")))
    assert (journal.find(KEY, "id-0"), journal.find(OTHER, "id-0")) == (0, 1)


def test_readers_go_on_while_a_commit_is_under_way(reopen: Open) -> None:
    journal = reopen()
    journal.commit(commit(0, 1))
    stop = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not stop.is_set():
            newest = journal.newest()
            assert newest is not None
            assert len(journal.notes(0, newest.size)) == newest.size
            seen.append(newest.size)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for before in range(1, 40):
        journal.commit(commit(before, 1))
    stop.set()
    for thread in threads:
        thread.join()
    assert len(set(seen)) > 1
    assert seen


def test_a_killed_writer_leaves_whole_commits(where: str, reopen: Open) -> None:
    """kill -9 while committing: what was acknowledged is there, and nothing in part."""
    script = """
import sys
from tests.contracts.test_journal import commit, open_journal
journal = open_journal(sys.argv[1])
for before in range(0, 100_000, 5):
    journal.commit(commit(before, 5))
    print(before + 5, flush=True)
"""
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", script, where], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(30)]
    process.kill()
    acknowledged += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    process.wait()
    if not where.startswith("/"):
        wait_gone(where)  # the server may still be busy with the last commit
    journal = reopen()
    newest = journal.newest()
    assert newest is not None
    assert newest.size >= acknowledged[-1]
    assert len(journal.notes(0, newest.size + 9)) == newest.size
    journal.commit(commit(newest.size, 5))


def test_sqlite_syncs_every_commit(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    writer: sqlite3.Connection = journal._writer
    assert writer.execute("pragma synchronous").fetchone() == (2,)  # FULL
    assert writer.execute("pragma journal_mode").fetchone() == ("wal",)
