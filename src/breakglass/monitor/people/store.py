"""The monitor's own file of people: channels, mutes, and copies of statements that wait.

It stands in no record and no bundle, so it is made again by people alone. 0600, as it holds
addresses. Whoever reads the monitor's disk reads it: docs/threat-model.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from breakglass.clock import format_time, parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.process.database import Database
from breakglass.records.me import Mine, MyChannels, MyMute, OwnChannel, OwnType

_SCHEMA = """
create table if not exists channels(
    who text not null, name text not null, type text not null, target text not null,
    primary key (who, name)
) strict;
create table if not exists leaving(
    who text not null, name text not null, type text not null, target text not null,
    since text not null default '', primary key (who, name)
) strict;
create table if not exists mutes(
    who text not null, person text not null, until text not null, primary key (who, person)
) strict;
create table if not exists words(
    who text not null, do text not null, at text not null, primary key (who, do)
) strict;
create table if not exists copies(
    digest text primary key, who text not null, text text not null, since text not null,
    rung integer not null default 0
) strict;
"""
CHANNELS_AT_MOST = 8  # of a person: what they have, and what still rings after it was taken away
LEAVING_AT_MOST = timedelta(days=1)
MUTES_OF_A_PERSON = 64
COPIES_OF_A_PERSON = 16
COPIES_AT_MOST = 4096
COPY_KEPT = timedelta(hours=24)


@dataclass(frozen=True)
class Copy:
    """A statement that its signer handed in at a broker, and a copy of it here."""

    digest: str
    who: str
    text: str
    since: datetime
    rung: bool


class PeopleStore:
    """See the module; safe under threads. What a method returned from survives a crash.

    Raises:
        MisconfiguredError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._file = Database(
            path,
            what="file of people's channels",
            durability="full",
            schema=_SCHEMA,
            hint="move it away: people set their channels again (breakglass me channel add NAME)",
        )
        columns = {row[1] for row in self._file.all("pragma table_info(leaving)")}
        if "since" not in columns:  # of a release before
            self._file.do("alter table leaving add column since text not null default ''")

    def take(self, mine: Mine) -> None:
        """Take what a person said; see ``check``.

        An empty target keeps the one of that name. What is taken away leaves once what waits on
        it was heard.

        Raises:
            RefusedError: as ``check``; nothing changed.
        """
        with self._file.changing():
            # One transaction: a crash leaves the word with what it says, or neither.
            self.check(mine)
            self._file.do(
                "insert or replace into words(who, do, at) values (?, ?, ?)",
                mine.who,
                mine.do.value,
                format_time(mine.at),
            )
            if isinstance(mine, MyMute):
                self._file.do(
                    "delete from mutes where who = ? and until <= ?",
                    mine.who,
                    format_time(mine.at),
                )
                self._file.do(
                    "insert or replace into mutes(who, person, until) values (?, ?, ?)",
                    mine.who,
                    mine.person,
                    format_time(mine.until),
                )
            if isinstance(mine, MyChannels):
                kept = {each.name: each for each in self.channels(mine.who)}
                wanted = [kept.get(each.name, each) for each in mine.channels]
                for name in kept.keys() - {each.name for each in wanted}:
                    self._file.do(
                        "insert into leaving(who, name, type, target, since)"
                        " select who, name, type, target, ? from channels"
                        " where who = ? and name = ?",
                        format_time(mine.at),
                        mine.who,
                        name,
                    )
                self._file.do("delete from channels where who = ?", mine.who)
                for each in wanted:
                    self.left(mine.who, each.name)  # the same one, come back
                    self._file.do(
                        "insert into channels(who, name, type, target) values (?, ?, ?, ?)",
                        mine.who,
                        each.name,
                        each.type.value,
                        each.target,
                    )

    def check(self, mine: Mine) -> None:
        """Check that this can be taken: newer than all that they said of the kind, and whole.

        A channel never goes another way under one name: what waits there would be swallowed. One
        that was taken away comes back with the target that it had.

        Raises:
            RefusedError: ``repeated_request``: as old as what is known, or older;
                ``no_own_channel``: one to be kept is not there; ``channel_exists``: one to be
                added is; ``too_many`` mutes or channels.
        """
        found = self._file.one(
            "select at from words where who = ? and do = ?", mine.who, mine.do.value
        )
        if found is not None and parse_time(found[0]) >= mine.at:
            raise RefusedError(
                f"{mine.who!r} has said something newer, or this very thing, at {found[0]};"
                " nothing was changed",
                name=ErrorName.REPEATED_REQUEST,
            )
        if isinstance(mine, MyMute) and len(self.mutes(mine.who, mine.at)) >= MUTES_OF_A_PERSON:
            raise RefusedError(
                f"{mine.who!r} has muted {MUTES_OF_A_PERSON} people; nothing was changed",
                name=ErrorName.TOO_MANY,
            )
        if isinstance(mine, MyChannels):
            kept = {each.name: each for each in self.channels(mine.who)}
            leaving = {each.name: each for who, each in self.leaving() if who == mine.who}
            for each in mine.channels:
                _check_fits(each, kept, leaving)
            known = kept.keys() | leaving.keys() | {each.name for each in mine.channels}
            if len(known) > CHANNELS_AT_MOST:
                raise RefusedError(
                    f"{mine.who!r} would have {len(known)} channels (limit {CHANNELS_AT_MOST}),"
                    f" {len(leaving)} of them taken away and not heard yet; nothing was changed",
                    name=ErrorName.TOO_MANY,
                    hint="one that was taken away rings first what waits on it, for a day at most",
                )

    def channels(self, who: str) -> tuple[OwnChannel, ...]:
        """Return a person's own channels, by name."""
        rows = self._file.all(
            "select name, type, target from channels where who = ? order by name", who
        )
        return tuple(OwnChannel(name, OwnType(kind), target) for name, kind, target in rows)

    def leaving(self) -> list[tuple[str, OwnChannel]]:
        """Return the channels that were taken away and may have something to ring."""
        rows = self._file.all("select who, name, type, target from leaving")
        return [(who, OwnChannel(name, OwnType(kind), target)) for who, name, kind, target in rows]

    def overdue(self, now: datetime) -> frozenset[tuple[str, str]]:
        """Return whose channels were taken away a day ago, each with its name."""
        with self._file.changing():
            # A release before wrote no time: their day begins now.
            if self._file.one("select 1 from leaving where since = ''"):
                self._file.do("update leaving set since = ? where since = ''", format_time(now))
            rows = self._file.all("select who, name, since from leaving")
        return frozenset(
            (who, name) for who, name, since in rows if now - parse_time(since) > LEAVING_AT_MOST
        )

    def left(self, who: str, name: str) -> None:
        """Let go of one that was taken away."""
        self._file.do("delete from leaving where who = ? and name = ?", who, name)

    def everybody(self) -> tuple[str, ...]:
        """Return everybody who has a channel."""
        return tuple(row[0] for row in self._file.all("select distinct who from channels"))

    def mutes(self, who: str, now: datetime) -> dict[str, datetime]:
        """Return whose asks this person is not paged for, and until when."""
        rows = self._file.all("select person, until from mutes where who = ?", who)
        found = {person: parse_time(until) for person, until in rows}
        return {person: until for person, until in sorted(found.items()) if until > now}

    def muted(self, person: str, now: datetime) -> frozenset[str]:
        """Return who is not paged for what ``person`` asks."""
        rows = self._file.all("select who, until from mutes where person = ?", person)
        return frozenset(who for who, until in rows if parse_time(until) > now)

    def keep_copy(self, digest: str, who: str, text: str, now: datetime) -> None:
        """Keep a copy; the same one again is the same one.

        Raises:
            RefusedError: ``too_many``: as many wait of this person, or of all.
        """
        with self._file.changing():
            if self._file.one("select 1 from copies where digest = ?", digest) is not None:
                return
            own = self._file.one("select count(*) from copies where who = ?", who)[0]
            every = self._file.one("select count(*) from copies")[0]
            if own >= COPIES_OF_A_PERSON or every >= COPIES_AT_MOST:
                raise RefusedError(
                    f"{own} copies of {who!r} wait here already; nothing was kept",
                    name=ErrorName.TOO_MANY,
                    hint="send the statement to another broker; this is a copy alone",
                )
            self._file.do(
                "insert into copies(digest, who, text, since) values (?, ?, ?, ?)",
                digest,
                who,
                text,
                format_time(now),
            )

    def copies(self) -> list[Copy]:
        """Return the copies that wait, oldest first."""
        rows = self._file.all("select digest, who, text, since, rung from copies order by since")
        return [
            Copy(digest, who, text, parse_time(since), bool(rung))
            for digest, who, text, since, rung in rows
        ]

    def rang(self, digest: str) -> None:
        """Remember that a copy was rung."""
        self._file.do("update copies set rung = 1 where digest = ?", digest)

    def forget_copy(self, digest: str) -> None:
        """Let go of a copy."""
        self._file.do("delete from copies where digest = ?", digest)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _check_fits(
    wanted: OwnChannel, kept: dict[str, OwnChannel], leaving: dict[str, OwnChannel]
) -> None:
    found = kept.get(wanted.name)
    if not wanted.target and (found is None or found.type is not wanted.type):
        raise RefusedError(
            f"there is no own {wanted.type.value} channel {wanted.name!r} to keep; nothing was"
            " changed",
            name=ErrorName.NO_OWN_CHANNEL,
        )
    if wanted.target and (found is not None or leaving.get(wanted.name, wanted) != wanted):
        raise RefusedError(
            f"there is an own channel {wanted.name!r} already; nothing was changed",
            name=ErrorName.CHANNEL_EXISTS,
            hint="take another name; one that was taken away rings first what waits on it",
        )
