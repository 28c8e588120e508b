"""What the records add up to: the state that broker, minter, monitor and auditors share.

``fold.py`` alone changes it. Everything here can be thrown away and folded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

from breakglass.clock import format_time
from breakglass.records.card import Card
from breakglass.records.encoding.canonical import Json, canonical
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.kinds.gates import Gap
from breakglass.records.kinds.grants import Ended, Intent
from breakglass.records.kinds.incidents import IncidentChange
from breakglass.records.people_list import May, PeopleList
from breakglass.records.policy_note import PolicyNote
from breakglass.records.record import Record
from breakglass.records.statement import AccessRequest, digest_of
from breakglass.records.trust import Trust
from breakglass.tlog.note import Note

K = TypeVar("K")
V = TypeVar("V")

DEATH_WITHIN = timedelta(seconds=60)  # after this the monitor rings; DESIGN.md section 4


@dataclass
class SubmitterState:
    """Where one submitter's chain stands, and which of its records may come late.

    ``last_at`` is the latest time of its records that were in time: one that was not (a clock
    that jumped ahead for a moment) must not hold up those that follow.
    """

    next_seq: int = 0
    prev: str = ZERO_DIGEST
    last_at: datetime | None = None
    late: Gap | None = None
    ids: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class ActiveCard:
    """A card in force, with its note's bytes as tokens carry them and the list of its people."""

    card: Card
    digest: str
    note: bytes
    people: PeopleList


@dataclass(frozen=True)
class AttestedState:
    """The last look at something that the evidence rests on; ``looked`` by the looker's clock."""

    outcome: str
    looked: datetime
    index: int


@dataclass(frozen=True)
class IncidentState:
    """An incident as the records tell it."""

    incident: str
    severity: str
    title: str
    self_declared: bool
    change: IncidentChange
    opened_at: datetime

    @property
    def open(self) -> bool:
        """Say whether the incident still runs."""
        return self.change is not IncidentChange.CLOSED


@dataclass(frozen=True)
class GrantState:
    """One grant: its intent and what came after; a change makes another one.

    ``index`` is the intent's place in the log, ``rung_at`` the first delivered alarm about it,
    ``runs`` the gates and runs that it opened.
    """

    intent: Intent
    index: int
    at: datetime
    note: bytes
    card: ActiveCard
    minted_at: datetime | None = None
    usable_at: datetime | None = None
    since_asked_ms: int | None = None
    ended: Ended | None = None
    ended_at: datetime | None = None
    dead_at: datetime | None = None
    tail_ms: int | None = None
    justified: bool = False
    bypasses: int = 0
    rung_at: datetime | None = None
    stopped_at: datetime | None = None
    runs: frozenset[tuple[str, str]] = frozenset()

    @cached_property
    def statement(self) -> str:
        """Return the digest of the breaker's statement."""
        return digest_of(self.intent.statements[0].text)

    @cached_property
    def text_digest(self) -> str:
        """Return the intent's identity: the SHA-256 of its note's text."""
        return hashlib.sha256(Note.parse(self.note).text.encode()).hexdigest()

    def live(self, now: datetime) -> bool:
        """Say whether the grant may still be used; the one rule for every path."""
        return self.ended is None and self.stopped_at is None and now <= self.intent.not_after

    def deadline(self) -> datetime | None:
        """Return by when the next record of this grant must be there; ``None`` when it is over.

        Without ``ended``: soon after its expiry, or after it was stopped. With ``ended`` but, if
        a credential was minted, without ``dead``: soon after the end.
        """
        if self.ended is None:
            end = self.intent.not_after
            return min(end, self.stopped_at or end) + DEATH_WITHIN
        if self.dead_at is None and self.minted_at is not None and self.ended_at is not None:
            return self.ended_at + DEATH_WITHIN
        return None


@dataclass(frozen=True)
class DoorUse:
    """Who took a door's token, ``gate:NAME`` or ``minter:NAME``, and for which run."""

    by: str
    run: str


@dataclass(frozen=True)
class DoorState:
    """A use of the custodians' door, as gates and minters told of it.

    ``intent`` is the SHA-256 of the intent's text, ``index`` the first record that told of it and
    ``seen`` when that came into the log, by the middle one of its witnesses.
    """

    grant: str
    intent: str
    who: str
    glass: str
    index: int
    seen: datetime
    uses: tuple[DoorUse, ...] = ()


@dataclass(frozen=True)
class AskedState:
    """Somebody asked for a glass, and nothing has come of it yet.

    ``said`` is what they signed and ``digest`` of its text. After ``until`` no intent can follow
    any more: that is the deadline, and nobody need write anything.
    """

    index: int
    at: datetime
    who: str
    glass: str
    digest: str
    until: datetime
    said: AccessRequest


@dataclass
class State:
    """The whole fold. ``genesis`` is the digest that the follower pinned.

    ``submitters`` is by key label, ``name+hex8``, as the ledger counts: a key that replaces
    another begins a chain of its own, and ``handed_over`` gives the record by which it did, by the
    new key. ``nonces`` gives the digest of the statement that used one.
    """

    genesis: str
    size: int = 0
    log: str = ""
    begun: Record[Any] | None = None
    trust: Trust | None = None
    policy: PolicyNote | None = None
    policy_index: int = -1
    bundle: bytes = b""
    people: PeopleList = field(default_factory=lambda: PeopleList(()))
    cards: dict[str, ActiveCard] = field(default_factory=dict)
    submitters: dict[str, SubmitterState] = field(default_factory=dict)
    incidents: dict[str, IncidentState] = field(default_factory=dict)
    asked: dict[str, AskedState] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    grants: dict[str, GrantState] = field(default_factory=dict)
    nonces: dict[tuple[str, str], str] = field(default_factory=dict)
    machine_uses: dict[tuple[str, str], tuple[datetime, ...]] = field(default_factory=dict)
    suspended: dict[tuple[str, str], int] = field(default_factory=dict)
    doors: dict[str, DoorState] = field(default_factory=dict)
    passages: dict[str, dict[str, int]] = field(default_factory=dict)
    void: list[tuple[int, str]] = field(default_factory=list)
    pulse_at: datetime | None = None
    alarms: dict[str, int] = field(default_factory=dict)
    handed_over: dict[str, int] = field(default_factory=dict)
    attested: dict[tuple[str, str], AttestedState] = field(default_factory=dict)

    def trial(self, submitter: str) -> State:
        """Return a thin copy on which the next records of one key label can be tried by ``apply``.

        The copy reads through to this state, which must stand still meanwhile; what is applied to
        the copy changes only the copy. Copying a long log's state whole would take seconds.
        """
        own = self.submitters.get(submitter, SubmitterState())
        return replace(
            self,
            cards=dict(self.cards),
            submitters={submitter: replace(own, ids=_Also(own.ids))},
            incidents=_Over(self.incidents),
            asked=_Over(self.asked),
            refused=_Over(self.refused),
            grants=_Over(self.grants),
            nonces=_Over(self.nonces),
            machine_uses=dict(self.machine_uses),
            suspended=dict(self.suspended),
            doors=dict(self.doors),
            passages={gate: dict(tally) for gate, tally in self.passages.items()},
            void=[],
            alarms=dict(self.alarms),
            handed_over=dict(self.handed_over),
            attested=dict(self.attested),
        )

    def unappended_doors(self) -> list[DoorState]:
        """Return the doors that were used and whose intent does not stand in the log."""
        return [each for each in self.doors.values() if not self._stands(each)]

    def _stands(self, door: DoorState) -> bool:
        grant = self.grants.get(door.grant)
        return grant is not None and grant.text_digest == door.intent

    def keys_of(self, who: str) -> tuple[str, ...]:
        """Return a person's keys under the policy in force; empty for a stranger."""
        person = self.people.by_name.get(who)
        return () if person is None else person.keys

    def may_kill(self, who: str) -> bool:
        """Say whether the policy in force lets ``who`` stop grants, people and glasses."""
        person = self.people.by_name.get(who)
        return person is not None and May.KILL in person.may

    def suspensions(self, who: str, glass: str, grant: str) -> tuple[str, ...]:
        """Return what of these is suspended, in words for people."""
        named = (("person", who), ("glass", glass), ("grant", grant))
        return tuple(
            f"{target} {name!r}" for target, name in named if (target, name) in self.suspended
        )

    def digest(self) -> str:
        """Return the SHA-256 of the state: equal at the same size for everybody who folded."""
        return hashlib.sha256(canonical(self.summary()).encode()).hexdigest()

    def summary(self) -> dict[str, Json]:
        """Return the whole state as plain JSON, for digests and for people."""
        return {
            "size": self.size,
            "log": self.log,
            "trust": self.trust.digest if self.trust else "",
            "policy": self.policy.bundle if self.policy else "",
            "cards": {glass: active.digest for glass, active in self.cards.items()},
            "submitters": {
                name: {"next_seq": each.next_seq, "prev": each.prev}
                for name, each in self.submitters.items()
            },
            "incidents": {
                name: {
                    "severity": each.severity,
                    "open": each.open,
                    "self_declared": each.self_declared,
                }
                for name, each in self.incidents.items()
            },
            "asked": {name: each.index for name, each in self.asked.items()},
            "refused": dict(self.refused),
            "grants": {name: _grant(each) for name, each in self.grants.items()},
            "nonces": len(self.nonces),
            "machine_uses": {
                f"{glass} {machine}": [format_time(each) for each in times]
                for (glass, machine), times in self.machine_uses.items()
            },
            "suspended": [f"{target} {name}" for target, name in sorted(self.suspended)],
            "doors": {intent: _door(each) for intent, each in self.doors.items()},
            "passages": {gate: dict(tally) for gate, tally in self.passages.items()},
            "void": [f"{index} {name}" for index, name in self.void],
            "pulse": _time(self.pulse_at),
            "alarms": dict(self.alarms),
            "keys": dict(self.handed_over),
            "attested": {
                f"{subject} {about}": f"{each.index} {each.outcome}"
                for (subject, about), each in self.attested.items()
            },
        }


def _door(door: DoorState) -> Mapping[str, Json]:
    uses: list[Json] = [f"{each.by} {each.run}" for each in door.uses]
    return {"grant": door.grant, "index": door.index, "uses": uses}


def _grant(grant: GrantState) -> Mapping[str, Json]:
    return {
        "index": grant.index,
        "minted": _time(grant.minted_at),
        "usable": _time(grant.usable_at),
        "ended": grant.ended.why.value if grant.ended else "",
        "dead": _time(grant.dead_at),
        "rung": _time(grant.rung_at),
        "stopped": _time(grant.stopped_at),
        "justified": grant.justified,
        "bypasses": grant.bypasses,
    }


def _time(moment: datetime | None) -> str:
    return format_time(moment) if moment else ""


class _Over(dict[K, V]):
    """A dictionary over another, which it reads through to and never changes.

    It knows what judges ask of it: ``in``, ``get``, indexing, setting and ``pop``.
    """

    def __init__(self, below: Mapping[K, V]) -> None:
        super().__init__()
        self._below = below
        self._gone: set[K] = set()

    def __missing__(self, key: K) -> V:
        if key in self._gone:
            raise KeyError(key)
        return self._below[key]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or (key not in self._gone and key in self._below)

    def get(self, key: K, default: Any = None) -> Any:
        """Return what stands here or below."""
        try:
            return self[key]
        except KeyError:
            return default

    def pop(self, key: K, default: Any = None) -> Any:
        """Take a key out here; below it stays."""
        found = self.get(key, default)
        super().pop(key, None)
        self._gone.add(key)
        return found

    def __setitem__(self, key: K, value: V) -> None:
        self._gone.discard(key)
        super().__setitem__(key, value)


class _Also(set[str]):
    """A set that also holds what another holds, without copying it."""

    def __init__(self, below: set[str]) -> None:
        super().__init__()
        self._below = below

    def __contains__(self, item: object) -> bool:
        return super().__contains__(item) or item in self._below
