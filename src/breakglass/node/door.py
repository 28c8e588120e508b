"""The doors that a gate or a minter took, on its own disk, until their intents are in the log.

Whoever holds a door intent may bring it into the log: it carries its broker's own number and
signature, and the custodians' words inside. So a gate needs no broker to get its proof, and no
other record of the grant goes out before it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from breakglass.clock import Clock, format_time, parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError, UnavailableError
from breakglass.http.client import Incoming, Outgoing, Peer, Reply
from breakglass.process.database import transaction
from breakglass.records.encoding.text_types import one_line
from breakglass.records.kinds.door import Door
from breakglass.records.kinds.intent import Intent
from breakglass.records.proven import Proven, prove_door
from breakglass.records.trust import Trust
from breakglass.submit.record_header import text_digest
from breakglass.tlog.checkpoint import parse_checkpoint
from breakglass.tlog.hashing import HASH_BYTES, leaf_hash
from breakglass.tlog.note import Note
from breakglass.tlog.tiles import TILE_WIDTH, encode_bundle, tile_path
from breakglass.token.token import Token
from breakglass.token.verify import VerifiedToken

RING_AGAIN = timedelta(hours=1)
_LOOKED_BACK = 4096  # entries: the ledger has just come back
_WITHIN = timedelta(seconds=3)
_SCHEMA = """
create table if not exists doors(
    intent text primary key, grant_id text not null, note blob not null, who text not null,
    glass text not null, taken text not null, answered text, rang text, index_ integer
) strict;
"""


@dataclass(frozen=True)
class TakenDoor:
    """A door that was taken here and whose intent is not shown to be in the log.

    ``intent`` is the SHA-256 of the intent's text; ``answered`` when the ledger first answered
    again and did not take it.
    """

    intent: str
    grant: str
    note: bytes
    who: str
    glass: str
    taken: datetime
    answered: datetime | None = None
    rang: datetime | None = None


def taken_door(token: Token, shown: VerifiedToken, now: datetime) -> TakenDoor:
    """Return what has to be remembered of a door's token before anything opens."""
    intent = shown.intent
    digest = text_digest(Note.parse(token.intent).text)
    return TakenDoor(digest, intent.grant, token.intent, intent.who, intent.glass, now)


def door_record(door: TakenDoor, shown: VerifiedToken, tried: str) -> Door:
    """Return the ``door`` record of one use."""
    return Door(
        door.grant,
        door.intent,
        door.who,
        door.glass,
        shown.run,
        shown.intent.not_after,
        shown.custodians[:16],
        one_line(tried),
    )


class Doors:
    """The file; each call opens it, so that processes at the same time do not meet."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, door: TakenDoor) -> bool:
        """Remember a door; on disk when this returns. Says whether it is new here.

        Raises:
            RefusedError: ``second_door``: another one was taken, and is not shown to be in the log.
            UnavailableError: the disk refuses; nothing may open.
        """
        with self._open() as file:
            other = file.execute(
                "select grant_id, who, glass, taken from doors where index_ is null"
                " and intent <> ?",
                (door.intent,),
            ).fetchone()
            if other is not None:
                grant, who, glass, taken = other
                raise RefusedError(
                    f"an offline grant was taken here already: {grant!r}, {who!r}, {glass!r}, at"
                    f" {taken}; no second one is accepted until the first is in the ledger",
                    name=ErrorName.SECOND_DOOR,
                    hint="when the ledger is back this settles by itself; then: breakglass break"
                    " GLASS --incident INCIDENT --why REASON",
                )
            done = file.execute(
                "insert or ignore into doors values (?, ?, ?, ?, ?, ?, null, null, null)",
                (door.intent, door.grant, door.note, door.who, door.glass, format_time(door.taken)),
            )
            return bool(done.rowcount)

    def standing(self) -> list[TakenDoor]:
        """Return the doors whose intents are not shown to be in the log.

        Raises:
            UnavailableError: the file cannot be read.
        """
        if not self._path.exists():
            return []
        return self._rows("where index_ is null")

    def find(self, grant: str) -> TakenDoor | None:
        """Return the door of a grant, in the log or not.

        Raises:
            UnavailableError: the file cannot be read.
        """
        found = self._rows("where grant_id = ?", grant) if self._path.exists() else []
        return found[0] if found else None

    def settled(self, intent: str, index: int) -> None:
        """Remember that a door's intent is in the log: the next door may come."""
        # A crash before this asks the ledger again, which answers the same.
        with self._open() as file:
            file.execute("update doors set index_ = ? where intent = ?", (index, intent))

    def answered(self, intent: str, now: datetime) -> None:
        """Remember when the ledger first answered and did not hold the intent."""
        with self._open() as file:
            file.execute(
                "update doors set answered = coalesce(answered, ?) where intent = ?",
                (format_time(now), intent),
            )

    def rang(self, intent: str, now: datetime) -> None:
        """Remember that somebody was rung about a door that is not in the log."""
        with self._open() as file:
            file.execute("update doors set rang = ? where intent = ?", (format_time(now), intent))

    def _rows(self, where: str, *values: str) -> list[TakenDoor]:
        with self._open() as file:
            rows = file.execute(
                "select intent, grant_id, note, who, glass, taken, answered, rang from doors"
                f" {where} order by taken",
                values,
            ).fetchall()
        return [
            TakenDoor(intent, name, note, who, glass, parse_time(at), _time(answered), _time(rang))
            for intent, name, note, who, glass, at, answered, rang in rows
        ]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            # FULL: a door that power loss makes us forget would let a second one in.
            with transaction(self._path, "full", _SCHEMA) as file:
                yield file
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(
                f"the memory of doors {str(self._path)!r} cannot be used: {error}; nothing opens",
                name=ErrorName.DOORS,
            ) from error


def settle_by_proof(doors: Doors, note: bytes, proof: bytes, trust: Trust) -> Proven[Intent]:
    """Take the proof that a door's intent is in the log, and let the next door come.

    Raises:
        MalformedError, UnprovenError: see ``prove_door``; nothing has changed.
    """
    proven = prove_door(note, proof, trust)
    doors.settled(text_digest(Note.parse(note).text), proven.index)
    return proven


def bring_in(doors: Doors, ledger: Peer, trust: Trust, now: datetime) -> None:
    """Bring every door's intent into the log, or find it there, and keep that it is.

    Raises:
        UnavailableError: the ledger did not answer; ``door_unappended``: it answered, and one is
            not in it.
    """
    for door in doors.standing():
        try:
            note, proof = _appended(door, ledger)
            settle_by_proof(doors, note, proof, trust)
        except BreakglassError as error:
            if isinstance(error, UnavailableError):
                raise
            doors.answered(door.intent, now)
            raise UnavailableError(
                f"the door intent of {door.grant!r} is not in the log: {error}",
                name=ErrorName.DOOR_UNAPPENDED,
            ) from error


def _appended(door: TakenDoor, ledger: Peer) -> tuple[bytes, bytes]:
    reply = Peer.send(ledger, "POST", "/append", encode_bundle([door.note]), within=_WITHIN)
    if reply.status == 200:
        return door.note, str(_first(reply.json().get("proofs"))).encode()
    if reply.status >= 500:
        reply.checked()
    # Others may have brought it in before us.
    index = _found(door, ledger)
    if index is None:
        reply.checked()
        raise UnavailableError(f"{ledger.name} answered {reply.status} to a door intent")
    return door.note, ledger.get(f"/proof/{index}", within=_WITHIN).body


def _found(door: TakenDoor, ledger: Peer) -> int | None:
    """Look the intent up by its leaf hash: the tiles of hashes are open, and a gate reads no more.

    The ledger takes a note in one spelling and with one line, so whoever brought it in: one hash.
    """
    size = parse_checkpoint(ledger.get("/checkpoint", within=_WITHIN).body)[0].size
    wanted = leaf_hash(door.note)
    for n in range(max(0, size - _LOOKED_BACK) // TILE_WIDTH, -(-size // TILE_WIDTH)):
        path = tile_path(0, n, min(TILE_WIDTH, size - n * TILE_WIDTH))
        row = ledger.get(f"/{path}", within=_WITHIN).body
        for at in range(0, len(row), HASH_BYTES):
            if row[at : at + HASH_BYTES] == wanted:
                return n * TILE_WIDTH + at // HASH_BYTES
    return None


class DoorsFirst(Peer):
    """The ledger as an outbox of a gate or minter sees it: nothing is appended before the doors.

    What is told of a grant whose intent is not there would be void. So the outbox waits, as if
    the ledger were away, until the intents are in, or until ``patience`` is over: then what else
    happened must not be held back, and ``ring`` is called, again every hour. Until then the
    broker may have doors of its own to bring in before these.
    """

    def __init__(
        self,
        where: str | Path,
        doors: Doors,
        trust: Callable[[], Trust],
        clock: Clock,
        ring: Callable[[TakenDoor, str], None],
        patience: timedelta,
        *,
        within: timedelta = timedelta(seconds=2),
    ) -> None:
        super().__init__(where, name="ledger", within=within)
        self._doors = doors
        self._trust = trust
        self._clock = clock
        self._ring = ring
        self._patience = patience

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Outgoing = b"",
        content_type: str = "application/octet-stream",
        *,
        within: timedelta | None = None,
        headers: Mapping[str, str] | None = None,
        into: Incoming | None = None,
        signed: bool = False,
    ) -> Reply:
        """Bring the doors in before an append; otherwise as every ``Peer``."""
        if method == "POST" and path == "/append":
            self._bring()
        return super().send(
            method,
            path,
            body,
            content_type,
            within=within,
            headers=headers,
            into=into,
            signed=signed,
        )

    def bring_in(self) -> None:
        """Bring in what stands here, also while nothing else waits to be sent; never raises."""
        with suppress(UnavailableError):
            self._bring()

    def _bring(self) -> None:
        if not self._doors.standing():
            return
        try:
            bring_in(self._doors, self, self._trust(), self._clock.now())
        except UnavailableError as error:
            if error.name != ErrorName.DOOR_UNAPPENDED:
                raise UnavailableError(str(error), name=ErrorName.UNREACHABLE) from error
            if not self._out_of_patience(str(error)):
                # Nothing was sent: the outbox may number its notes again.
                raise UnavailableError(str(error), name=ErrorName.UNREACHABLE) from error

    def _out_of_patience(self, why: str) -> bool:
        now = self._clock.now()
        late = [
            door
            for door in self._doors.standing()
            if door.answered is not None and now - door.answered > self._patience
        ]
        for door in late:
            if door.rang is None or now - door.rang > RING_AGAIN:
                self._ring(door, why)
                self._doors.rang(door.intent, now)
        return bool(late)


def _first(value: Any) -> Any:
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        raise UnavailableError(
            "ledger's answer to a door intent makes no sense", name=ErrorName.NONSENSE
        )
    return value[0]


def _time(text: str | None) -> datetime | None:
    return parse_time(text) if text else None
