"""The surveys on the surveyor's own disk: names, for its owner alone (mode 0600 in a 0700 folder).

docs/decisions/surveyor-1-names-stay-where-they-were-read.md says why they are here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from breakglass.clock import format_time, parse_time
from breakglass.errors import UnavailableError
from breakglass.process.database import Database
from breakglass.records.kinds.standing import TAKEN_WITHIN
from breakglass.surveyor.inventory_record import InventoryRecord

_SCHEMA = """
create table if not exists surveys(
    digest text primary key, taken_at text not null, occasion text not null,
    total integer not null, left_ integer not null, new integer not null,
    unknown text not null, entry integer, names text
) strict;
create index if not exists by_time on surveys(taken_at);
create table if not exists asked(at text primary key) strict;
"""
NAMES_KEPT = timedelta(days=35)  # longer than a grant's review; the newest stays whatever its age
COUNTS_KEPT = timedelta(days=800)


@dataclass(frozen=True)
class Point:
    """One survey of the trend; ``entry`` is its record's place in the ledger."""

    taken_at: datetime
    occasion: str
    total: int
    left: int
    new: int
    unknown: tuple[str, ...]
    entry: int | None


class InventoryStore:
    """The file; safe under threads. What a method has returned from survives a crash."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            MisconfiguredError: it cannot be used.
        """
        self._file = Database(path, what="surveys", durability="full", schema=_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def keep(self, survey: InventoryRecord, occasion: str, new: int, newest: str) -> None:
        """Keep a survey that no record tells of yet.

        Those that no record ever told of go once none may: only ``newest``, the digest of the
        ledger's newest survey, may be one whose answer was lost.
        """
        left = sum(1 for each in survey.things if each.during)
        with _told(), self._file.changing():
            self._file.do(
                "delete from surveys where entry is null and digest <> ? and taken_at < ?",
                newest,
                format_time(survey.taken_at - 2 * TAKEN_WITHIN),
            )
            self._file.do(
                "insert into surveys values (?, ?, ?, ?, ?, ?, ?, null, ?)",
                survey.digest(),
                format_time(survey.taken_at),
                occasion,
                len(survey.things),
                left,
                new,
                " ".join(survey.unknown),
                survey.text(),
            )

    def told(self, digest: str, entry: int, now: datetime) -> None:
        """Note that the ledger has a survey, and let go of names that have had their time."""
        with _told(), self._file.changing():
            self._file.do("update surveys set entry = ? where digest = ?", entry, digest)
            self._file.do(
                "update surveys set names = null where taken_at < ? and digest <> ?",
                format_time(now - NAMES_KEPT),
                digest,
            )
            self._file.do("delete from surveys where taken_at < ?", format_time(now - COUNTS_KEPT))

    def find(self, digest: str) -> InventoryRecord | None:
        """Return a survey by its digest, whether or not we know that the ledger has it."""
        return self._one("where digest = ?", digest)

    def before(self, at: datetime) -> InventoryRecord | None:
        """Return the newest survey that the ledger has and that was taken before ``at``."""
        return self._one(
            "where taken_at < ? and entry is not null order by taken_at desc limit 1",
            format_time(at),
        )

    def newest(self) -> InventoryRecord | None:
        """Return the newest survey that the ledger has."""
        return self._one("where entry is not null order by taken_at desc limit 1")

    def trend(self, since: datetime) -> list[Point]:
        """Return the surveys that the ledger has, the oldest first."""
        with _told():
            rows = self._file.all(
                "select taken_at, occasion, total, left_, new, unknown, entry from surveys"
                " where entry is not null and taken_at >= ? order by taken_at",
                format_time(since),
            )
        return [
            Point(parse_time(at), occasion, total, left, new, tuple(unknown.split()), entry)
            for at, occasion, total, left, new, unknown, entry in rows
        ]

    def ask(self, at: datetime) -> None:
        """Have the process look now; asking twice asks once."""
        with _told():
            self._file.do("insert or ignore into asked values (?)", format_time(at))

    def asked(self) -> datetime | None:
        """Return since when somebody waits for a look."""
        with _told():
            row = self._file.one("select min(at) from asked")
        return parse_time(row[0]) if row[0] else None

    def answered(self, taken_at: datetime) -> None:
        """Forget whoever asked before a survey was taken."""
        with _told():
            self._file.do("delete from asked where at <= ?", format_time(taken_at))

    def _one(self, where: str, *values: str) -> InventoryRecord | None:
        with _told():
            row = self._file.one(f"select names from surveys {where}", *values)
        return InventoryRecord.parse(row[0]) if row and row[0] else None


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise UnavailableError(f"the surveys cannot be read or kept: {error}") from error
