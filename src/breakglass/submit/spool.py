"""Notes that must not be lost while the ledger is away: one SQLite file, in order, fsynced."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from breakglass.clock import format_time, parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError

_SCHEMA = """
create table if not exists waiting(
    position integer primary key autoincrement,
    id text not null unique, text text not null, posted_at text not null
) strict;
create table if not exists attached(position integer not null, data blob not null) strict;
create table if not exists refused(
    id text not null, text text not null, error text not null, message text not null
) strict;
"""


@dataclass(frozen=True)
class Draft:
    """A note to be: its text, whose ``seq`` and ``prev`` the outbox will write.

    Attributes:
        id: the record's id, as the text says it.
        text: the whole text with any ``seq`` and ``prev`` (0 and 64 zeros, say).
        attachments: the bytes behind its attach lines; put into the ledger before the note.
    """

    id: str
    text: str
    attachments: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Spooled:
    """A draft that waits on disk."""

    position: int
    draft: Draft
    posted_at: datetime


class Spool:
    """The file; safe under threads. What ``add`` returned from survives a crash."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            MisconfiguredError: it cannot be opened.
        """
        self._lock = threading.Lock()
        try:
            self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._file.execute("pragma journal_mode=wal")
            self._file.execute("pragma synchronous=full")
            self._file.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise MisconfiguredError(f"spool {str(path)!r} cannot be used: {error}") from error

    def add(self, drafts: Sequence[Draft], now: datetime) -> list[Spooled]:
        """Keep drafts, all or none; on disk when this returns. One whose id waits is left out.

        Raises:
            UnavailableError: the disk refuses; none of them is kept.
        """
        if not drafts:
            return []
        with self._lock:
            try:
                with self._file:
                    self._file.execute("begin immediate")
                    return [kept for draft in drafts if (kept := self._insert(draft, now))]
            except sqlite3.Error as error:
                raise UnavailableError(
                    f"record {drafts[0].id!r} could not be spooled: {error}; it is not kept",
                    name=ErrorName.SPOOL,
                ) from error

    def _insert(self, draft: Draft, now: datetime) -> Spooled | None:
        done = self._file.execute(
            "insert or ignore into waiting(id, text, posted_at) values (?, ?, ?)",
            (draft.id, draft.text, format_time(now)),
        )
        if not done.rowcount:
            return None
        position = done.lastrowid or 0
        self._file.executemany(
            "insert into attached values (?, ?)", [(position, data) for data in draft.attachments]
        )
        return Spooled(position, draft, now)

    def count(self) -> int:
        """Return how many drafts wait."""
        with self._lock:
            return int(self._file.execute("select count(*) from waiting").fetchone()[0])

    def waiting(self) -> list[Spooled]:
        """Return all drafts that wait, in order; for a start."""
        with self._lock:
            rows = self._file.execute(
                "select position, id, text, posted_at from waiting order by position"
            ).fetchall()
            attached: dict[int, list[bytes]] = {}
            for position, data in self._file.execute(
                "select position, data from attached order by rowid"
            ):
                attached.setdefault(position, []).append(data)
        return [
            Spooled(
                position,
                Draft(ident, text, tuple(attached.get(position, ()))),
                parse_time(at),
            )
            for position, ident, text, at in rows
        ]

    def remove(self, positions: Sequence[int]) -> None:
        """Let go of drafts that the ledger holds; calling again does nothing."""
        # A crash before this leaves a draft that will be sent again: the ledger knows its id.
        keys = [(position,) for position in positions]
        with self._lock, self._file:
            self._file.execute("begin immediate")
            self._file.executemany("delete from waiting where position = ?", keys)
            self._file.executemany("delete from attached where position = ?", keys)

    def set_aside(self, spooled: Spooled, error: str, message: str) -> None:
        """Take a draft that the ledger will never accept out of the way, and keep it for people."""
        with self._lock, self._file:
            self._file.execute("begin immediate")
            self._file.execute(
                "insert into refused values (?, ?, ?, ?)",
                (spooled.draft.id, spooled.draft.text, error, message),
            )
            key = (spooled.position,)
            self._file.execute("delete from waiting where position = ?", key)
            self._file.execute("delete from attached where position = ?", key)

    def refused(self) -> list[tuple[str, str, str]]:
        """Return id, error and message of each draft that was set aside."""
        with self._lock:
            return self._file.execute("select id, error, message from refused").fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()
