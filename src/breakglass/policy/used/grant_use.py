"""What one grant used by the target's log, and how much of its life that log has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from breakglass.policy.used.lived_grant import LivedGrant

SILENCE_AT_MOST = timedelta(minutes=10)
"""A log in which nobody wrote for longer is a lost one: a heartbeat is what tells them apart."""
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, order=True)
class TableRight:
    """A right that an act took: ``select`` on ``public.orders`` of one database."""

    database: str
    relation: str
    right: str


@dataclass(frozen=True)
class GrantUse:
    """See the module.

    Attributes:
        grant: whose use it is.
        values: by scope dimension, what was used of it: databases, hosts, accounts.
        rights: the tables and rights that were taken, where the log proves tables.
        truncated: databases in which a table was emptied: the log says so, and not which.
        beyond: acts that no list of tables stands for, such as ``CREATE TABLE in orders``.
        unproven: databases in which it worked and the log does not prove on which tables.
        commands: what it ran by sudo, told for who reads; nothing follows from it.
        last: when it did its last act; ``None`` if it did none.
        lost: what the log does not have of its life, in sentences; empty: it was wholly seen.
    """

    grant: LivedGrant
    values: Mapping[str, frozenset[str]]
    rights: frozenset[TableRight] = frozenset()
    truncated: frozenset[str] = frozenset()
    beyond: frozenset[str] = frozenset()
    unproven: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()
    last: datetime | None = None
    lost: tuple[str, ...] = ()

    @property
    def lasted(self) -> timedelta:
        """Return how long the grant was in use: from its beginning to its last act."""
        return max(self.last - self.grant.begins, timedelta(0)) if self.last else timedelta(0)


@dataclass
class HeardMinutes:
    """The minutes in which a target's log has a line of anybody."""

    minutes: set[int] = field(default_factory=set)

    def add(self, at: datetime) -> None:
        """Note one line."""
        self.minutes.add(_minute(at))

    def between(self, begins: datetime, ends: datetime) -> bool:
        """Say whether there is one within these times."""
        return any(each in self.minutes for each in range(_minute(begins), _minute(ends) + 1))

    def silences(self, begins: datetime, ends: datetime) -> list[tuple[datetime, datetime]]:
        """Return from when to when within these times the log is silent for too long.

        >>> from datetime import UTC
        >>> noon = datetime(2026, 6, 22, 12, tzinfo=UTC)
        >>> heard = HeardMinutes({_minute(noon)})
        >>> [(a.minute, b.minute) for a, b in heard.silences(noon, noon + 15 * _MINUTE)]
        [(1, 15)]
        """
        found, silent = [], begins
        for minute in range(_minute(begins), _minute(ends) + 1):
            if minute not in self.minutes:
                continue
            heard = begins + (minute - _minute(begins)) * _MINUTE
            if heard - silent > SILENCE_AT_MOST:
                found.append((silent, heard))
            silent = heard + _MINUTE
        if ends - silent > SILENCE_AT_MOST:
            found.append((silent, ends))
        return found

    def lost(self, begins: datetime, ends: datetime, where: str) -> list[str]:
        """Return the silences as sentences; ``where`` names the log."""
        return [
            f"{where} is silent from {a:%Y-%m-%d %H:%M} to {b:%Y-%m-%d %H:%M} UTC"
            for a, b in self.silences(begins, ends)
        ]


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // 60
