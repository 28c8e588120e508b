"""What this minter has done and promised, on its own disk, before it touches the platform.

One row for each grant, kept for ever: a grant that has a row past ``minted`` is never minted
again. This file cannot be rebuilt from the ledger in full (a promise may not have been recorded
yet); losing it costs sealed credentials and, until the ledger tells, that memory.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from breakglass.canonical import Json, canonical, parse_canonical
from breakglass.clock import format_time, parse_time
from breakglass.errors import UnavailableError
from breakglass.minter.platforms.platform import Account
from breakglass.process.database import Database
from breakglass.records.kinds.ended import Ended
from breakglass.strict_json import read, write

_SCHEMA = """
create table if not exists grants(
    grant_id text primary key, handle text not null unique, who text not null, glass text not null,
    incident text not null, index_ integer not null, stage text not null,
    expires text not null, asked_at text not null,
    sealed blob, connect text, ids text, probe text, minted_ms integer, usable_ms integer,
    ended text, ended_at text, over_at text, tail_ms integer, evidence text, sessions integer,
    left_behind text, tries integer not null default 0, next_try text, rang text,
    said integer not null default 0, handout text
) strict;
create index if not exists by_stage on grants(stage, next_try);
create index if not exists by_urgency on grants(stage, tries, over_at desc, next_try);
create index if not exists by_expiry on grants(stage, expires);
create index if not exists untidied on grants(grant_id)
    where stage = 'dead' and left_behind is null;
create index if not exists unsaid on grants(grant_id) where said < 7 and stage <> 'claimed';
"""


class Stage(StrEnum):
    """How far a grant has come; it only goes forward."""

    CLAIMED = "claimed"  # an account may stand at the target; its secret is known to nobody
    MINTED = "minted"  # the sealed credential is kept; its holder may have it
    ENDED = "ended"  # told to end; access may still be there
    DEAD = "dead"  # tried, and gone; told when it is known what is left behind


class Outcome(StrEnum):
    """Which records of a grant are with the outbox already."""

    MINTED = "minted"
    ENDED = "ended"
    DEAD = "dead"


_SAID = {Outcome.MINTED: 1, Outcome.ENDED: 2, Outcome.DEAD: 4}


@dataclass(frozen=True)
class Claim:
    """What is written down before the platform hears of a grant."""

    grant: str
    handle: str
    who: str
    glass: str
    incident: str
    index: int
    expires: datetime


@dataclass(frozen=True)
class SealedCredential:
    """What is kept of a credential: sealed, so that only its holder can open it.

    ``handout`` is the text that is signed whenever it is handed out; empty where nothing is.
    """

    sealed: bytes
    connect: Mapping[str, str | int]
    ids: Mapping[str, str]
    probe: str
    minted_ms: int
    usable_ms: int
    handout: str


@dataclass(frozen=True)
class Row:
    """One grant as it stands here."""

    claim: Claim
    stage: Stage
    made: SealedCredential | None
    ended: Ended | None
    ended_at: datetime | None
    over_at: datetime | None  # when access should have been gone
    tail_ms: int | None
    evidence: str
    sessions: int
    left_behind: tuple[str, ...] | None  # none: not tidied yet
    tries: int
    rang: bool
    said: frozenset[Outcome]

    @property
    def account(self) -> Account:
        """What stands at the target, or may."""
        return Account(self.claim.handle, self.made.ids if self.made is not None else {})

    @property
    def grant(self) -> str:
        """The grant's id."""
        return self.claim.grant


class GrantStore:
    """The file; safe under threads. What a method has returned from survives a crash."""

    def __init__(self, path: Path) -> None:
        """Open the table, or make it.

        Raises:
            MisconfiguredError: it cannot be used.
        """
        # FULL: a commit is on disk when it returns; a promise that power loss takes is none.
        self._file = Database(
            path, what="table of grants", durability="full", schema=_SCHEMA, reads_apart=True
        )
        self._file.by_name()
        # Many grants end at once, and a mint that commits waits for one of them at most.
        self._background = threading.Lock()
        columns = {row["name"] for row in self._file.all("pragma table_info(grants)")}
        if "handout" not in columns:
            # A table from before hand-outs were signed: what it holds ends as it should, and no
            # client opens it any more.
            self._file.do("alter table grants add column handout text")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def find(self, grant: str) -> Row | None:
        """Return one grant's row."""
        rows = self._rows("where grant_id = ?", grant)
        return rows[0] if rows else None

    def of_handle(self, handle: str) -> Row | None:
        """Return the row of an account's name."""
        rows = self._rows("where handle = ?", handle)
        return rows[0] if rows else None

    def claim(self, claim: Claim, now: datetime) -> Row:
        """Write a claim down, unless the grant has a row; return the row as it stands."""
        with self._changing():
            self._do(
                "insert or ignore into grants(grant_id, handle, who, glass, incident, index_,"
                " stage, expires, asked_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                claim.grant,
                claim.handle,
                claim.who,
                claim.glass,
                claim.incident,
                claim.index,
                Stage.CLAIMED.value,
                format_time(claim.expires),
                format_time(now),
            )
        found = self.find(claim.grant)
        assert found is not None
        return found

    def minted(self, grant: str, made: SealedCredential) -> bool:
        """Keep a credential, unless the grant was told to end meanwhile; say whether it is kept."""
        with self._changing():
            return bool(
                self._do(
                    "update grants set stage = ?, sealed = ?, connect = ?, ids = ?, probe = ?,"
                    " minted_ms = ?, usable_ms = ?, handout = ? where grant_id = ? and stage = ?",
                    Stage.MINTED.value,
                    made.sealed,
                    json.dumps(dict(made.connect)),
                    json.dumps(dict(made.ids)),
                    made.probe,
                    made.minted_ms,
                    made.usable_ms,
                    made.handout,
                    grant,
                    Stage.CLAIMED.value,
                )
            )

    def end(self, at: datetime, *ends: tuple[Ended, datetime]) -> bool:
        """Write down that grants are over, for ever; the first reason of each stands.

        Args:
            at: when we were told.
            ends: why, and when access should have been gone; the tail is counted from there.

        Returns:
            whether this was the first that we heard of any.
        """
        changed = 0
        with self._changing():
            for ended, over_at in ends:
                changed += self._do(
                    "update grants set stage = 'ended', ended = ?, ended_at = ?, over_at = ?,"
                    " next_try = ? where grant_id = ? and stage in ('claimed', 'minted')",
                    canonical(write(ended)),
                    format_time(at),
                    format_time(over_at),
                    format_time(at),
                    ended.grant,
                )
        return bool(changed)

    def dead(self, grant: str, tail_ms: int, evidence: str) -> None:
        """Write down that access was tried and is gone; the sealed credential is forgotten."""
        with self._background, self._changing():
            self._do(
                "update grants set stage = ?, tail_ms = ?, evidence = ?, sealed = null"
                " where grant_id = ? and stage = ?",
                Stage.DEAD.value,
                tail_ms,
                evidence,
                grant,
                Stage.ENDED.value,
            )

    def tidied(self, grant: str, left_behind: tuple[str, ...]) -> None:
        """Write down what a dead grant has left at the target; the first word of it stands."""
        with self._background, self._changing():
            self._do(
                "update grants set left_behind = ? where grant_id = ? and stage = ?"
                " and left_behind is null",
                json.dumps(left_behind),
                grant,
                Stage.DEAD.value,
            )

    def untidied(self, most: int) -> list[str]:
        """Return dead grants behind which nobody has tidied yet, in any order."""
        rows = self._file.all(
            "select grant_id from grants where stage = 'dead' and left_behind is null limit ?",
            most,
        )
        return [str(row[0]) for row in rows]

    def add_sessions(self, grant: str, sessions: int) -> None:
        """Count sessions that were cut, over several tries."""
        with self._background, self._changing():
            self._do(
                "update grants set sessions = coalesce(sessions, 0) + ? where grant_id = ?",
                sessions,
                grant,
            )

    def try_again(self, grant: str, at: datetime) -> None:
        """Put off an ending that failed."""
        with self._background, self._changing():
            self._do(
                "update grants set tries = tries + 1, next_try = ? where grant_id = ?",
                format_time(at),
                grant,
            )

    def rang(self, grant: str, at: datetime) -> None:
        """Remember that somebody was rung about this grant."""
        with self._background, self._changing():
            self._do("update grants set rang = ? where grant_id = ?", format_time(at), grant)

    def said(self, grant: str, *facts: Outcome) -> None:
        """Remember that these records are with the outbox."""
        bits = sum({_SAID[each] for each in facts})
        with self._background, self._changing():
            self._do("update grants set said = said | ? where grant_id = ?", bits, grant)

    def living(self, now: datetime) -> list[Claim]:
        """Return whom the grants are of that are neither past their end nor told to end."""
        rows = self._file.all(
            "select grant_id, handle, who, glass, incident, index_, expires from grants"
            " where stage in ('claimed', 'minted') and expires >= ?",
            format_time(now),
        )
        return [_claim(row) for row in rows]

    def expired(self, now: datetime, most: int) -> list[Row]:
        """Return grants that are past their end and not told to end yet.

        The newest first: what expires now is not ended behind thousands of an outage.
        """
        return self._rows(
            "where stage in ('claimed', 'minted') and expires < ? order by expires desc limit ?",
            format_time(now),
            most,
        )

    def overdue(self, since: datetime) -> int:
        """Return how many expired before ``since`` and are not even told to end."""
        (count,) = self._file.one(
            "select count(*) from grants where stage in ('claimed', 'minted') and expires < ?",
            format_time(since),
        )
        return int(count)

    def due(self, now: datetime, most: int) -> list[Row]:
        """Return grants to end now: those that failed least first, of these what was over last.

        What is killed now goes before what expired in an outage, whenever that was told to end.
        """
        return self._rows(
            "where stage = 'ended' and next_try <= ? order by tries, over_at desc limit ?",
            format_time(now),
            most,
        )

    def due_count(self, now: datetime, most: int) -> int:
        """Return how many are to be ended now, and no more than ``most``."""
        (count,) = self._file.one(
            "select count(*) from (select 1 from grants where stage = 'ended' and next_try <= ?"
            " limit ?)",
            format_time(now),
            most,
        )
        return int(count)

    def unsaid(self, most: int) -> list[Row]:
        """Return grants with records that a crash may have kept from the outbox."""
        return self._rows(
            "where said < 7 and stage <> 'claimed' and ((stage = 'minted' and said & 1 = 0)"
            " or (stage = 'ended' and said & 2 = 0) or (stage = 'dead' and said & 2 = 0)"
            " or (stage = 'dead' and said & 4 = 0 and left_behind is not null)) limit ?",
            most,
        )

    def counts(self) -> dict[str, int]:
        """Return how many grants stand in each stage."""
        rows = self._file.all("select stage, count(*) from grants group by stage")
        return {str(row[0]): int(row[1]) for row in rows}

    def next_moment(self) -> datetime | None:
        """Return when the next grant expires or an ending is to be tried again."""
        (found,) = self._file.one(
            "select min(moment) from (select min(expires) as moment from grants where stage in"
            " ('claimed', 'minted') union all select min(next_try) from grants where stage ="
            " 'ended')"
        )
        return parse_time(found) if found else None

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with self._file.changing():
                yield
        except sqlite3.Error as error:
            # Without a promise on disk nothing may be done at the platform.
            raise UnavailableError(f"this minter's disk refuses: {error}") from error

    def _do(self, statement: str, *values: object) -> int:
        return self._file.do(statement, *values).rowcount

    def _rows(self, where: str, *values: object) -> list[Row]:
        return [_row(row) for row in self._file.all(f"select * from grants {where}", *values)]


def _claim(row: sqlite3.Row) -> Claim:
    return Claim(
        row["grant_id"],
        row["handle"],
        row["who"],
        row["glass"],
        row["incident"],
        row["index_"],
        parse_time(row["expires"]),
    )


def _row(row: sqlite3.Row) -> Row:
    made = None
    if row["probe"] is not None:
        made = SealedCredential(
            row["sealed"] or b"",
            json.loads(row["connect"]),
            json.loads(row["ids"]),
            row["probe"],
            row["minted_ms"],
            row["usable_ms"],
            row["handout"] or "",
        )
    return Row(
        _claim(row),
        Stage(row["stage"]),
        made,
        _ended(row["ended"]),
        _time(row["ended_at"]),
        _time(row["over_at"]),
        row["tail_ms"],
        row["evidence"] or "",
        row["sessions"] or 0,
        tuple(json.loads(row["left_behind"])) if row["left_behind"] else None,
        row["tries"],
        row["rang"] is not None,
        frozenset(fact for fact, bit in _SAID.items() if row["said"] & bit),
    )


def _ended(text: str | None) -> Ended | None:
    if text is None:
        return None
    value: Json = parse_canonical(text, "ended")
    found: Any = read(Ended, value, "ended")
    assert isinstance(found, Ended)
    return found


def _time(text: str | None) -> datetime | None:
    return parse_time(text) if text else None
