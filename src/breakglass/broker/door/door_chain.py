"""Door intents that are not in the log yet: signed by a key of their own, fsynced, in order.

The broker's other notes may hang unanswered when the ledger goes away, and nobody can number a
note behind those. So doors have a submitter key, and so a chain, that holds nothing else. This
file cannot be rebuilt while the ledger is away; docs/reference/backup.md names it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from breakglass.clock import format_time, parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import UnavailableError
from breakglass.process.database import Database
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.record_reader import parse_record
from breakglass.submit.record_header import text_digest
from breakglass.tlog.note import Note

_SCHEMA = """
create table if not exists doors(
    seq integer primary key, grant_id text not null unique, note blob not null,
    card blob not null, not_after text not null, index_ integer
) strict;
"""


@dataclass(frozen=True)
class KeptDoor:
    """A door intent as it stands here; ``index`` is its place in the log, once it has one."""

    seq: int
    grant: str
    note: Note
    card: bytes
    at: datetime
    not_after: datetime
    index: int | None = None

    @property
    def digest(self) -> str:
        """The intent's identity: the SHA-256 of its text."""
        return text_digest(self.note.text)


class DoorChain:
    """The file; safe under threads. What a method has returned from survives a crash.

    Raises:
        MisconfiguredError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = Database(path, what="doors", durability="full", schema=_SCHEMA)

    def standing(self) -> list[KeptDoor]:
        """Return the doors that have no place in the log yet, in the chain's order."""
        return self._rows("where index_ is null")

    def all(self) -> list[KeptDoor]:
        """Return every door, the newest last."""
        return self._rows("")

    def find(self, grant: str) -> KeptDoor | None:
        """Return the door of a grant."""
        found = self._rows("where grant_id = ?", grant)
        return found[0] if found else None

    def place(self, next_seq: int, prev: str) -> tuple[int, str]:
        """Return ``seq`` and ``prev`` for the next door.

        Args:
            next_seq: of the door key's chain, as the ledger was last followed.
            prev: likewise.
        """
        standing = self.standing()
        if not standing:
            return next_seq, prev if next_seq else ZERO_DIGEST
        return standing[-1].seq + 1, standing[-1].digest

    def add(self, door: KeptDoor) -> None:
        """Keep a new door.

        Raises:
            UnavailableError: the disk refuses; nothing may be handed out.
        """
        with self._changing():
            # A number is free again only where what had it never came into the log.
            self._file.do("delete from doors where seq = ?", door.seq)
            self._file.do(
                "insert into doors values (?, ?, ?, ?, ?, null)",
                door.seq,
                door.grant,
                door.note.encoded(),
                door.card,
                format_time(door.not_after),
            )

    def settle(self, grant: str, index: int) -> None:
        """Remember a door's place in the log."""
        with self._changing():
            self._file.do("update doors set index_ = ? where grant_id = ?", index, grant)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rows(self, where: str, *values: str) -> list[KeptDoor]:
        rows = self._file.all(
            f"select seq, grant_id, note, card, not_after, index_ from doors {where} order by seq",
            *values,
        )
        return [
            KeptDoor(
                seq,
                grant,
                Note.parse(note),
                card,
                parse_record(note).envelope.at,
                parse_time(not_after),
                index,
            )
            for seq, grant, note, card, not_after, index in rows
        ]

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with self._file.changing():
                yield
        except sqlite3.Error as error:
            raise UnavailableError(
                f"this broker's disk refuses: {error}; no door was kept", name=ErrorName.DOORS
            ) from error
