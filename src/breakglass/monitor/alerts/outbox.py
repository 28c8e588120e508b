"""One channel's messages until they are heard: a SQLite file of its own, fsynced.

Delivered rows stay, without their text, so that a key is never sent twice. What was delivered is
told in the ledger too; should this file be lost, the ledger's ``alarm`` records stand in for it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from breakglass.clock import format_time
from breakglass.errors import MisconfiguredError
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.channel import Message

_SCHEMA = """
create table if not exists messages(
    number integer primary key, key text not null unique, thread text not null,
    subject text not null, about text not null, place integer not null, body blob not null,
    stated integer not null, queued text not null, attempts integer not null default 0,
    failure text not null default '', delivered text not null default '',
    told text not null default ''
) strict;
create index if not exists waiting on messages(number) where delivered = '';
create index if not exists untold on messages(number) where stated = 1 and told <> 'delivered';
"""


@dataclass(frozen=True)
class Waiting:
    """A message that nobody has heard yet."""

    number: int
    message: Message
    attempts: int


@dataclass(frozen=True)
class Delivered:
    """What became of a message, to be stated: ``failure`` is empty once it was heard."""

    number: int
    key: str
    subject: str
    about: str
    index: int
    attempts: int
    failure: str


@dataclass(frozen=True)
class ChannelView:
    """How a channel stands; a time is empty where nothing waits, or nothing was delivered."""

    waiting: int
    waiting_since: str
    failure: str
    delivered: int
    last_delivered: str


@dataclass(frozen=True)
class MessageView:
    """One message on one channel, and what became of it."""

    channel: str
    key: str
    thread: str
    subject: str
    about: str
    index: int
    queued: str
    attempts: int
    failure: str
    delivered: str


class AlertOutbox:
    """See the module; safe under threads. What ``put`` returned from survives a crash."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            MisconfiguredError: it cannot be used.
        """
        self._lock = threading.Lock()
        try:
            self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._file.execute("pragma journal_mode=wal")
            self._file.execute("pragma synchronous=full")
            self._file.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise MisconfiguredError(
                f"channel's outbox {str(path)!r} cannot be used: {error}; not started",
                hint="deleted, it is made again: what the ledger does not show as delivered rings",
            ) from error

    def put(self, news: Iterable[Alert], log: str, now: datetime) -> int:
        """Queue what is not here yet, all or nothing; returns how many were new."""
        rows = [
            (each.key, each.thread, each.subject, each.about, each.index, each.body(log),
             int(each.stated), format_time(now))
            for each in news
        ]  # fmt: skip
        if not rows:
            return 0
        with self._lock, self._file:
            self._file.execute("begin immediate")
            before = self._file.total_changes
            self._file.executemany(
                "insert or ignore into messages(key, thread, subject, about, place, body, stated,"
                " queued) values (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            return self._file.total_changes - before

    def waiting(self) -> list[Waiting]:
        """Return the first undelivered message of each thread, least tried first.

        Within a thread nothing overtakes: *ended* before *broken* would be worse than late.
        """
        rows = self._all(
            "select number, key, thread, body, attempts from messages where number in"
            " (select min(number) from messages where delivered = '' group by thread)"
            " order by attempts, number"
        )
        return [
            Waiting(number, Message(key, thread, body), attempts)
            for number, key, thread, body, attempts in rows
        ]

    def failed(self, number: int, why: str) -> None:
        """Count one attempt that came to nothing."""
        self._do(
            "update messages set attempts = attempts + 1, failure = ? where number = ?",
            (why[:400], number),
        )

    def heard(self, number: int, now: datetime) -> None:
        """Mark a message as delivered and drop its text."""
        self._do(
            "update messages set attempts = attempts + 1, delivered = ?, body = x''"
            " where number = ?",
            (format_time(now), number),
        )

    def untold(self) -> list[Delivered]:
        """Return what is to be stated: deliveries, and the first failure of what still waits."""
        rows = self._all(
            "select number, key, subject, about, place, attempts,"
            " case when delivered = '' then failure else '' end from messages"
            " where stated = 1 and told <> 'delivered'"
            " and (delivered <> '' or (failure <> '' and told = '')) order by number limit 500"
        )
        return [Delivered(*row) for row in rows]

    def told(self, delivered: Delivered) -> None:
        """Remember that a delivery, or a first failure, is on its way into the ledger."""
        self._do(
            "update messages set told = ? where number = ?",
            ("failed" if delivered.failure else "delivered", delivered.number),
        )

    def summary(self) -> ChannelView:
        """Count: what waits, since when, why, and when something was last delivered."""
        waiting = self._all(
            "select count(*), coalesce(min(queued), ''), coalesce(max(failure), '')"
            " from messages where delivered = ''"
        )[0]
        heard = self._all(
            "select count(*), coalesce(max(delivered), '') from messages where delivered <> ''"
        )[0]
        return ChannelView(*waiting, *heard)

    def listing(self, channel: str, most: int) -> list[MessageView]:
        """Return the newest messages with what became of them, newest first."""
        rows = self._all(
            "select key, thread, subject, about, place, queued, attempts, failure, delivered"
            " from messages order by number desc limit ?",
            (most,),
        )
        return [MessageView(channel, *row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _do(self, statement: str, values: tuple[object, ...]) -> None:
        with self._lock:
            self._file.execute(statement, values)

    def _all(self, query: str, values: tuple[object, ...] = ()) -> list[Any]:
        with self._lock:
            return self._file.execute(query, values).fetchall()
