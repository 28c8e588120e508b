"""A glass card: what one glass grants and who may break it, signed by the maintainers.

It lets a gate or a minter judge a token without the policy bundle. Its people stand in a list
beside it, of which the card holds the root. Text: ``breakglass.dev/card/v1`` and one line of
RFC 8785 JSON, signed in ``breakglass-card@v1``. The form is frozen: docs/spec/card.md.
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
from breakglass.records.encoding.text_types import Digest, Handle, LogName, Pattern, Reason, Word
from breakglass.records.people_list import CARD_RIGHTS, May, PeopleList, PeopleRoot, PersonLine
from breakglass.records.signing.person_key import check_keys
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


class Output(StrEnum):
    """Who gets what an act prints: nobody (its exit status alone), or the asker, sealed."""

    NONE = "none"
    ASKER = "asker"


MachineKey = Annotated[
    str,
    Pattern(
        "a software key: ssh-ed25519 or ecdsa-sha2-nistp256, without a comment",
        r"(ssh-ed25519|ecdsa-sha2-nistp256) [A-Za-z0-9+/=]{20,400}",
    ),
]


@dataclass(frozen=True)
class Act:
    """A command that a minter runs in place of handing out a credential.

    ``argv`` is the whole vector: no shell, no templates; it ends within ``within_s`` seconds.
    """

    argv: Annotated[tuple[Word, ...], Many(64, 1)]
    within_s: Annotated[int, Between(1, 3600)]
    output: Output


@dataclass(frozen=True)
class CardMint:
    """One minter that this glass may ask, and the widest scope there.

    With ``acts`` it runs one of them and hands out no credential; without, it runs nothing.
    """

    minter: Handle
    platform: Handle
    scope: Scope
    acts: Annotated[Mapping[Handle, Act], Many(16)]


@dataclass(frozen=True)
class CardMachine:
    """A machine of the policy: its key, the one act that it may have run, and how often.

    ``at_most`` times in ``per_s`` seconds, with ``cool_down_s`` seconds between two.
    """

    key: MachineKey
    minter: Handle
    act: Handle
    at_most: Annotated[int, Between(1, 1000)]
    per_s: Annotated[int, Between(1, 7 * 86_400)]
    cool_down_s: Annotated[int, Between(0, 7 * 86_400)]


@dataclass(frozen=True)
class Card:
    """See the module.

    ``need`` is the number of approvers beside the breaker and ``ask_need`` that of somebody who
    asks; 0 there: this glass cannot be asked for. ``wait_s`` is how long after the first statement
    an intent may still follow, ``silence_s`` after how long an ask counts as unanswered and
    ``ahead_s`` how far ahead an ask may start (0: not at all), all in seconds.
    """

    log: LogName
    glass: Handle
    does: Reason
    gates: Annotated[tuple[Handle, ...], Many(64)]
    mints: Annotated[tuple[CardMint, ...], Many(32)]
    tier: Tier
    need: Annotated[int, Between(0, 16)]
    ask_need: Annotated[int, Between(0, 16)]
    factor: Factor
    for_s: Seconds
    wait_s: Annotated[int, Between(0, 3600)]
    silence_s: Annotated[int, Between(0, 3600)]
    ahead_s: Annotated[int, Between(0, 7 * 86_400)]
    people: PeopleRoot
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


def check_card_people(card: Card, people: PeopleList) -> None:
    """Check a card against its whole list, where that is at hand: with maintainers, in the fold.

    Raises:
        MalformedError: the list is another one, has a right that no card gives, or too few people
            who approve; or ``shared_key`` and a shared name among people and machines.
    """
    if people.root != card.people:
        raise MalformedError(f"card of {card.glass!r}: the list is not the one it names")
    for person in people.by_name.values():
        if not person.may or not CARD_RIGHTS.issuperset(person.may):
            raise MalformedError(
                f"card of {card.glass!r}: {person.who!r} may break, approve, review"
            )
    if people.by_name.keys() & card.machines.keys():
        raise MalformedError(f"card of {card.glass!r}: a machine is named as a person is")
    check_keys({**_keys(people.by_name), **_machine_keys(card)}, f"card of {card.glass!r}")
    _check_enough(card, people)


def _check_enough(card: Card, people: PeopleList) -> None:
    needed = max(card.need, card.ask_need)
    breakers, approvers = people.who_may(May.BREAK), people.who_may(May.APPROVE)
    if breakers and all(len(approvers - {each}) < needed for each in breakers):
        raise MalformedError(
            f"card of {card.glass!r}: it takes {needed} approvers and names {len(approvers)}"
        )


def check_carried_people(card: Card, people: Mapping[str, PersonLine]) -> None:
    """Check that no key of these people is another's, or a machine's of the card.

    Raises:
        MalformedError: ``shared_key``.
    """
    check_keys({**_keys(people), **_machine_keys(card)}, f"card of {card.glass!r}")


def _keys(people: Mapping[str, PersonLine]) -> dict[str, tuple[str, ...]]:
    return {name: person.keys for name, person in people.items()}


def _machine_keys(card: Card) -> dict[str, tuple[str, ...]]:
    # No handle holds a space: a machine never hides a person of its name.
    return {f"machine {name}": (machine.key,) for name, machine in card.machines.items()}


def _check_whole(card: Card) -> None:
    if not timedelta(0) < card.expires - card.issued <= LONGEST_LIFE:
        raise MalformedError("card.expires: expected after 'issued', by 92 days at most")
    if list(card.gates) != sorted(set(card.gates)):
        raise MalformedError("card.gates: gates must be sorted, each once")
    if len({mint.minter for mint in card.mints}) != len(card.mints):
        raise MalformedError("card.mints: a minter stands twice")
    for at, mint in enumerate(card.mints):
        check_scope(mint.scope, f"card.mints[{at}].scope")
        for name, act in mint.acts.items():
            if not act.argv[0].startswith("/"):
                raise MalformedError(f"card.mints[{at}].acts.{name}.argv: no absolute path")
    _check_numbers(card)
    if card.tier is Tier.SEALED and (card.gates or card.mints):
        # A sealed glass opens by its custodians' ceremony; a token must not be a way around it.
        raise MalformedError("card.gates: a sealed glass opens no gate and asks no minter")
    for name, machine in card.machines.items():
        asked = card.mint(machine.minter)
        if asked is None:
            raise MalformedError(f"card.machines.{name}.minter: the card asks no such minter")
        if machine.act not in asked.acts:
            raise MalformedError(f"card.machines.{name}.act: that minter has no such act")
    check_keys(_machine_keys(card), "card")


def _check_numbers(card: Card) -> None:
    if card.tier is Tier.TWO and not card.need:
        raise MalformedError("card.need: tier 'two' takes one approver at least")
    if card.ask_need and card.ask_need < max(1, card.need):
        # Else asking would be the cheaper way to what breaking takes more people for.
        raise MalformedError("card.ask_need: 0, or no fewer approvers than 'need'")
    if card.machines and card.need:
        raise MalformedError("card.machines: a machine acts alone; this glass takes approvers")
