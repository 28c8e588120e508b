"""The doors that a process made or took, on its own disk, until their intents are in the log.

A broker, a gate and a minter keep the same: the intent, and whether it is shown to be in the log.
A broker's rows have the card besides, which it hands out with the intent.
While the ledger is away this file cannot be rebuilt; docs/reference/backup.md names it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from breakglass.clock import format_time, parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.process.database import transaction
from breakglass.records.encoding.text_types import one_line
from breakglass.records.kinds.door import Door
from breakglass.records.kinds.intent import Intent
from breakglass.records.record import Record, parse_as_kind
from breakglass.token.verify import VerifiedToken

_SCHEMA = """
create table if not exists kept_doors(
    intent text primary key, grant_id text not null, note blob not null, taken text not null,
    card blob, answered text, rang text, index_ integer
) strict;
"""


@dataclass(frozen=True)
class KeptDoor:
    """A door intent as it stands here.

    ``taken`` is when it was made or taken here; ``card`` its maker's alone. ``answered`` is when
    the ledger first answered and did not take it, ``rang`` when somebody was last told so, and
    ``index`` its place in the log, once that is shown.
    """

    note: bytes
    taken: datetime
    card: bytes | None = None
    answered: datetime | None = None
    rang: datetime | None = None
    index: int | None = None

    @cached_property
    def record(self) -> Record[Any]:
        """The intent with its envelope; its number is its place in the door key's chain."""
        return parse_as_kind(Intent, self.note)

    @property
    def intent(self) -> Intent:
        """What custodians let through."""
        body = self.record.body
        assert isinstance(body, Intent), "nothing else is kept"
        return body

    @property
    def grant(self) -> str:
        """The grant's id."""
        return self.intent.grant

    @property
    def digest(self) -> str:
        """The intent's identity: the SHA-256 of its text."""
        return self.record.text_digest

    def used(self, shown: VerifiedToken, tried: str) -> Door:
        """Return the ``door`` record of one use; ``tried`` says how the ledger was not reached."""
        intent = self.intent
        return Door(
            intent.grant,
            self.digest,
            intent.who,
            intent.glass,
            shown.run,
            intent.not_after,
            shown.custodians[:16],
            one_line(tried),
        )


class DoorStore:
    """The file; each call opens it, so that processes at the same time do not meet.

    What a method has returned from survives a crash and a power cut. A method that raises
    ``UnavailableError`` has changed nothing, and nothing may open or be handed out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, door: KeptDoor) -> None:
        """Remember a door that is used here; the same one again is harmless.

        Raises:
            RefusedError: ``second_door``: another one was taken, and is not shown to be in the log.
        """
        with self._open() as file:
            for other in _rows(file, "where index_ is null and intent <> ?", door.digest):
                intent = other.intent
                raise RefusedError(
                    f"an offline grant was taken here already: {intent.grant!r}, {intent.who!r},"
                    f" {intent.glass!r}, at {format_time(other.taken)}; no second one is accepted"
                    " until the first is in the ledger",
                    name=ErrorName.SECOND_DOOR,
                    hint="when the ledger is back this settles by itself; then: breakglass break"
                    " GLASS --incident INCIDENT --why REASON",
                )
            _insert(file, "insert or ignore", door)

    def add(self, door: KeptDoor) -> None:
        """Keep a door that was made here."""
        with self._open() as file:
            _insert(file, "insert", door)

    def all(self) -> list[KeptDoor]:
        """Return every door, the newest last."""
        return self._read("")

    def standing(self) -> list[KeptDoor]:
        """Return the doors whose intents are not shown to be in the log, in their order."""
        return self._read("where index_ is null")

    def find(self, grant: str) -> KeptDoor | None:
        """Return the door of a grant, in the log or not."""
        found = self._read("where grant_id = ?", grant)
        return found[0] if found else None

    def settle(self, intent: str, index: int) -> None:
        """Remember that a door's intent is in the log: the next door may come."""
        # A crash before this asks the ledger again, which answers the same.
        with self._open() as file:
            file.execute("update kept_doors set index_ = ? where intent = ?", (index, intent))

    def answered(self, intent: str, now: datetime) -> None:
        """Remember when the ledger first answered and did not hold the intent."""
        with self._open() as file:
            file.execute(
                "update kept_doors set answered = coalesce(answered, ?) where intent = ?",
                (format_time(now), intent),
            )

    def rang(self, intent: str, now: datetime) -> None:
        """Remember that somebody was rung about a door that is not in the log."""
        with self._open() as file:
            file.execute(
                "update kept_doors set rang = ? where intent = ?", (format_time(now), intent)
            )

    def _read(self, where: str, *values: str) -> list[KeptDoor]:
        if not self._path.exists():
            return []
        with self._open() as file:
            return _rows(file, where, *values)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            # FULL: a door that power loss makes us forget would let a second one in.
            with transaction(self._path, "full", _SCHEMA) as file:
                _carry_over(file)
                yield file
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(
                f"the memory of doors {str(self._path)!r} cannot be used: {error}; nothing opens",
                name=ErrorName.DOORS,
            ) from error


def _insert(file: sqlite3.Connection, verb: str, door: KeptDoor) -> None:
    times = [format_time(each) if each else None for each in (door.answered, door.rang)]
    taken = format_time(door.taken)
    row = (door.digest, door.grant, door.note, taken, door.card, *times, door.index)
    file.execute(f"{verb} into kept_doors values (?, ?, ?, ?, ?, ?, ?, ?)", row)


def _rows(file: sqlite3.Connection, where: str, *values: str) -> list[KeptDoor]:
    rows = file.execute(
        f"select note, taken, card, answered, rang, index_ from kept_doors {where} order by rowid",
        values,
    )
    return [
        KeptDoor(note, parse_time(taken), card, _time(answered), _time(rang), index)
        for note, taken, card, answered, rang, index in rows
    ]


def _carry_over(file: sqlite3.Connection) -> None:
    """Take over the rows of an older file: brokers and those who take doors had one form each."""
    forms = {name for (name,) in file.execute("select name from pragma_table_info('doors')")}
    if not forms:
        return
    order = "seq" if "seq" in forms else "taken"
    found = file.execute(f"select * from doors order by {order}")
    names = [each[0] for each in found.description]
    for values in found.fetchall():
        row = dict(zip(names, values, strict=True))
        door = KeptDoor(
            row["note"],
            parse_time(row["taken"]) if "taken" in row else _made_at(row["note"]),
            row.get("card"),
            _time(row.get("answered")),
            _time(row.get("rang")),
            row["index_"],
        )
        _insert(file, "insert", door)
    file.execute("drop table doors")


def _made_at(note: bytes) -> datetime:
    return parse_as_kind(Intent, note).envelope.at


def _time(text: str | None) -> datetime | None:
    return parse_time(text) if text else None
