"""Notes that must not be lost while the ledger is away: one SQLite file, in order, fsynced."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

from breakglass.clock import format_time, parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import UnavailableError
from breakglass.process.database import Database

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
        self._file = Database(path, what="spool", durability="full", schema=_SCHEMA)

    def add(self, drafts: Sequence[Draft], now: datetime) -> list[Spooled]:
        """Keep drafts, all or none; on disk when this returns. One whose id waits is left out.

        Raises:
            UnavailableError: the disk refuses; none of them is kept.
        """
        if not drafts:
            return []
        try:
            with self._file.changing():
                return [kept for draft in drafts if (kept := self._insert(draft, now))]
        except sqlite3.Error as error:
            raise UnavailableError(
                f"record {drafts[0].id!r} could not be spooled: {error}; it is not kept",
                name=ErrorName.SPOOL,
            ) from error

    def _insert(self, draft: Draft, now: datetime) -> Spooled | None:
        done = self._file.do(
            "insert or ignore into waiting(id, text, posted_at) values (?, ?, ?)",
            draft.id,
            draft.text,
            format_time(now),
        )
        if not done.rowcount:
            return None
        position = done.lastrowid or 0
        for data in draft.attachments:
            self._file.do("insert into attached values (?, ?)", position, data)
        return Spooled(position, draft, now)

    def count(self) -> int:
        """Return how many drafts wait."""
        return int(self._file.one("select count(*) from waiting")[0])

    def waiting(self) -> list[Spooled]:
        """Return all drafts that wait, in order; for a start."""
        rows = self._file.all(
            "select position, id, text, posted_at, data from waiting left join attached"
            " using (position) order by position, attached.rowid"
        )
        return [
            Spooled(
                position,
                Draft(ident, text, tuple(row[4] for row in group if row[4] is not None)),
                parse_time(at),
            )
            for (position, ident, text, at), group in groupby(rows, key=lambda row: row[:4])
        ]

    def replace(self, texts: Sequence[tuple[int, str]]) -> None:
        """Give drafts that were never sent another text, all or none."""
        with self._file.changing():
            for position, text in texts:
                self._file.do("update waiting set text = ? where position = ?", text, position)

    def remove(self, positions: Sequence[int]) -> None:
        """Let go of drafts that the ledger holds; calling again does nothing."""
        # A crash before this leaves a draft that will be sent again: the ledger knows its id.
        with self._file.changing():
            for position in positions:
                self._let_go(position)

    def set_aside(self, spooled: Spooled, error: str, message: str) -> None:
        """Take a draft that the ledger will never accept out of the way, and keep it for people."""
        draft = spooled.draft
        with self._file.changing():
            self._file.do(
                "insert into refused values (?, ?, ?, ?)", draft.id, draft.text, error, message
            )
            self._let_go(spooled.position)

    def _let_go(self, position: int) -> None:
        self._file.do("delete from waiting where position = ?", position)
        self._file.do("delete from attached where position = ?", position)

    def refused(self) -> list[tuple[str, str, str]]:
        """Return id, error and message of each draft that was set aside."""
        return self._file.all("select id, error, message from refused")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
