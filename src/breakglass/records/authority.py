"""Whether a card, an intent and its statements fit together: the rules that token and fold share.

Each function checks one line of the token's verification order (docs/spec/token.md) and raises by
the name that the specification gives. Nothing here looks at proofs, and only ``check_card`` at a
clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from breakglass.errors import RefusedError, UnprovenError
from breakglass.records.card import Card, CardMachine, May, Tier, card_digest, parse_card
from breakglass.records.grant import handle_of
from breakglass.records.record import Envelope
from breakglass.records.signing.person_key import key_identity
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    DOOR_NAMESPACE,
    STATEMENT_NAMESPACE,
    Factor,
    Signature,
    people_who_signed,
    verify_signature,
)
from breakglass.records.statement import (
    Answer,
    Break,
    Do,
    digest_of,
    parse_statement,
)
from breakglass.records.trust import Trust
from breakglass.tlog.note import Note

if TYPE_CHECKING:
    from breakglass.records.kinds.intent import Intent


@dataclass(frozen=True)
class Asking:
    """The breaker's statement, checked, with how strongly each person was there."""

    statement: Break
    digest: str
    factors: dict[str, Factor]


def check_card(note: Note, trust: Trust, now: datetime) -> Card:
    """Believe a card: signed by the threshold of maintainers, in force, of a log that we trust.

    Raises:
        MalformedError: not a card.
        UnprovenError: ``card_signatures``, ``card_version`` (below ``policy-at-least``) or
            ``card_log``.
        RefusedError: ``card_expired``.
    """
    card = parse_card(note)
    signed = people_who_signed(note, trust.maintainers, CARD_NAMESPACE)
    if len(signed) < trust.maintainers_needed:
        raise UnprovenError(
            f"card of {card.glass!r}: {len(signed)} of {trust.maintainers_needed}"
            " maintainers signed",
            name="card_signatures",
        )
    if now > card.expires:
        raise RefusedError(
            f"card of {card.glass!r} expired {card.expires:%Y-%m-%d %H:%M:%S} UTC",
            name="card_expired",
            hint="ask a maintainer to activate the policy again: breakglass policy activate",
        )
    if card.version < trust.policy_at_least:
        raise UnprovenError(
            f"card of {card.glass!r} is of policy {card.version},"
            f" {trust.policy_at_least} at least is trusted",
            name="card_version",
        )
    if not trust.names_log(card.log):
        raise UnprovenError(f"card names log {card.log!r}, which is not trusted", name="card_log")
    return card


def check_intent_names(intent: Intent, envelope: Envelope, card: Card, note: Note) -> None:
    """Check that the intent is one of this card and this log.

    Args:
        intent: as read.
        envelope: the intent's.
        card: as checked.
        note: the card's note, whose digest the intent must name.

    Raises:
        UnprovenError: ``wrong_card``, ``wrong_log``, ``wrong_policy`` or ``wrong_id``.
    """
    if intent.card != card_digest(note) or intent.glass != card.glass or intent.tier != card.tier:
        raise UnprovenError("the intent names another card", name="wrong_card")
    if envelope.log != card.log:
        raise UnprovenError(
            f"the intent is of log {envelope.log!r}, the card of {card.log!r}", name="wrong_log"
        )
    if intent.policy != card.policy:
        raise UnprovenError("the intent is of another policy than the card", name="wrong_policy")
    if envelope.id != f"{intent.grant}/intent" or intent.handle != handle_of(intent.grant):
        raise UnprovenError("the intent's ids do not follow from its grant", name="wrong_id")


def check_door(intent: Intent, card: Card, door: str) -> None:
    """Check that intent and card both name the gate or minter that is asked.

    Args:
        intent: as read.
        card: as checked.
        door: ``gate:NAME`` or ``minter:NAME``.

    Raises:
        RefusedError: ``wrong_gate`` or ``wrong_minter``.
    """
    kind, _, name = door.partition(":")
    if kind == "gate":
        machine = card.tier is Tier.MACHINE or intent.holder == ""
        if name not in intent.gates or name not in card.gates or machine:
            raise RefusedError(
                f"glass {intent.glass!r} does not open gate {name!r}",
                name="wrong_gate",
                hint=f"it opens: {', '.join(intent.gates) or 'no gate'}",
            )
    elif kind != "minter" or intent.minter != name or card.mint(name) is None:
        raise RefusedError(
            f"grant {intent.grant!r} is not for minter {name!r}", name="wrong_minter"
        )


def check_statements(intent: Intent, card: Card) -> Asking:
    """Check every person's signature: the right keys, distinct people, enough of them.

    Raises:
        MalformedError: a statement is not one.
        UnprovenError: ``no_statement``, ``foreign_key``, ``signature``, ``namespace``,
            ``presence``, ``wrong_do`` or ``wrong_answer`` (an approval of another statement).
        RefusedError: ``unknown_person``, ``weak_factor``, ``same_person``, ``too_few_people`` or
            ``wrong_minter`` (of a machine).
    """
    if not intent.statements:
        raise UnprovenError("the intent carries no person's statement", name="no_statement")
    first, *others = intent.statements
    statement = _parse_breaking(first)
    digest = digest_of(first.text)
    if statement.do is Do.MACHINE:
        machine = _machine(card, statement)
        verify_signature(first, [machine.key], STATEMENT_NAMESPACE)
        if others:
            raise UnprovenError("nobody approves a machine; its policy does", name="wrong_do")
        return Asking(statement, digest, {})
    if card.tier is Tier.MACHINE:
        raise UnprovenError("this glass is for machines alone", name="wrong_do")
    factors = {statement.who: check_person(card, statement.who, May.BREAK, first)}
    for signed in others:
        answer = _parse_approval(signed)
        if answer.answers != digest:
            raise UnprovenError("an approval answers another statement", name="wrong_answer")
        if answer.log != card.log:
            raise UnprovenError("an approval is of another log", name="wrong_log")
        if answer.who in factors:
            raise RefusedError(f"{answer.who!r} stands twice in one intent", name="same_person")
        factors[answer.who] = check_person(card, answer.who, May.APPROVE, signed)
    if len(factors) < 1 + card.need:
        raise RefusedError(
            f"{len(factors) - 1} of {card.need} approvals are there", name="too_few_people"
        )
    return Asking(statement, digest, factors)


def check_custodians(note: Note, asking: Asking, card: Card, trust: Trust) -> None:
    """Check the custodians' door: enough of them signed the intent, and nobody else did.

    Nobody counts who is holder or approver, under whatever name: people are told apart by their
    names and by their keys.

    Args:
        note: the intent's note, with its broker's line already checked.
        asking: as checked.
        card: as checked.
        trust: whom we believe.

    Raises:
        UnprovenError: ``wrong_do``, ``custodians``, ``extra_lines``, or as ``people_who_signed``.
        RefusedError: ``door``; this trust file accepts no door.
    """
    if not trust.door:
        raise RefusedError("this trust file does not accept the custodians' door", name="door")
    if asking.statement.do is not Do.DOOR:
        raise UnprovenError("the door takes a statement of its own: 'do: door'", name="wrong_do")
    outside = custodians_who_signed(note, asking, card, trust)
    if len(outside) < trust.custodians_needed:
        raise UnprovenError(
            f"{len(outside)} of {trust.custodians_needed} custodians signed", name="custodians"
        )
    if len(note.lines) != 1 + len(people_who_signed(note, trust.custodians, DOOR_NAMESPACE)):
        raise UnprovenError("the intent carries a line that nobody knows", name="extra_lines")


def custodians_who_signed(note: Note, asking: Asking, card: Card, trust: Trust) -> list[str]:
    """Return the custodians whose lines count: nobody who is holder or approver, by name or key.

    Raises:
        UnprovenError: a custodian's line does not hold.
    """
    signed = people_who_signed(note, trust.custodians, DOOR_NAMESPACE)
    return [name for name in signed if name in eligible_custodians(asking, card, trust)]


def eligible_custodians(asking: Asking, card: Card, trust: Trust) -> list[str]:
    """Return the custodians who may sign for this asking, by their names and by their keys."""
    involved = {key_identity(key) for who in asking.factors for key in card.people[who].keys}
    return [
        name
        for name, keys in trust.custodians.items()
        if name not in asking.factors and involved.isdisjoint(map(key_identity, keys))
    ]


def check_person(card: Card, who: str, may: May, signed: Signature) -> Factor:
    """Check that the card gives ``who`` this right and the key that signed, strongly enough.

    Raises:
        RefusedError: ``unknown_person`` or ``weak_factor``.
        UnprovenError: see ``verify_signature``.
    """
    person = card.people.get(who)
    if person is None or may not in person.may:
        raise RefusedError(
            f"{who!r} may not {may.value} glass {card.glass!r}", name="unknown_person"
        )
    factor = verify_signature(signed, person.keys, STATEMENT_NAMESPACE)
    if not factor.meets(card.factor):
        raise RefusedError(
            f"{who!r} signed with factor {factor.value!r}; glass {card.glass!r} asks for"
            f" {card.factor.value!r}",
            name="weak_factor",
            hint="sign with your security key and touch it",
        )
    return factor


def _parse_breaking(signed: Signature) -> Break:
    statement = parse_statement(signed.text)
    if not isinstance(statement, Break):
        raise UnprovenError(
            f"the first statement says {statement.do.value!r}, not 'break'", name="wrong_do"
        )
    return statement


def _parse_approval(signed: Signature) -> Answer:
    statement = parse_statement(signed.text)
    if statement.do is not Do.APPROVE or not isinstance(statement, Answer):
        raise UnprovenError(
            f"a statement behind the first says {statement.do.value!r}, not 'approve'",
            name="wrong_do",
        )
    return statement


def _machine(card: Card, said: Break) -> CardMachine:
    machine = card.machines.get(said.who)
    if machine is None:
        raise RefusedError(
            f"card of {card.glass!r} names no machine {said.who!r}", name="unknown_person"
        )
    if machine.minter != said.minter:
        raise RefusedError(
            f"machine {said.who!r} acts through minter {machine.minter!r}, not {said.minter!r}",
            name="wrong_minter",
        )
    return machine
