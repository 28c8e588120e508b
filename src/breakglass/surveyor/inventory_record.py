"""One survey as it is kept: its things with names, and what of them is new, left or granted.

Pure. Names stay on the surveyor's own disk; the ledger hears counts and the digest of this text,
which 32 random bytes keep from being tried with likely names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from breakglass.canonical import canonical, parse_canonical
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.records.encoding.text_types import Code, Digest, Handle, Line, one_line
from breakglass.records.kinds.standing import Tally
from breakglass.strict_json import Many, read, write
from breakglass.surveyor.survey import Inventory, Thing

THINGS_AT_MOST = 200_000


@dataclass(frozen=True)
class KeptThing:
    """A thing that stands without a running grant.

    ``seen`` is when we saw it first, since a target seldom says how old an account is; ``during``
    the grant in whose life it appeared, and that is over. ``glasses`` of the policy in force then
    could replace it.
    """

    thing: Thing
    seen: datetime
    during: str = ""
    glasses: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnreadPart:
    """What could not be read: a category, in one database or everywhere, and why."""

    category: Code
    database: str
    why: Line


@dataclass(frozen=True)
class InventoryRecord:
    """A whole survey; ``granted`` counts what running grants explain, by category."""

    target: Handle
    taken_at: datetime
    salt: Digest
    things: Annotated[tuple[KeptThing, ...], Many(THINGS_AT_MOST)]
    granted: Annotated[Mapping[Code, int], Many(64)]
    unread: Annotated[tuple[UnreadPart, ...], Many(100_000)]

    @property
    def unknown(self) -> tuple[str, ...]:
        """The categories that were not read whole, sorted."""
        return tuple(sorted({each.category for each in self.unread}))

    def text(self) -> str:
        """Return the text that is kept."""
        return canonical(write(self))

    def digest(self) -> str:
        """Return what the ledger hears of it."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @classmethod
    def parse(cls, text: str) -> InventoryRecord:
        """Read what was kept.

        Raises:
            MalformedError: it is no such text.
        """
        return read(cls, parse_canonical(text, "inventory"), "inventory")


@dataclass(frozen=True)
class Look:
    """What a survey is compared with, and by.

    Attributes:
        before: the inventory of the newest survey in the ledger; ``None`` where it is not at hand.
        baseline: the newest that was taken before ``grant`` was minted.
        grant: the grant that has ended; empty for any other occasion.
        running: the handles of grants that run.
        glasses: by template and database, the glasses of the policy in force that grant it.
    """

    before: InventoryRecord | None
    baseline: InventoryRecord | None
    grant: str
    running: frozenset[str]
    glasses: Mapping[tuple[str, str], tuple[str, ...]]


def recorded(
    target: str, taken_at: datetime, salt: str, found: Inventory, look: Look
) -> InventoryRecord:
    """Return a survey as it is kept: explained, carried over where it could not be read, dated.

    Raises:
        RefusedError: ``too_large``; more stands than is kept.
    """
    known = {each.thing.key: each for each in (look.before.things if look.before else ())}
    there = [each for each in found.things if each.holder not in look.running]
    granted = Counter(each.category for each in found.things if each.holder in look.running)
    standing = {each.key: _kept(each, known.get(each.key), taken_at, look) for each in there}
    for key, each in known.items():
        # Unread is not gone: who makes a database unreadable for a night hides nothing by it.
        if (each.thing.category, each.thing.database) in found.unread:
            standing.setdefault(key, each)
    if look.grant and look.baseline is not None:
        stood = {each.thing.key for each in look.baseline.things}
        standing = {
            key: each if key in stood or each.during else replace(each, during=look.grant)
            for key, each in standing.items()
        }
    if len(standing) > THINGS_AT_MOST:
        raise RefusedError(
            f"{len(standing)} things stand at {target!r}; a survey keeps {THINGS_AT_MOST}, and"
            " nothing was surveyed",
            name=ErrorName.TOO_LARGE,
        )
    unread = [
        UnreadPart(part, where, one_line(why))
        for (part, where), why in sorted(found.unread.items())
    ]
    things = tuple(standing[key] for key in sorted(standing))
    return InventoryRecord(
        target, taken_at, salt, things, dict(sorted(granted.items())), tuple(unread)
    )


def tallies(now: InventoryRecord, before: InventoryRecord | None) -> dict[str, Tally]:
    """Return what the ledger hears: counts by category; without ``before`` nothing is new."""
    stood = {each.thing.key for each in before.things} if before else set()
    stands = {each.thing.key for each in now.things}
    standing = Counter(each.thing.category for each in now.things)
    left = Counter(each.thing.category for each in now.things if each.during)
    new = Counter(key[0] for key in stands - stood) if before else Counter[str]()
    gone = Counter(key[0] for key in stood - stands)
    names = sorted({*standing, *now.granted, *gone})
    return {
        name: Tally(standing[name], now.granted.get(name, 0), left[name], new[name], gone[name])
        for name in names
    }


def _kept(thing: Thing, before: KeptThing | None, taken_at: datetime, look: Look) -> KeptThing:
    glasses = sorted(
        {
            glass
            for (template, database), names in look.glasses.items()
            if template in thing.templates and (thing.database in ("", database) or not database)
            for glass in names
        }
    )
    if before is None:
        return KeptThing(thing, taken_at, "", tuple(glasses))
    return KeptThing(thing, before.seen, before.during, tuple(glasses))
