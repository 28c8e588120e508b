"""The grants by id: running ones whole, those long finished as one short line of bytes each.

A large organisation finishes some hundred grants a day, and each is kept for a month or more.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from breakglass.records.card import Tier
from breakglass.records.fold.slices.grant_ids import NOT_AN_ID, id_of, number_of
from breakglass.records.fold.slices.grant_state import GrantState
from breakglass.records.fold.slices.overlay import Overlay
from breakglass.records.grant import EndedWhy, Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

# What a line holds, in its order; ``at`` and the id stand before and beside it.
TEXTS = ("glass", "who", "incident", "ticket", "minter", "platform", "act", "holder")
DIGESTS = ("policy", "statement", "text_digest", "leaf")
TIMES = (
    "said_at",
    "not_before",
    "not_after",
    "review_by",
    "minted_at",
    "usable_at",
    "ended_at",
    "dead_at",
    "finished_at",
    "rung_at",
    "stopped_at",
    "justified_at",
)
PLAIN = ("index", "since_asked_ms", "tail_ms", "justified")


def pack(grant: GrantState) -> bytes:
    """Return a finished grant as eight bytes of when it was over, and a line of JSON.

    Everything but the note, the intent and the card as they were read; ``unpack`` gives it back.
    """
    assert grant.over_at is not None, "only what is finished is packed"
    at = _ms(grant.at)
    row = [
        at,
        *(getattr(grant, name) for name in TEXTS),
        *(_short(getattr(grant, name)) for name in DIGESTS),
        *(None if (time := getattr(grant, name)) is None else _ms(time) - at for name in TIMES),
        *(getattr(grant, name) for name in PLAIN),
        grant.path,
        grant.tier,
        grant.ended,
        {name: list(values) for name, values in sorted(grant.scope.items())},
        grant.gates,
        grant.labels,
        sorted(grant.runs),
    ]
    line = json.dumps(row, separators=(",", ":"), ensure_ascii=False)
    return _ms(grant.over_at).to_bytes(8, "big") + line.encode()


def unpack(grant: str, data: bytes) -> GrantState:
    """Return the grant that was packed."""
    row = iter(json.loads(data[8:]))
    at = next(row)
    found = {name: next(row) for name in TEXTS}
    found |= {name: _long(next(row)) for name in DIGESTS}
    found |= {name: _time(at, next(row)) for name in TIMES}
    found |= {name: next(row) for name in PLAIN}
    path, tier, ended, scope, gates, labels, runs = row
    return GrantState(
        grant=grant,
        at=_EPOCH + at * _MS,
        path=Path(path),
        tier=Tier(tier),
        ended=None if ended is None else EndedWhy(ended),
        scope={name: tuple(values) for name, values in scope.items()},
        gates=tuple(gates),
        labels=tuple(labels),
        runs=frozenset((gate, run) for gate, run in runs),
        **found,
    )


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // _MS


def _time(at: int, after: int | None) -> datetime | None:
    return None if after is None else _EPOCH + (at + after) * _MS


def _short(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


def _long(text: str) -> str:
    return base64.b64decode(text).hex()


@dataclass(eq=False)
class GrantTable(MutableMapping[str, GrantState]):
    """``running`` are the grants as they came, ``finished`` the packed ones, by their id's bits."""

    running: dict[str, GrantState] = field(default_factory=dict)
    finished: dict[int, bytes] = field(default_factory=dict)

    def __getitem__(self, grant: str) -> GrantState:
        found = self.running.get(grant)
        if found is not None:
            return found
        return unpack(grant, self.finished[number_of(grant)])

    def __setitem__(self, grant: str, state: GrantState) -> None:
        if grant not in self.running:
            self.finished.pop(number_of(grant), None)
        self.running[grant] = state

    def __delitem__(self, grant: str) -> None:
        if grant in self.running:
            self.running.pop(grant)
        else:
            del self.finished[number_of(grant)]

    def __contains__(self, grant: object) -> bool:
        if grant in self.running:
            return True
        number = number_of(grant) if isinstance(grant, str) else NOT_AN_ID
        return number in self.finished

    def __iter__(self) -> Iterator[str]:
        yield from self.running
        yield from map(id_of, self.finished)

    def __len__(self) -> int:
        return len(self.running) + len(self.finished)

    def of(self, who: str, glass: str) -> list[GrantState]:
        """Return the grants of one person and glass, in no order.

        A packed one is looked at only where its line holds both names side by side, as it is
        written: a month of grants in some milliseconds.
        """
        named = json.dumps([glass, who], separators=(",", ":"), ensure_ascii=False)[1:-1].encode()
        packed = [
            unpack(id_of(number), data) for number, data in self.finished.items() if named in data
        ]
        return [
            each
            for each in (*self.running.values(), *packed)
            if (each.who, each.glass) == (who, glass)
        ]

    def shrink(self, grant: str) -> None:
        """Keep a finished grant as a line from here on."""
        self.finished[number_of(grant)] = pack(self.running.pop(grant))

    def over_before(self, time: datetime) -> list[int]:
        """Return the packed grants that were over before then, by the bits of their ids.

        None of them is unpacked: a month of grants is looked through in a millisecond or two.
        """
        limit = _ms(time).to_bytes(8, "big")
        return [number for number, data in self.finished.items() if data[:8] < limit]

    def trial(self) -> GrantTable:
        """Return a thin copy that changes alone."""
        return GrantTable(Overlay(self.running), Overlay(self.finished))
