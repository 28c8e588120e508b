"""A glass card: what one glass grants and who may break it, signed by the maintainers.

It lets a gate or a minter judge a token without the policy bundle. Text:
``breakglass.dev/card/v1`` and one line of RFC 8785 JSON, signed in ``breakglass-card@v1``.
The form is frozen: docs/spec/card.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from breakglass.canonical import canonical, parse_lines
from breakglass.errors import MalformedError
from breakglass.records.encoding.text_types import Digest, Handle, LogName, Reason, Word
from breakglass.records.signing.person_key import PersonKey, check_keys
from breakglass.records.signing.signature import Factor
from breakglass.records.statement import Scope, Seconds, check_scope
from breakglass.strict_json import Between, Count, Many, read, written
from breakglass.tlog.note import Note

HEADER = "breakglass.dev/card/v1"
LONGEST_LIFE = timedelta(days=92)


class Tier(StrEnum):
    """How many people a glass takes; it follows the blast radius, never the path."""

    SELF = "self"
    TWO = "two"
    SEALED = "sealed"
    MACHINE = "machine"


class May(StrEnum):
    """What a person may do with a glass."""

    BREAK = "break"
    APPROVE = "approve"


@dataclass(frozen=True)
class CardPerson:
    """One person on a card, under their one canonical name."""

    may: Annotated[tuple[May, ...], Many(2, 1)]
    keys: Annotated[tuple[PersonKey, ...], Many(16, 1)]


@dataclass(frozen=True)
class CardMint:
    """One minter that this glass may ask, and the widest scope there."""

    minter: Handle
    platform: Handle
    scope: Scope


@dataclass(frozen=True)
class CardMachine:
    """A machine of the policy: its key and the argument vector that its minter runs."""

    key: PersonKey
    minter: Handle
    act: Annotated[tuple[Word, ...], Many(64, 1)]


@dataclass(frozen=True)
class Card:
    """See the module. ``need`` is the number of approvers beside the breaker.

    ``wait_s`` is how long after the breaker's statement an intent may still follow, in seconds.
    """

    log: LogName
    glass: Handle
    does: Reason
    gates: Annotated[tuple[Handle, ...], Many(64)]
    mints: Annotated[tuple[CardMint, ...], Many(32)]
    tier: Tier
    need: Annotated[int, Between(0, 16)]
    factor: Factor
    for_s: Seconds
    wait_s: Annotated[int, Between(0, 3600)]
    people: Annotated[Mapping[Handle, CardPerson], Many(1000)]
    machines: Annotated[Mapping[Handle, CardMachine], Many(64)]
    policy: Digest
    version: Count
    issued: datetime
    expires: datetime

    def mint(self, minter: str) -> CardMint | None:
        """Return what this glass may ask of ``minter``, if anything."""
        return next((mint for mint in self.mints if mint.minter == minter), None)


def card_text(card: Card) -> str:
    """Write a card as the exact text that maintainers sign.

    Raises:
        MalformedError: nobody would read it.
    """
    text = f"{HEADER}\n{canonical(written(card, 'card'))}\n"
    _check_whole(card)
    return text


def card_digest(note: Note) -> str:
    """Return the SHA-256 of a card's text: the identity that an intent names."""
    return hashlib.sha256(note.text.encode()).hexdigest()


def parse_card(note: Note) -> Card:
    """Read a card from its note; the maintainers' signatures are still to be checked.

    Raises:
        MalformedError: not the form of docs/spec/card.md, or it lives longer than 92 days.
    """
    card = read(Card, parse_lines(note.text, HEADER, "card"), "card")
    _check_whole(card)
    return card


def _check_whole(card: Card) -> None:
    for at, mint in enumerate(card.mints):
        check_scope(mint.scope, f"card.mints[{at}].scope")
    if not timedelta(0) < card.expires - card.issued <= LONGEST_LIFE:
        raise MalformedError("card.expires: expected after 'issued', by 92 days at most")
    if len({mint.minter for mint in card.mints}) != len(card.mints):
        raise MalformedError("card.mints: a minter stands twice")
    if card.tier is Tier.TWO and not card.need:
        raise MalformedError("card.need: tier 'two' takes one approver at least")
    if card.tier is Tier.SEALED and (card.gates or card.mints):
        # A sealed glass opens by its custodians' ceremony; a token must not be a way around it.
        raise MalformedError("card.gates: a sealed glass opens no gate and asks no minter")
    if card.people.keys() & card.machines.keys():
        raise MalformedError("card.machines: a machine is named as a person is")
    keys = {name: person.keys for name, person in card.people.items()}
    for name, machine in card.machines.items():
        keys[name] = (machine.key,)
        if card.mint(machine.minter) is None:
            raise MalformedError(f"card.machines.{name}.minter: the card asks no such minter")
    check_keys(keys, "card")
