"""The journal in one SQLite file: WAL, ``synchronous=FULL``, one fsync a commit."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from breakglass.errors import MisconfiguredError
from breakglass.ledger.journal import Commit, ForkedError, Head, JournalError, Place
from breakglass.process.database import connected

_SCHEMA = """
create table if not exists entries(place integer primary key, note blob not null) strict;
create table if not exists ids(
    submitter text not null, id text not null, place integer not null,
    primary key(submitter, id)
) strict, without rowid;
create table if not exists submitters(
    submitter text primary key, next integer not null, prev text not null
) strict, without rowid;
create table if not exists tiles(
    level integer not null, n integer not null, hashes blob not null, primary key(level, n)
) strict;
create table if not exists heads(
    size integer primary key, signed blob not null, cosigned blob
) strict;
create index if not exists cosigned_heads on heads(size) where cosigned is not null;
"""
_HEAD = "select size, signed, cosigned from heads"
_NEWEST = f"{_HEAD} order by size desc limit 1"


class SqliteJournal:
    """A ``Journal`` in a file; see the protocol for what holds."""

    def __init__(self, path: Path) -> None:
        """Open the journal, or make it.

        Raises:
            MisconfiguredError: the file cannot be used.
        """
        self._path = path
        self._lock = threading.Lock()  # the writer's
        self._free: list[sqlite3.Connection] = []
        self._free_lock = threading.Lock()
        try:
            self._writer = self._opened(_SCHEMA)
            self._writer.execute(_NEWEST).fetchone()  # a damaged file is told here, by its name
        except (sqlite3.Error, OSError) as error:
            raise MisconfiguredError(
                f"journal {str(path)!r} cannot be used: {error}; not started",
                hint="a full disk: make room; a damaged file: restore a copy, or rebuild from the"
                " archive, never repair history",
            ) from error

    def commit(self, commit: Commit) -> None:
        """See ``Journal.commit``."""
        start = commit.before
        last = {entry.submitter: entry for entry in commit.entries}
        with self._writing() as file:
            # The compare of compare-and-swap; ``begin immediate`` holds off every other writer.
            found = file.execute(_NEWEST).fetchone()
            if (found[0], found[1]) != (start, commit.before_head) if found else start:
                raise ForkedError(
                    f"journal's newest head is of size {found[0] if found else 0}, wanted {start};"
                    " nothing was written",
                    hint="another ledger writes this journal; find it before starting again",
                )
            file.executemany(
                "insert into entries values (?, ?)",
                [(start + at, entry.note) for at, entry in enumerate(commit.entries)],
            )
            file.executemany(
                "insert into ids values (?, ?, ?)",
                [
                    (entry.submitter, entry.id, start + at)
                    for at, entry in enumerate(commit.entries)
                ],
            )
            file.executemany(
                "insert or replace into submitters values (?, ?, ?)",
                [(key, entry.seq + 1, entry.digest) for key, entry in last.items()],
            )
            file.executemany("insert into tiles values (?, ?, ?)", commit.tiles)
            file.execute(
                "insert into heads values (?, ?, null)", (commit.head.size, commit.head.signed)
            )

    def cosign(self, size: int, cosigned: bytes) -> bytes:
        """See ``Journal.cosign``."""
        with self._writing() as file:
            file.execute(
                "update heads set cosigned = ? where size = ? and cosigned is null",
                (cosigned, size),
            )
            found = file.execute("select cosigned from heads where size = ?", (size,)).fetchone()
            if found is None:
                raise JournalError(f"journal has no head of size {size}")
            stands: bytes = found[0]
            return stands

    def newest(self) -> Head | None:
        """See ``Journal.newest``."""
        return self._head(_NEWEST)

    def newest_cosigned(self) -> Head | None:
        """See ``Journal.newest_cosigned``."""
        return self._head(f"{_HEAD} where cosigned is not null order by size desc limit 1")

    def cosigned_after(self, index: int) -> Head | None:
        """See ``Journal.cosigned_after``."""
        where = "where cosigned is not null and size > ? order by size limit 1"
        return self._head(f"{_HEAD} {where}", index)

    def cosigned_before(self, index: int) -> int:
        """See ``Journal.cosigned_before``."""
        where = "where cosigned is not null and size <= ? order by size desc limit 1"
        head = self._head(f"{_HEAD} {where}", index)
        return head.size if head else 0

    def head_after(self, size: int) -> Head | None:
        """See ``Journal.head_after``."""
        return self._head(f"{_HEAD} where size > ? order by size limit 1", size)

    def head_at(self, size: int) -> Head | None:
        """See ``Journal.head_at``."""
        return self._head(f"{_HEAD} where size = ?", size)

    def notes(self, start: int, stop: int) -> list[bytes]:
        """See ``Journal.notes``."""
        rows = self._read(
            "select note from entries where place >= ? and place < ? order by place", start, stop
        )
        return [row[0] for row in rows]

    def tile(self, level: int, n: int) -> bytes | None:
        """See ``Journal.tile``."""
        rows = self._read("select hashes from tiles where level = ? and n = ?", level, n)
        return rows[0][0] if rows else None

    def place(self, submitter: str) -> Place:
        """See ``Journal.place``."""
        rows = self._read("select next, prev from submitters where submitter = ?", submitter)
        return Place(*rows[0]) if rows else Place()

    def find(self, submitter: str, ident: str) -> int | None:
        """See ``Journal.find``."""
        rows = self._read("select place from ids where submitter = ? and id = ?", submitter, ident)
        return rows[0][0] if rows else None

    def mend(
        self,
        tiles: Sequence[tuple[int, int, bytes]],
        ids: Sequence[tuple[str, str, int]],
        places: Mapping[str, Place],
    ) -> None:
        """See ``checking.Mendable``."""
        ends = [(key, place.next, place.prev) for key, place in places.items()]
        with self._writing() as file:
            file.executemany("insert or replace into tiles values (?, ?, ?)", tiles)
            file.executemany("insert or replace into ids values (?, ?, ?)", ids)
            file.executemany("insert or replace into submitters values (?, ?, ?)", ends)

    def close(self) -> None:
        """See ``Journal.close``."""
        with self._lock, self._free_lock:
            self._writer.close()
            for file in self._free:
                file.close()
            self._free.clear()

    def _opened(self, schema: str = "") -> sqlite3.Connection:
        return connected(self._path, "full", schema, timedelta(seconds=1))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._writer.execute("begin immediate")
                yield self._writer
                self._writer.execute("commit")
            except BaseException as error:
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("rollback")
                if isinstance(error, sqlite3.Error):
                    raise JournalError(f"journal could not be written: {error}") from error
                raise

    def _head(self, query: str, *values: Any) -> Head | None:
        rows = self._read(query, *values)
        return Head(*rows[0]) if rows else None

    def _read(self, query: str, *values: Any) -> list[Any]:
        with self._free_lock:
            file = self._free.pop() if self._free else None
        try:
            file = file or self._opened()
            rows = file.execute(query, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"journal could not be read: {error}") from error
        with self._free_lock:
            self._free.append(file)
        return rows
