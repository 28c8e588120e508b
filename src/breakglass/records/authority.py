"""Whether a card, an intent and its statements fit together: the rules that token and fold share.

Each function checks one line of the token's verification order (docs/spec/token.md) and raises by
the name that the specification gives. Nothing here looks at proofs, and only ``check_card`` at a
clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError, UnprovenError
from breakglass.records.card import (
    Card,
    CardMachine,
    card_digest,
    check_carried_people,
    parse_card,
)
from breakglass.records.grant import handle_of
from breakglass.records.people_list import CarriedLine, May, PersonLine, prove_carried
from breakglass.records.record import Envelope
from breakglass.records.signing.person_key import key_identity
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    STATEMENT_NAMESPACE,
    Factor,
    Signature,
    people_who_signed,
    verify_signature,
)
from breakglass.records.statement import (
    AccessRequest,
    Answer,
    Countersign,
    Do,
    Statement,
    digest_of,
    parse_of_one,
    parse_request,
    parse_statement,
)
from breakglass.records.trust import Trust
from breakglass.tlog.note import Note

if TYPE_CHECKING:
    from breakglass.records.kinds.intent import Intent

DOOR_WAIT = timedelta(hours=1)  # between a door statement, its custodians and the intent


@dataclass(frozen=True)
class Asking:
    """The first statement, checked, with how strongly each person of the card was there.

    ``newest`` is when the last of these people signed, ``countersigned`` the custodians'
    statements that stand behind them, which ``check_custodians`` looks at.
    """

    statement: AccessRequest
    digest: str
    factors: dict[str, Factor]
    newest: datetime
    countersigned: tuple[Signature, ...] = ()


def check_card(note: Note, trust: Trust, now: datetime) -> Card:
    """Believe a card: signed by the threshold of maintainers, in force, of a log that we trust.

    Raises:
        MalformedError: not a card.
        UnprovenError: ``card_signatures``, ``card_version`` (below ``policy-at-least``) or
            ``card_log``.
        RefusedError: ``card_expired``.
    """
    signed = people_who_signed(note, trust.maintainers, CARD_NAMESPACE)
    if len(signed) < trust.maintainers_needed:
        raise UnprovenError(
            f"{len(signed)} of {trust.maintainers_needed} maintainers signed the card",
            name=ErrorName.CARD_SIGNATURES,
        )
    card = parse_card(note)  # what nobody signed is not worth reading
    if now > card.expires:
        raise RefusedError(
            f"card of {card.glass!r} expired {card.expires:%Y-%m-%d %H:%M:%S} UTC",
            name=ErrorName.CARD_EXPIRED,
            hint="ask a maintainer for new cards: breakglass policy renew",
        )
    if card.version < trust.policy_at_least:
        raise UnprovenError(
            f"card of {card.glass!r} is of policy {card.version},"
            f" {trust.policy_at_least} at least is trusted",
            name=ErrorName.CARD_VERSION,
        )
    if not trust.names_log(card.log):
        raise UnprovenError(
            f"card names log {card.log!r}, which is not trusted", name=ErrorName.CARD_LOG
        )
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
        raise UnprovenError("the intent names another card", name=ErrorName.WRONG_CARD)
    if envelope.log != card.log:
        raise UnprovenError(
            f"the intent is of log {envelope.log!r}, the card of {card.log!r}",
            name=ErrorName.WRONG_LOG,
        )
    if intent.policy != card.policy:
        raise UnprovenError(
            "the intent is of another policy than the card", name=ErrorName.WRONG_POLICY
        )
    if envelope.id != f"{intent.grant}/intent" or intent.handle != handle_of(intent.grant):
        raise UnprovenError(
            "the intent's ids do not follow from its grant", name=ErrorName.WRONG_ID
        )


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
        if name not in intent.gates or name not in card.gates or intent.holder == "":
            raise RefusedError(
                f"glass {intent.glass!r} does not open gate {name!r}",
                name=ErrorName.WRONG_GATE,
                hint=f"it opens: {', '.join(intent.gates) or 'no gate'}",
            )
    elif kind != "minter" or intent.minter != name or card.mint(name) is None:
        raise RefusedError(
            f"grant {intent.grant!r} is not for minter {name!r}", name=ErrorName.WRONG_MINTER
        )


def check_people(carried: tuple[CarriedLine, ...], card: Card) -> dict[str, PersonLine]:
    """Believe the lines that a token carries: each is one of the card's list, no key is shared.

    Raises:
        MalformedError: a line that is none, or ``shared_key`` among these people and the machines.
        UnprovenError: ``person_unproven``.
    """
    people = prove_carried(carried, card.people)
    check_carried_people(card, people)
    return people


def check_people_signed(people: Mapping[str, PersonLine], asking: Asking) -> None:
    """Refuse a line of somebody who signed nothing: a token names nobody without need.

    Raises:
        MalformedError: ``people_malformed``.
    """
    if idle := sorted(people.keys() - asking.factors.keys()):
        raise MalformedError(
            f"the token carries a line of {idle[0]!r}, who signed nothing",
            name=ErrorName.PEOPLE_MALFORMED,
        )


def check_statements(intent: Intent, card: Card, people: Mapping[str, PersonLine]) -> Asking:
    """Check every person's signature, each in turn: the right keys, distinct people, enough.

    Args:
        intent: as read.
        card: as checked.
        people: those of the card's list that are at hand, at least whoever signed.

    Raises:
        MalformedError: a statement is not one.
        UnprovenError: ``no_statement``, ``foreign_key``, ``signature``, ``namespace``,
            ``presence``, ``wrong_do``, ``wrong_answer`` (an approval of another statement) or
            ``wrong_log``.
        RefusedError: ``unknown_person``, ``weak_factor``, ``same_person``, ``too_few_people``,
            ``wrong_minter`` or ``wrong_act`` (both of a machine).
    """
    if not intent.statements:
        raise UnprovenError("the intent carries no person's statement", name=ErrorName.NO_STATEMENT)
    first, *others = intent.statements
    said = _parse_first(first, card)
    digest = digest_of(first.text)
    if said.do is Do.MACHINE:
        verify_signature(first, [_machine(card, said).key], STATEMENT_NAMESPACE)
        if others:
            raise UnprovenError(
                "nobody approves a machine; its policy does", name=ErrorName.WRONG_DO
            )
        return Asking(said, digest, {}, said.at)
    factors = {said.who: check_person(card, people, said.who, May.BREAK, first)}
    newest = said.at
    for place, signed in enumerate(others):
        answer = _parse_behind(signed, said.do)
        if isinstance(answer, Countersign):
            _check_all_countersign(others[place:])
            countersigned = tuple(others[place:])
            break
        factor = check_person(card, people, answer.who, May.APPROVE, signed)
        _check_answers(answer, digest, card)
        if answer.who in factors:
            raise RefusedError(
                f"{answer.who!r} stands twice in one intent", name=ErrorName.SAME_PERSON
            )
        factors[answer.who] = factor
        newest = max(newest, answer.at)
    else:
        countersigned = ()
    need = card.ask_need if said.do is Do.ASK else card.need
    if len(factors) < 1 + need:
        raise RefusedError(
            f"{len(factors) - 1} of {need} approvals are there", name=ErrorName.TOO_FEW_PEOPLE
        )
    return Asking(said, digest, factors, newest, countersigned)


def check_custodians(
    intent: Intent, at: datetime, asking: Asking, people: Mapping[str, PersonLine], trust: Trust
) -> tuple[str, ...]:
    """Check the custodians' door: enough of them countersigned, lately, and each of them holds.

    Nobody counts who is holder or approver, under whatever name: people are told apart by their
    names and by their keys.

    Args:
        intent: as read; it names the card that custodians must have seen.
        at: the intent's own time.
        asking: as checked.
        people: whose lines the signers of ``asking`` are.
        trust: whom we believe.

    Returns:
        The custodians, in the order in which they stand.

    Raises:
        MalformedError: a statement is not one.
        UnprovenError: ``wrong_do``, ``foreign_key`` and the like, ``wrong_answer``, ``wrong_card``,
            ``wrong_log``, ``statement_old`` or ``custodians`` (too few).
        RefusedError: ``door`` (this trust file accepts none), ``unknown_person`` or
            ``same_person``.
    """
    if not trust.door:
        raise RefusedError(
            "this trust file does not accept the custodians' door", name=ErrorName.DOOR
        )
    if asking.statement.do is not Do.DOOR:
        raise UnprovenError(
            "the door takes a statement of its own: 'do: door'", name=ErrorName.WRONG_DO
        )
    involved = {key_identity(key) for who in asking.factors for key in people[who].keys}
    found: dict[str, datetime] = {}
    for signed in asking.countersigned:
        said = parse_statement(signed.text)
        assert isinstance(said, Countersign), "check_statements has looked"
        keys = trust.custodians.get(said.who, ())
        if not keys:
            raise RefusedError(f"{said.who!r} is no custodian", name=ErrorName.UNKNOWN_PERSON)
        verify_signature(signed, keys, STATEMENT_NAMESPACE)
        _check_countersign(said, intent, asking)
        if said.who in found or said.who in asking.factors:
            raise RefusedError(
                f"{said.who!r} stands twice in one intent", name=ErrorName.SAME_PERSON
            )
        if not involved.isdisjoint(map(key_identity, keys)):
            raise RefusedError(
                f"custodian {said.who!r} has a key of somebody who asks or approves here",
                name=ErrorName.SAME_PERSON,
            )
        found[said.who] = said.at
    if len(found) < trust.custodians_needed:
        raise UnprovenError(
            f"{len(found)} of {trust.custodians_needed} custodians signed",
            name=ErrorName.CUSTODIANS,
        )
    if not at - DOOR_WAIT <= max(found.values()) or max(found.values()) > at + trust.skew:
        raise UnprovenError(
            f"the newest custodian signed at {max(found.values()):%H:%M:%S}, the intent was written"
            f" at {at:%H:%M:%S}; one hour at most lies between",
            name=ErrorName.STATEMENT_OLD,
        )
    return tuple(found)


def eligible_custodians(
    asking: Asking, people: Mapping[str, PersonLine], trust: Trust
) -> list[str]:
    """Return the custodians who may sign for this asking, by their names and by their keys."""
    involved = {key_identity(key) for who in asking.factors for key in people[who].keys}
    return [
        name
        for name, keys in trust.custodians.items()
        if name not in asking.factors and involved.isdisjoint(map(key_identity, keys))
    ]


def check_person(
    card: Card, people: Mapping[str, PersonLine], who: str, may: May, signed: Signature
) -> Factor:
    """Check that the card's list gives ``who`` this right and the key that signed, strongly enough.

    Raises:
        RefusedError: ``unknown_person`` or ``weak_factor``.
        UnprovenError: see ``verify_signature``.
    """
    person = people.get(who)
    if person is None or may not in person.may:
        raise RefusedError(
            f"{who!r} may not {may.value} glass {card.glass!r}", name=ErrorName.UNKNOWN_PERSON
        )
    factor = verify_signature(signed, person.keys, STATEMENT_NAMESPACE)
    if not factor.meets(card.factor):
        raise RefusedError(
            f"{who!r} signed with factor {factor.value!r}; glass {card.glass!r} asks for"
            f" {card.factor.value!r}",
            name=ErrorName.WEAK_FACTOR,
            hint="sign with your security key and touch it",
        )
    return factor


def _parse_first(signed: Signature, card: Card) -> AccessRequest:
    try:
        said = parse_request(signed.text)
    except MalformedError as error:
        if error.name != ErrorName.WRONG_DO:
            raise
        raise UnprovenError(
            "the first statement asks for no glass: ask, break, door or machine",
            name=ErrorName.WRONG_DO,
        ) from error
    if said.do is Do.ASK and not card.ask_need:
        raise UnprovenError(
            f"glass {card.glass!r} cannot be asked for: it is broken, or not",
            name=ErrorName.WRONG_DO,
        )
    return said


def _parse_behind(signed: Signature, first: Do) -> Answer | Countersign:
    said = parse_of_one(signed.text)
    if isinstance(said, Countersign) and first is Do.DOOR:
        return said
    if said.do is not Do.APPROVE or not isinstance(said, Answer):
        raise UnprovenError(
            f"a statement behind the first says {said.do.value!r}, not 'approve'",
            name=ErrorName.WRONG_DO,
        )
    return said


def _check_all_countersign(others: list[Signature]) -> None:
    for signed in others:
        said: Statement = parse_of_one(signed.text)
        if not isinstance(said, Countersign):
            raise UnprovenError(
                f"a statement behind a custodian's says {said.do.value!r}, not 'countersign'",
                name=ErrorName.WRONG_DO,
            )


def _check_answers(said: Answer | Countersign, digest: str, card: Card) -> None:
    if said.answers != digest:
        raise UnprovenError("an approval answers another statement", name=ErrorName.WRONG_ANSWER)
    if said.log != card.log:
        raise UnprovenError("an approval is of another log", name=ErrorName.WRONG_LOG)


def _check_countersign(said: Countersign, intent: Intent, asking: Asking) -> None:
    if said.answers != asking.digest:
        raise UnprovenError("a custodian answers another statement", name=ErrorName.WRONG_ANSWER)
    if said.card != intent.card:
        raise UnprovenError("a custodian saw another card", name=ErrorName.WRONG_CARD)
    if said.log != asking.statement.log:
        raise UnprovenError("a custodian's statement is of another log", name=ErrorName.WRONG_LOG)


def _machine(card: Card, said: AccessRequest) -> CardMachine:
    machine = card.machines.get(said.who)
    if machine is None:
        raise RefusedError(
            f"card of {card.glass!r} names no machine {said.who!r}", name=ErrorName.UNKNOWN_PERSON
        )
    if machine.minter != said.minter:
        raise RefusedError(
            f"machine {said.who!r} acts through minter {machine.minter!r}, not {said.minter!r}",
            name=ErrorName.WRONG_MINTER,
        )
    if machine.act != said.act:
        raise RefusedError(
            f"machine {said.who!r} may have {machine.act!r} run, not {said.act!r}",
            name=ErrorName.WRONG_ACT,
        )
    return machine
