"""Every store of attachments keeps the contract of ``Attachments``: a folder, and PostgreSQL."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.errors import MalformedError, RefusedError, UnavailableError
from breakglass.ledger.attachments import Attachments, AttachmentStore
from breakglass.ledger.postgres_attachments import PostgresAttachments
from breakglass.ledger.postgres_calls import PostgresCalls
from breakglass.ledger.postgres_journal import PostgresJournal
from breakglass.submit.blob_upload import measured
from tests.kit.journals import journal_database
from tests.kit.large import LARGEST, MIB, encrypted_file, plain_file
from tests.kit.postgres import Postgres, start_postgres

MIRA, SAM = b"\0\0\0\1", b"\0\0\0\2"
LONG, AT_ONCE = timedelta(hours=1), timedelta(seconds=-1)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One real server for all tests here."""
    running = start_postgres()
    yield running
    running.close()


class Made:
    """A store that can be opened again, and filled."""

    def __init__(self, folder: Path, open_: Callable[[], Attachments]) -> None:
        self.folder = folder
        self.open = open_
        self.store = open_()

    def put(self, data: bytes | Path, by: bytes = MIRA) -> str:
        """Take bytes as an upload would bring them: in a file with a name."""
        path = self.folder / f".{secrets.token_hex(4)}"
        path.write_bytes(data if isinstance(data, bytes) else data.read_bytes())
        with path.open("r+b") as file:
            digest, size = measured(file)
            self.store.take(file, digest, size, by)
        path.unlink(missing_ok=True)
        return digest


@pytest.fixture(params=["folder", "postgres"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    if request.param == "folder":
        return Made(tmp_path, lambda: AttachmentStore(tmp_path / "attachments"))
    dsn = journal_database(request.getfixturevalue("server"))
    PostgresJournal(PostgresCalls(dsn, "journal"))  # makes the tables
    return Made(tmp_path, lambda: PostgresAttachments(PostgresCalls(dsn, secrets.token_hex(4), 2)))


def contents(store: Attachments, digest: str) -> bytes:
    stored = store.read(digest)
    data = b"".join(stored.parts)
    assert len(data) == stored.size == store.size(digest)
    return data


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB])
def test_what_was_taken_comes_back_whole_before_and_after_it_is_named(
    made: Made, size: int, tmp_path: Path
) -> None:
    data = plain_file(tmp_path / "file", size).read_bytes()
    digest = made.put(data)
    assert contents(made.store, digest) == data
    made.store.keep([digest])
    assert contents(made.store, digest) == data
    assert contents(made.open(), digest) == data


@pytest.mark.parametrize("make", [plain_file, encrypted_file])
def test_64_mib_come_back_in_small_parts(
    made: Made, make: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    file = make(tmp_path / "file", LARGEST - MIB)
    digest = made.put(file)
    made.store.keep([digest])
    stored, sha256, longest = made.store.read(digest), hashlib.sha256(), 0
    for part in stored.parts:
        sha256.update(part)
        longest = max(longest, len(part))
    assert (sha256.hexdigest(), stored.size) == (digest, file.stat().st_size)
    assert longest <= MIB


def test_what_nobody_brought_is_not_there(made: Made) -> None:
    missing = "0" * 64
    assert made.store.size(missing) is None
    with pytest.raises(RefusedError, match="there is no attachment"):
        made.store.read(missing)
    with pytest.raises(RefusedError, match="is not here any more"):
        made.store.keep([missing])


@pytest.mark.parametrize("digest", ["", "0" * 63, "A" * 64, "../" + "0" * 61])
def test_what_is_no_digest_is_refused(made: Made, digest: str) -> None:
    for ask in (made.store.size, made.store.read, lambda each: made.store.keep([each])):
        with pytest.raises(MalformedError, match="no SHA-256"):
            ask(digest)  # type: ignore[operator]


def test_taking_and_keeping_again_changes_nothing(made: Made) -> None:
    digest = made.put(b"twice")
    assert made.put(b"twice") == digest
    for _ in range(2):
        made.store.keep([digest, digest])
        assert made.put(b"twice", SAM) == digest
    assert made.store.waiting_bytes(MIRA) == made.store.waiting_bytes(SAM) == 0
    assert contents(made.store, digest) == b"twice"


def test_what_no_record_names_counts_for_its_submitter_and_is_forgotten(made: Made) -> None:
    unnamed, named = made.put(b"unnamed"), made.put(b"named!")
    made.put(b"of another", SAM)
    assert (made.store.waiting_bytes(MIRA), made.store.waiting_bytes(SAM)) == (13, 10)
    made.store.keep([named])
    assert made.open().waiting_bytes(MIRA) == 7
    assert made.store.forget(LONG) == 0
    assert made.store.size(unnamed) == 7
    assert made.store.forget(AT_ONCE) == 2
    assert made.store.size(unnamed) is None
    assert made.store.waiting_bytes(SAM) == 0
    with pytest.raises(RefusedError, match="not here any more"):
        made.store.keep([unnamed])
    # What a record names is never forgotten.
    assert contents(made.store, named) == b"named!"
    assert contents(made.store, made.put(b"unnamed")) == b"unnamed"


def test_of_naming_and_forgetting_at_once_one_wins_and_nothing_is_torn(made: Made) -> None:
    for round_ in range(20):
        data = f"round {round_}".encode() * 1000
        digest = made.put(data)
        start = threading.Barrier(3)
        kept: list[bool] = []

        def keep(digest: str = digest, start: threading.Barrier = start,
                 kept: list[bool] = kept) -> None:  # fmt: skip
            start.wait()
            try:
                made.store.keep([digest])
                kept.append(True)
            except RefusedError:
                kept.append(False)

        threads = [threading.Thread(target=keep) for _ in range(2)]
        for thread in threads:
            thread.start()
        start.wait()
        made.store.forget(AT_ONCE)
        for thread in threads:
            thread.join()
        assert len(set(kept)) == 1, "one was told that it is kept, and the other that it is gone"
        assert (made.store.size(digest) is not None) == kept[0]
        if kept[0]:
            assert contents(made.store, digest) == data


def test_damage_is_said_before_the_first_byte_is_given(made: Made) -> None:
    digest = made.put(b"x" * (2 * MIB))
    made.store.keep([digest])
    if isinstance(made.store, AttachmentStore):
        (path,) = made.folder.glob(f"attachments/{digest[:2]}/{digest}")
        path.write_bytes(b"x" * MIB + b"y" * MIB)
    else:
        assert isinstance(made.store, PostgresAttachments)
        with made.store._calls.writing() as file:
            file.execute("update attachments set data = 'y' where part = 1")
    with pytest.raises(UnavailableError, match="damaged"):
        made.store.read(digest)


def test_a_database_from_before_there_was_waiting_gets_its_tables(server: Postgres) -> None:
    calls = PostgresCalls(journal_database(server), "journal")
    PostgresJournal(calls)
    with calls.writing() as file:
        file.execute("drop table waiting, waiting_parts")
    assert PostgresAttachments(calls).waiting_bytes(MIRA) == 0
    assert PostgresAttachments(calls).waiting_bytes(MIRA) == 0
