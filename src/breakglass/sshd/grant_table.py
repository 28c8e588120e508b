"""What the daemon knows of each grant on this host: promised on disk before anything is done."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from breakglass.clock import format_time, parse_time
from breakglass.process.database import Database

_SCHEMA = """
create table if not exists grants (
  handle text primary key, accounts text not null, expires text not null,
  baseline text not null, left_behind text not null default '[]',
  last_session text not null default '', ended text not null default '',
  quiet integer not null default 0, tidied integer not null default 0,
  proven integer not null default 0);
"""
_COLUMNS = (
    "handle, accounts, expires, baseline, left_behind, last_session, ended, quiet, tidied, proven"
)


@dataclass(frozen=True)
class GrantRow:
    """One grant. ``ended``: when its end was promised; ``quiet``: all of it is done.

    ``proven``: a token said accounts and end, and somebody logged in; else only ``open`` did.
    """

    handle: str
    accounts: tuple[str, ...]
    expires: datetime | None  # nobody knows it of a handle that was cut unheard of
    baseline: dict[str, Any]
    left_behind: tuple[str, ...]
    last_session: datetime | None
    ended: datetime | None
    quiet: bool
    tidied: bool
    proven: bool


class GrantTable:
    """The rows; each method is one transaction, on disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._file = Database(path, what="grants file", durability="full", schema=_SCHEMA)

    def enter(
        self,
        handle: str,
        accounts: Iterable[str],
        expires: datetime,
        baseline: dict[str, Any],
        *,
        proven: bool,
    ) -> None:
        """Enter a grant, or what its token proved in the place of what ``open`` had said."""
        self._file.do(
            "insert into grants (handle, accounts, expires, baseline, proven) values (?,?,?,?,?)"
            " on conflict (handle) do update set accounts = excluded.accounts,"
            " expires = excluded.expires, baseline = excluded.baseline, proven = excluded.proven",
            handle,
            json.dumps(sorted(accounts)),
            format_time(expires),
            json.dumps(baseline),
            proven,
        )

    def end(self, handle: str, now: datetime) -> None:
        """Promise an end; also of a handle that nobody has heard of. The first time stands."""
        with self._file.changing():
            self._file.do(
                "insert or ignore into grants (handle, accounts, expires, baseline)"
                " values (?, '[]', '', '{}')",
                handle,
            )
            self._file.do(
                "update grants set ended = ? where handle = ? and ended = ''",
                format_time(now),
                handle,
            )

    def used(self, handle: str, now: datetime) -> None:
        """Note that a session or job of the grant began."""
        self._file.do(
            "update grants set last_session = ? where handle = ?", format_time(now), handle
        )

    def taken(self, handle: str, left_behind: Iterable[str]) -> None:
        """Note what was taken away, and that nothing of the grant runs or waits."""
        self._file.do(
            "update grants set left_behind = ?, quiet = 1 where handle = ?",
            json.dumps(sorted(set(left_behind))),
            handle,
        )

    def tidied(self, handle: str) -> None:
        """Note that the minter has been told what was left behind."""
        self._file.do("update grants set tidied = 1 where handle = ?", handle)

    def forget(self, before: datetime) -> None:
        """Forget what ended before ``before`` and was tidied, or never heard of."""
        self._file.do(
            "delete from grants where ended != '' and ended < ? and quiet = 1",
            format_time(before),
        )

    def find(self, handle: str) -> GrantRow | None:
        """Return a grant, if it is known."""
        row = self._file.one(f"select {_COLUMNS} from grants where handle = ?", handle)
        return None if row is None else _row(row)

    def all(self) -> list[GrantRow]:
        """Return every grant."""
        return [_row(row) for row in self._file.all(f"select {_COLUMNS} from grants order by 1")]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _row(row: Any) -> GrantRow:
    return GrantRow(
        row[0],
        tuple(json.loads(row[1])),
        _time(row[2]),
        json.loads(row[3]),
        tuple(json.loads(row[4])),
        _time(row[5]),
        _time(row[6]),
        bool(row[7]),
        bool(row[8]),
        bool(row[9]),
    )


def _time(text: str) -> datetime | None:
    return parse_time(text) if text else None
