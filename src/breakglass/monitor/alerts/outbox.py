"""One channel's messages until they are heard: a SQLite file of its own, fsynced.

Delivered rows stay, without their text, so that a key is never sent twice. What was delivered is
told in the ledger too; should this file be lost, the ledger's ``alarm`` records stand in for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from breakglass.clock import format_time
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.channel import Message
from breakglass.process.database import Database

_SCHEMA = """
create table if not exists messages(
    number integer primary key, key text not null unique, thread text not null,
    subject text not null, about text not null, place integer not null, body blob not null,
    stated integer not null, queued text not null, attempts integer not null default 0,
    failure text not null default '', delivered text not null default '',
    told text not null default '', people text not null default ''
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
    to: tuple[str, ...] = ()


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
        self._file = Database(
            path,
            what="channel's outbox",
            durability="full",
            schema=_SCHEMA,
            hint="delete it, and it is made again: what the ledger does not show as delivered is"
            " sent again",
        )
        columns = {row[1] for row in self._file.all("pragma table_info(messages)")}
        if "people" not in columns:  # of a release before
            self._file.do("alter table messages add column people text not null default ''")

    def put(self, news: Iterable[Alert], log: str, now: datetime) -> int:
        """Queue what is not here yet, all or nothing; returns how many were new."""
        rows = [
            (each.key, each.thread, each.subject, each.about, each.index, each.body(log),
             int(each.stated), format_time(now), " ".join(each.to))
            for each in news
        ]  # fmt: skip
        if not rows:
            return 0
        insert = (
            "insert or ignore into messages(key, thread, subject, about, place, body, stated,"
            " queued, people) values (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        with self._file.changing():
            return sum(self._file.do(insert, *row).rowcount for row in rows)

    def waiting(self, heard: Iterable[int] = ()) -> list[Waiting]:
        """Return the first undelivered message of each thread, least tried first.

        Within a thread nothing overtakes: *ended* before *broken* would be worse than late.

        Args:
            heard: numbers of messages that were delivered, and the disk did not take it.
        """
        rows = self._file.all(
            "select number, key, thread, body, attempts from messages where number in"
            " (select min(number) from messages where delivered = ''"
            " and number not in (select value from json_each(?)) group by thread)"
            " order by attempts, number",
            json.dumps(sorted(heard)),
        )
        return [
            Waiting(number, Message(key, thread, body), attempts)
            for number, key, thread, body, attempts in rows
        ]

    def failed(self, number: int, why: str) -> None:
        """Count one attempt that came to nothing."""
        self._file.do(
            "update messages set attempts = attempts + 1, failure = ? where number = ?",
            why[:400],
            number,
        )

    def heard(self, number: int, now: datetime) -> None:
        """Mark a message as delivered and drop its text."""
        self._file.do(
            "update messages set attempts = attempts + 1, delivered = ?, body = x''"
            " where number = ?",
            format_time(now),
            number,
        )

    def untold(self) -> list[Delivered]:
        """Return what is to be stated: deliveries, and the first failure of what still waits."""
        rows = self._file.all(
            "select number, key, subject, about, place, attempts,"
            " case when delivered = '' then failure else '' end, people from messages"
            " where stated = 1 and told <> 'delivered'"
            " and (delivered <> '' or (failure <> '' and told = '')) order by number limit 500"
        )
        return [
            Delivered(number, key, subject, about, place, attempts, failure, tuple(to.split()))
            for number, key, subject, about, place, attempts, failure, to in rows
        ]

    def told(self, delivered: Delivered) -> None:
        """Remember that a delivery, or a first failure, is on its way into the ledger."""
        self._file.do(
            "update messages set told = ? where number = ?",
            "failed" if delivered.failure else "delivered",
            delivered.number,
        )

    def told_of(self, subject: str, about: str) -> bool:
        """Say whether such a message was ever queued here."""
        found = self._file.one(
            "select 1 from messages where subject = ? and about = ? limit 1", subject, about
        )
        return found is not None

    def summary(self) -> ChannelView:
        """Count: what waits, since when, why, and when something was last delivered."""
        waiting = self._file.all(
            "select count(*), coalesce(min(queued), ''), coalesce(max(failure), '')"
            " from messages where delivered = ''"
        )[0]
        heard = self._file.all(
            "select count(*), coalesce(max(delivered), '') from messages where delivered <> ''"
        )[0]
        return ChannelView(*waiting, *heard)

    def listing(self, channel: str, most: int) -> list[MessageView]:
        """Return the newest messages with what became of them, newest first."""
        rows = self._file.all(
            "select key, thread, subject, about, place, queued, attempts, failure, delivered"
            " from messages order by number desc limit ?",
            most,
        )
        return [MessageView(channel, *row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
