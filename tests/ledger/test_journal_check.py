"""A journal's examination: what is derived is mended, and history is never touched."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from breakglass.errors import MisconfiguredError, RefusedError
from breakglass.ledger.fsck import check_folder
from breakglass.ledger.journal_check import examine, mend
from breakglass.ledger.postgres_calls import PostgresCalls
from breakglass.ledger.postgres_journal import PostgresJournal
from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.process.folder import held
from breakglass.tlog.note import SignerKey
from tests.kit.journals import journal_database
from tests.kit.made_journal import fill, signed_entries
from tests.kit.postgres import start_postgres
from tests.kit.processes import ORIGIN, make_process

LOG = SignerKey.generate(ORIGIN)
SUBMITTER = SignerKey.generate("submitter.example")
ENTRIES = signed_entries(700, SUBMITTER)
SIZES = [1, 255, 3, 200, 256, 256]  # of the commits; the last one is cut by the end


def batches() -> Callable[[], list[object]]:
    left, sizes = list(ENTRIES), iter(SIZES)

    def take() -> list[object]:
        count = next(sizes, 0)
        taken, left[:] = left[:count], left[count:]
        return taken  # type: ignore[return-value]

    return take


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger's folder with 700 entries."""
    process = make_process(tmp_path / "ledger", "breakglass.ledger", LOG, "")
    (process.folder / "data").mkdir()
    journal = SqliteJournal(process.folder / "data" / "journal.sqlite")
    assert fill(journal, LOG, batches()) == 700  # type: ignore[arg-type]
    journal.close()
    return process.folder


def damage(folder: Path, *statements: str) -> None:
    with sqlite3.connect(folder / "data" / "journal.sqlite") as file:
        for each in statements:
            assert file.execute(each).rowcount > 0, each


def contents(folder: Path) -> list[object]:
    with sqlite3.connect(folder / "data" / "journal.sqlite") as file:
        tables = ("entries", "heads", "tiles", "ids", "submitters")
        return [sorted(file.execute(f"select * from {table}").fetchall()) for table in tables]


def test_nothing_is_wrong(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    found = check_folder(folder, progress=lambda done, of: told.append((done, of)))
    assert (found.size, found.findings, found.sound) == (700, [], True)
    assert told[-1] == (700, 700)


@pytest.mark.parametrize(
    ("statement", "name", "words"),
    [
        ("delete from tiles where level = 0 and n = 1", "tile", "tile 1 of level 0 is missing"),
        (
            "update tiles set hashes = zeroblob(8192) where level = 0 and n = 0",
            "tile",
            "tile 0 of level 0 does not hold the hashes below it",
        ),
        ("delete from ids where id = 'n-300'", "index", "id 'n-300' is entry 300"),
        ("update ids set place = 5 where id = 'n-6'", "index", "id 'n-6' is entry 6"),
        ("update submitters set next = 3", "index", "goes on at seq 700"),
        ("delete from submitters", "index", "goes on at seq 700"),
    ],
)
def test_what_is_derived_is_mended(folder: Path, statement: str, name: str, words: str) -> None:
    before = contents(folder)
    damage(folder, statement)
    damaged = contents(folder)
    found = check_folder(folder)
    assert [each.name for each in found.findings] == [name]
    assert words in found.findings[0].what
    assert found.sound
    assert contents(folder) == damaged, "looking changes nothing"
    for _ in range(2):
        check_folder(folder, mending=True)
        assert contents(folder) == before
    assert check_folder(folder).findings == []


@pytest.mark.parametrize(
    ("statement", "name", "words"),
    [
        ("delete from entries where place = 9", "missing_entry", "1 of the entries 1 to 255"),
        (
            "update entries set note = cast(replace(note, 'n-9', 'n-0') as blob) where place = 9",
            "altered_entry",
            "entry 9 is not the one that was logged",
        ),
        (
            "update entries set note = cast(note || x'0a' as blob) where place = 690",
            "altered_entry",
            "entries 459 to 699 are not those that the head of size 700 signs",
        ),
        ("update heads set signed = x'00' where size = 459", "head", "size 459 does not hold"),
        ("delete from heads where size = 700", "no_head", "entry 459 stands under no head"),
        (
            "update heads set cosigned = (select signed from heads where size = 1)"
            " where size = 256",
            "head",
            "its cosigned form says something else",
        ),
    ],
)
def test_history_is_never_repaired(folder: Path, statement: str, name: str, words: str) -> None:
    damage(folder, statement, "delete from tiles where level = 1 or n = 1")
    damaged = contents(folder)
    found = check_folder(folder)
    assert not found.sound
    wrong = next(each for each in found.findings if each.history)
    assert wrong.name == name
    assert words in wrong.what
    with pytest.raises(RefusedError, match="nothing was mended"):
        check_folder(folder, mending=True)
    assert contents(folder) == damaged


def test_a_head_of_another_key_is_no_head(folder: Path) -> None:
    journal = SqliteJournal(folder / "data" / "journal.sqlite")
    found = examine(journal, [SignerKey.generate(ORIGIN).verifier])
    assert [each.name for each in found.findings] == ["head"]


def test_a_thousand_of_a_kind_are_counted(folder: Path) -> None:
    damage(folder, "delete from ids")
    found = check_folder(folder)
    assert (len(found.findings), found.more) == (20, 680)
    assert len(found.derived.ids) == 700


def test_a_running_ledger_is_examined_and_not_mended(folder: Path) -> None:
    with held(folder):
        assert check_folder(folder).findings == []
        with pytest.raises(MisconfiguredError, match="in use"):
            check_folder(folder, mending=True)


def test_notes_that_people_signed_too_are_the_submitters(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    custodian = SignerKey.generate("custodian.example")
    from breakglass.ledger.journal import Entry
    from breakglass.tlog.note import Note, sign_note

    text = Note.parse(ENTRIES[1].note).text
    both = sign_note(text, custodian, SUBMITTER).encoded()
    first, second = ENTRIES[0], ENTRIES[1]
    entries = [first, Entry(both, second.submitter, second.id, second.seq, second.digest)]
    runs = iter([entries, []])
    fill(journal, LOG, lambda: next(runs))
    assert examine(journal, [LOG.verifier]).findings == []
    with sqlite3.connect(tmp_path / "journal.sqlite") as file:
        file.execute("delete from ids")
    mend(journal, examine(journal, [LOG.verifier]))
    assert journal.find(SUBMITTER.verifier.label, "n-1") == 1


def test_a_journal_on_postgresql_is_mended_too() -> None:
    server = start_postgres()
    try:
        dsn = journal_database(server)
        journal = PostgresJournal(PostgresCalls(dsn, "test"))
        fill(journal, LOG, batches())  # type: ignore[arg-type]
        assert examine(journal, [LOG.verifier]).findings == []
        database = dsn.partition("dbname=")[2].split()[0]
        server.run(
            "delete from tiles where n = 1",
            "update submitters set next = 9",
            "delete from ids where place = 4",
            dbname=database,
        )
        found = examine(journal, [LOG.verifier])
        assert sorted(each.name for each in found.findings) == ["index", "index", "tile"]
        mend(journal, found)
        assert examine(journal, [LOG.verifier]).findings == []
        server.run("update entries set note = '' where place = 3", dbname=database)
        with pytest.raises(RefusedError, match="nothing was mended"):
            mend(journal, examine(journal, [LOG.verifier]))
        journal.close()
    finally:
        server.close()


def test_the_command_says_what_it_found_and_mends(folder: Path) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "breakglass.cli", "ledger", "fsck", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    damage(folder, "delete from tiles where level = 0 and n = 1")
    code, out, said = run()
    assert (code, "tile 1 of level 0 is missing" in out, "--mend" in said) == (0, True, True)
    code, out, _ = run("--mend")
    assert (code, "mended" in out) == (0, True)
    damage(folder, "delete from entries where place = 9")
    code, out, said = run("--json")
    assert code == 3
    assert json.loads(out)["findings"][0]["name"] == "missing_entry"
    assert "do not start this ledger" in said
