"""SQLite files are opened in one way, and changed whole or not at all."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from breakglass.errors import MisconfiguredError
from breakglass.process.database import Database, Durability, connected, transaction

SCHEMA = "create table if not exists t(n integer primary key) strict;"


def opened(path: Path, durability: Durability = "full") -> Database:
    return Database(path, what="numbers", durability=durability, schema=SCHEMA, hint="delete it")


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("off", 0)])
def test_a_file_is_its_owners_alone_and_as_durable_as_was_asked(
    tmp_path: Path, durability: Durability, level: int
) -> None:
    path = tmp_path / "n.sqlite"
    with closing(opened(path, durability)) as file:
        file.do("insert into t values (1)")
        assert file.one("pragma synchronous") == (level,)
        assert file.one("pragma journal_mode") == ("wal",)
        assert file.one("select n from t where n = 2") is None
        for each in tmp_path.iterdir():
            assert stat.S_IMODE(each.stat().st_mode) == 0o600, each


def test_a_change_is_whole_or_nothing_whatever_ended_it(tmp_path: Path) -> None:
    def fails(file: Database, error: type[BaseException]) -> None:
        with file.changing():
            file.do("insert into t values (1)")
            raise error

    with closing(opened(tmp_path / "n.sqlite")) as file:
        for error in (KeyboardInterrupt, sqlite3.OperationalError):
            with pytest.raises(error):
                fails(file, error)
        with file.changing():
            file.do("insert into t values (3)")
        assert file.all("select n from t") == [(3,)]


def test_a_single_transaction_is_whole_or_nothing(tmp_path: Path) -> None:
    def fails() -> None:
        with transaction(tmp_path / "n.sqlite", "full", SCHEMA) as file:
            file.execute("insert into t values (4)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    with transaction(tmp_path / "n.sqlite", "full", SCHEMA) as file:
        assert file.execute("select n from t").fetchall() == []


def test_opening_a_file_again_lets_go_of_no_lock_on_it(tmp_path: Path) -> None:
    """POSIX: whoever closes a file of its own loses every lock of its process on it.

    Another process would then think that it is the last one, and take the log of changes away.
    """
    path = tmp_path / "n.sqlite"
    with closing(opened(path)) as file:
        file.do("insert into t values (1)")
        connected(path, "full").close()
        last = "import sqlite3, sys; f = sqlite3.connect(sys.argv[1]); f.execute('select * from t')"
        subprocess.run([sys.executable, "-c", f"{last}; f.close()", str(path)], check=True)
        assert path.with_name("n.sqlite-wal").exists()


def test_threads_change_it_one_after_the_other(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "n.sqlite")) as file:

        def adds() -> None:
            for _ in range(50):
                with file.changing():
                    (most,) = file.one("select coalesce(max(n), 0) from t")
                    file.do("insert into t values (?)", most + 1)

        threads = [threading.Thread(target=adds) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert file.one("select count(*), max(n) from t") == (200, 200)


@pytest.mark.parametrize("trouble", ["no folder", "no database"])
def test_a_file_that_cannot_be_used_is_named_with_what_helps(tmp_path: Path, trouble: str) -> None:
    path = tmp_path / ("away/n.sqlite" if trouble == "no folder" else "n.sqlite")
    if trouble == "no database":
        path.write_bytes(b"something else entirely, and long enough to be no header" * 20)
    with pytest.raises(MisconfiguredError, match=r"numbers '.*n\.sqlite' cannot be used") as said:
        opened(path)
    assert said.value.hint == "delete it"
    assert said.value.message.endswith("; not started")


def test_what_is_read_apart_waits_for_no_change_and_sees_what_was_committed(tmp_path: Path) -> None:
    file = Database(
        tmp_path / "n.sqlite", what="numbers", durability="full", schema=SCHEMA, reads_apart=True
    )
    inside, go_on = threading.Event(), threading.Event()

    def changes() -> None:
        with file.changing():
            file.do("insert into t values (2)")
            assert file.all("select n from t") == [(1,), (2,)]
            inside.set()
            go_on.wait(10)

    with closing(file):
        file.do("insert into t values (1)")
        changing = threading.Thread(target=changes)
        changing.start()
        assert inside.wait(10)
        assert file.all("select n from t") == [(1,)]  # while the other thread holds the file
        go_on.set()
        changing.join()
        assert file.all("select n from t") == [(1,), (2,)]
