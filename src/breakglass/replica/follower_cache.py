"""A follower's cache: the commits it has proven, in one SQLite file that may be deleted."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from breakglass.clock import format_time, parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import UnavailableError
from breakglass.process.database import Database
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint

_SCHEMA = """
create table if not exists commits(
    first integer primary key, head blob not null, cosigned text not null
) strict;
create table if not exists notes(
    place integer primary key, note blob not null
) strict;
"""
_ROWS = 256


@dataclass(frozen=True)
class FollowedCommit:
    """Entries that were committed together, their head, and when each witness cosigned it."""

    first: int
    head: bytes
    notes: tuple[bytes, ...]
    cosigned: dict[str, datetime]

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """What the head says."""
        return parse_checkpoint(self.head)[0]


class FollowedCache:
    """The file. Not fsynced: what a crash loses, the ledger tells again."""

    def __init__(self, path: Path) -> None:
        """Open the cache, or make it.

        Raises:
            MisconfiguredError: it cannot be used.
        """
        self._lock = threading.Lock()
        self._file = Database(
            path,
            what="cache",
            durability="off",
            schema=_SCHEMA,
            hint="delete it: it is read again from the ledger",
        ).connection

    def add(self, commit: FollowedCommit) -> None:
        """Keep a commit, whole or not at all.

        Raises:
            UnavailableError: the disk refuses.
        """
        times = {name: format_time(at) for name, at in commit.cosigned.items()}
        try:
            with self._lock, self._file:
                self._file.execute("begin")
                self._file.execute(
                    "insert into commits values (?, ?, ?)",
                    (commit.first, commit.head, json.dumps(times)),
                )
                self._file.executemany(
                    "insert into notes values (?, ?)", enumerate(commit.notes, start=commit.first)
                )
        except sqlite3.Error as error:
            raise UnavailableError(
                f"cache cannot be written: {error}", name=ErrorName.CACHE
            ) from error

    @property
    def size(self) -> int:
        """How many entries it holds."""
        with self._lock:
            return int(
                self._file.execute("select coalesce(max(place) + 1, 0) from notes").fetchone()[0]
            )

    def head(self, size: int) -> bytes:
        """Return the head under which exactly ``size`` entries stand; empty if there is none."""
        with self._lock:
            row = self._file.execute(
                "select head from commits where first < ? order by first desc limit 1", (size,)
            ).fetchone()
            held = self._file.execute(
                "select count(*) from notes where place < ?", (size,)
            ).fetchone()[0]
        if row is None or held != size or parse_checkpoint(row[0])[0].size != size:
            return b""
        return bytes(row[0])

    def sync(self) -> None:
        """Wait until all that was added is on disk.

        Raises:
            UnavailableError: the disk refuses.
        """
        try:
            with self._lock:
                # NORMAL syncs the write-ahead log before it is moved into the file, and the file.
                self._file.execute("pragma synchronous=normal")
                self._file.execute("pragma wal_checkpoint(truncate)")
                self._file.execute("pragma synchronous=off")
        except sqlite3.Error as error:
            raise UnavailableError(
                f"cache cannot be written: {error}", name=ErrorName.CACHE
            ) from error

    def commits(self, start: int) -> Iterator[FollowedCommit]:
        """Read the commits in order, from the one that holds entry ``start``."""
        at = start
        while True:
            with self._lock:
                rows = self._file.execute(
                    "select first, head, cosigned from commits where first >="
                    " coalesce((select max(first) from commits where first <= ?), 0)"
                    " order by first limit ?",
                    (at, _ROWS),
                ).fetchall()
            commits = [self._read(*row) for row in rows]
            commits = [commit for commit in commits if commit.first + len(commit.notes) > at]
            if not commits:
                return
            yield from commits
            at = commits[-1].first + len(commits[-1].notes)

    def _read(self, first: int, head: bytes, cosigned: str) -> FollowedCommit:
        size = parse_checkpoint(head)[0].size
        with self._lock:
            rows = self._file.execute(
                "select note from notes where place >= ? and place < ? order by place",
                (first, size),
            ).fetchall()
        times = {name: parse_time(at) for name, at in json.loads(cosigned).items()}
        return FollowedCommit(first, head, tuple(row[0] for row in rows), times)
