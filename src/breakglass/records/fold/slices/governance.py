"""What rules the organisation: its beginning, trust, policy, cards, suspensions, keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from breakglass.canonical import Json
from breakglass.clock import format_time
from breakglass.records.card import Card
from breakglass.records.encoding.whole_form import written_once
from breakglass.records.people_list import May, PeopleList
from breakglass.records.policy_note import PolicyNote
from breakglass.records.record import Record
from breakglass.records.signing.signature import Signature
from breakglass.records.statement import digest_of
from breakglass.records.trust import Trust
from breakglass.tlog.note import VerifierKey

if TYPE_CHECKING:
    from breakglass.records.kinds.genesis import Genesis


@written_once
@dataclass(frozen=True)
class ActiveCard:
    """A card in force, with its note's bytes as tokens carry them and the list of its people."""

    card: Card
    digest: str
    note: bytes
    people: PeopleList


@dataclass(frozen=True)
class SuspensionState:
    """What stops a target: the record, and the signed word in it, which any minter may act on."""

    index: int
    statement: Signature


@dataclass(frozen=True)
class FirstWord:
    """One person's word to stop everything, or to let it go; it waits for a second person's.

    ``seen`` is when it was witnessed.
    """

    active: bool
    who: str
    index: int
    seen: datetime
    statement: Signature


@dataclass(frozen=True)
class AllStop:
    """Two people stopped everything: no grant that stands before ``index`` ever runs again.

    The lifting of it ends the standstill and frees nothing. ``statements`` are the words, by
    digest, of this standstill and the ones before it; ``statement`` is its second, which any minter
    may act on.
    """

    index: int
    at: datetime
    statements: tuple[str, ...]
    statement: Signature


ALL = ("all", "everything")
"""The key in ``suspended`` while everything is stopped."""


@dataclass
class Governance:
    """Who rules now. ``begun`` is the genesis.

    ``suspended`` gives what stopped a target, by target and name, and ``handed_over``
    the record by which a key followed another, by the new key. ``first_word`` waits for a second
    person, ``all_stop`` is the last standstill, over or not. ``key_ids`` gives every submitter's
    key of any version so far, by its id.
    """

    begun: Record[Genesis] | None = None
    trust: Trust | None = None
    policy: PolicyNote | None = None
    policy_index: int = -1
    bundle: bytes = b""
    people: PeopleList = field(default_factory=lambda: PeopleList(()))
    cards: dict[str, ActiveCard] = field(default_factory=dict)
    suspended: dict[tuple[str, str], SuspensionState] = field(default_factory=dict)
    handed_over: dict[str, int] = field(default_factory=dict)
    first_word: FirstWord | None = None
    all_stop: AllStop | None = None
    key_ids: Mapping[bytes, VerifierKey] = field(default_factory=dict)

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
        found = tuple(
            f"{target} {name!r}" for target, name in named if (target, name) in self.suspended
        )
        return ("everything", *found) if ALL in self.suspended else found

    def stopped_with_all(self, index: int) -> bool:
        """Say whether a grant that stands at ``index`` ended with everything; that is for good."""
        return self.all_stop is not None and index < self.all_stop.index

    def trial(self) -> Governance:
        """Return a thin copy that changes alone."""
        return replace(
            self,
            cards=dict(self.cards),
            suspended=dict(self.suspended),
            handed_over=dict(self.handed_over),
        )

    def summary(self) -> dict[str, Json]:
        """Return this part of the state as plain JSON."""
        return {
            "trust": self.trust.digest if self.trust else "",
            "policy": self.policy.bundle if self.policy else "",
            "policy_index": self.policy_index,
            "bundle": hashlib.sha256(self.bundle).hexdigest(),
            "people": f"{self.people.root.root} {self.people.root.count}",
            "cards": {glass: active.digest for glass, active in self.cards.items()},
            "suspended": {
                f"{target} {name}": f"{each.index} {digest_of(each.statement.text)}"
                for (target, name), each in self.suspended.items()
            },
            "first_word": _word(self.first_word),
            "all_stop": f"{self.all_stop.index} {' '.join(self.all_stop.statements)}"
            if self.all_stop
            else "",
            "keys": dict(self.handed_over),
            "submitter_keys": sorted(str(each) for each in self.key_ids.values()),
        }


def _word(word: FirstWord | None) -> str:
    if word is None:
        return ""
    return f"{word.index} {word.active} {word.who} {format_time(word.seen)}"
