"""What a gate keeps between runs: the newest time it has seen, uses of tokens, the tally.

One SQLite file in the gate's folder. Losing it loses a tally that was not sent yet and the guard
against a clock set back; no answer ever depends on its being there to open.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from breakglass.clock import format_time, parse_time
from breakglass.errors import UnavailableError
from breakglass.process.database import transaction

_TABLES = """
CREATE TABLE IF NOT EXISTS seen (only INTEGER PRIMARY KEY CHECK (only = 1), newest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS uses (
    grant_id TEXT, run TEXT, times INTEGER, PRIMARY KEY (grant_id, run)
);
CREATE TABLE IF NOT EXISTS passage (
    at TEXT NOT NULL, outcome TEXT NOT NULL, took_ms INTEGER NOT NULL, input TEXT NOT NULL,
    period TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS said (
    input TEXT NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY (input, outcome)
);
"""


@dataclass(frozen=True)
class Tally:
    """The passages of one period, which ``period`` names for good."""

    period: str
    start: datetime
    end: datetime
    counts: dict[str, int]
    p50_ms: int
    p99_ms: int
    flaky: tuple[str, ...]


class Counters:
    """A gate's file; each call opens it, so that runs at the same time do not meet."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def newest_seen(self) -> datetime | None:
        """Return the latest cosignature time this gate has seen.

        Raises:
            UnavailableError: the file cannot be read; the gate stays shut to tokens.
        """
        with self._open() as database:
            row = database.execute("SELECT newest FROM seen").fetchone()
        return parse_time(row[0]) if row else None

    def used(self, grant: str, run: str, newest: datetime | None) -> int:
        """Count one use of a token and keep the newest time; returns the uses of this run so far.

        Durable when it returns.

        Raises:
            UnavailableError: the file cannot be written; the gate stays shut.
        """
        with self._open() as database:
            if newest is not None:
                database.execute(
                    "INSERT INTO seen VALUES (1, ?) ON CONFLICT (only)"
                    " DO UPDATE SET newest = max(newest, excluded.newest)",
                    (format_time(newest),),
                )
            (times,) = database.execute(
                "INSERT INTO uses VALUES (?, ?, 1) ON CONFLICT (grant_id, run)"
                " DO UPDATE SET times = times + 1 RETURNING times",
                (grant, run),
            ).fetchone()
        return int(times)

    def count(self, outcome: str, took: timedelta, given: str, now: datetime) -> None:
        """Count one passage: ``passed``, ``failed``, ``could_not_evaluate`` or ``bypassed``.

        Args:
            outcome: what the gate answered.
            took: how long the check took.
            given: digest of what was checked, to notice flaky checks; may be empty.
            now: the gate's time.

        Raises:
            UnavailableError: the file cannot be written.
        """
        took_ms = round(took.total_seconds() * 1000)
        with self._open() as database:
            database.execute(
                "INSERT INTO passage (at, outcome, took_ms, input) VALUES (?, ?, ?, ?)",
                (format_time(now), outcome, took_ms, given),
            )
            if given:
                database.execute("INSERT OR IGNORE INTO said VALUES (?, ?)", (given, outcome))

    def close_period(self) -> Tally | None:
        """Freeze what was counted so far into a period, or return the one that is frozen already.

        A crash after this and before ``forget`` gives the same period again, so that it is sent
        under the same id and counts once.
        """
        with self._open() as database:
            row = database.execute(
                "SELECT period FROM passage WHERE period <> '' LIMIT 1"
            ).fetchone()
            period = str(row[0]) if row else uuid.uuid4().hex
            if row is None:
                database.execute("UPDATE passage SET period = ?", (period,))
            rows = database.execute(
                "SELECT at, outcome, took_ms, input FROM passage WHERE period = ? ORDER BY at",
                (period,),
            ).fetchall()
            flaky = database.execute(
                "SELECT DISTINCT input FROM passage WHERE period = ? AND input IN"
                " (SELECT input FROM said WHERE outcome IN ('passed', 'failed')"
                " GROUP BY input HAVING count(*) = 2) ORDER BY input LIMIT 16",
                (period,),
            ).fetchall()
        return _tally(period, rows, tuple(row[0] for row in flaky)) if rows else None

    def forget(self, period: str) -> None:
        """Drop a period that lies safely in the spool."""
        with self._open() as database:
            database.execute("DELETE FROM passage WHERE period = ?", (period,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with transaction(self._path, "full", _TABLES) as database:
                yield database
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(
                f"the gate's memory {str(self._path)!r} cannot be used: {error};"
                " the gate stays shut"
            ) from error


def _tally(period: str, rows: list[tuple[str, str, int, str]], flaky: tuple[str, ...]) -> Tally:
    counts: dict[str, int] = {}
    for _, outcome, _, _ in rows:
        counts[outcome] = counts.get(outcome, 0) + 1
    took = sorted(row[2] for row in rows)
    return Tally(
        period=period,
        start=parse_time(rows[0][0]).astimezone(UTC),
        end=parse_time(rows[-1][0]).astimezone(UTC),
        counts=counts,
        p50_ms=took[len(took) // 2],
        p99_ms=took[min(len(took) - 1, len(took) * 99 // 100)],
        flaky=flaky,
    )
