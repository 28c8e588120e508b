"""Whether a card, an intent and its statements fit together: the rules that token and fold share.

Each function checks one line of the token's verification order (docs/spec/token.md) and raises by
the name that the specification gives. Nothing here looks at proofs, and only ``check_card`` at a
clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.errors import MalformedError, RefusedError, UnprovenError
from breakglass.records.card import Card, CardMachine, May, Tier, card_digest, parse_card
from breakglass.records.kinds.grants import Intent, handle_of
from breakglass.records.record import Envelope
from breakglass.records.signing import (
    CARD_NAMESPACE,
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
    grant_id,
    parse_as,
    parse_statement,
)
from breakglass.records.trust import Trust
from breakglass.tlog.note import Note


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
        RefusedError: ``unknown_person``, ``weak_factor``, ``same_person`` or ``too_few_people``.
    """
    if not intent.statements:
        raise UnprovenError("the intent carries no person's statement", name="no_statement")
    first, *others = intent.statements
    statement = _parse_breaking(first)
    digest = digest_of(first.text)
    if statement.do is Do.MACHINE:
        machine = _machine(card, statement.who)
        verify_signature(first, [machine.key], STATEMENT_NAMESPACE)
        return Asking(statement, digest, {})
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


def check_terms(intent: Intent, at: datetime, asking: Asking, card: Card, skew: timedelta) -> None:
    """Check that the intent is what the breaker asked, within the card, and not too late.

    Args:
        intent: as read.
        at: the intent's own time.
        asking: what ``check_statements`` returned.
        card: as checked.
        skew: how far two clocks may be apart.

    Raises:
        UnprovenError: ``intent_mismatch``, ``scope_widened``, ``life_lengthened``,
            ``statement_old`` or ``waited_too_long``.
    """
    said = asking.statement
    _check_equal(intent, said, card)
    _check_scope(said, card)
    if not set(intent.gates) <= set(card.gates):
        raise UnprovenError("the intent opens gates that the card does not", name="scope_widened")
    longest = timedelta(seconds=min(said.for_s, card.for_s))
    if not at - skew <= intent.not_before < intent.not_after <= at + longest:
        raise UnprovenError(
            f"the intent's life is longer than the {longest.total_seconds():.0f} s that were asked"
            " and may be given",
            name="life_lengthened",
        )
    times = [said.at, *(parse_as(Answer, each.text).at for each in intent.statements[1:])]
    if abs(at - max(times)) > skew:
        raise UnprovenError(
            f"the newest statement was signed at {max(times):%H:%M:%S}, the intent written at"
            f" {at:%H:%M:%S}; {skew.total_seconds():.0f} s may lie between",
            name="statement_old",
            hint="ask again; a statement is good for two minutes",
        )
    if at > said.at + max(timedelta(seconds=card.wait_s), skew):
        raise UnprovenError(
            f"the intent came more than {card.wait_s} s after the statement", name="waited_too_long"
        )


def _check_equal(intent: Intent, said: Break, card: Card) -> None:
    text = intent.statements[0].text
    pairs = {
        "grant": (intent.grant, grant_id(text)),
        "glass": (intent.glass, said.glass),
        "who": (intent.who, said.who),
        "incident": (intent.incident, said.incident),
        "minter": (intent.minter, said.minter),
        "scope": (dict(intent.scope), dict(said.scope)),
        "holder": (intent.holder, said.holder),
        "policy": (intent.policy, said.policy),
        "drill": (intent.path.value == "drill", said.drill),
    }
    for name, (got, wanted) in pairs.items():
        if got != wanted:
            raise UnprovenError(
                f"the intent's {name} is not what {said.who!r} signed", name="intent_mismatch"
            )
    if said.log != card.log:
        raise UnprovenError("the statement is of another log", name="wrong_log")


def _check_scope(said: Break, card: Card) -> None:
    if not said.minter:
        if said.scope:
            raise UnprovenError("a scope without a minter", name="scope_widened")
        return
    mint = card.mint(said.minter)
    if mint is None:
        raise UnprovenError(f"the card names no minter {said.minter!r}", name="scope_widened")
    if set(said.scope) != set(mint.scope):
        raise UnprovenError("the scope has other dimensions than the card", name="scope_widened")
    for dimension, values in said.scope.items():
        beyond = sorted(set(values) - set(mint.scope[dimension]))
        if beyond:
            raise UnprovenError(
                f"{dimension} {beyond[0]!r} is not on the card of {card.glass!r}",
                name="scope_widened",
            )


def _parse_breaking(signed: Signature) -> Break:
    statement = parse_statement(signed.text)
    if not isinstance(statement, Break):
        raise UnprovenError(
            f"the first statement says {statement.do.value!r}, not 'break'", name="wrong_do"
        )
    if (statement.do is Do.MACHINE) != (statement.holder == ""):
        raise MalformedError("statement.holder: every breaker but a machine holds a key")
    return statement


def _parse_approval(signed: Signature) -> Answer:
    statement = parse_statement(signed.text)
    if statement.do is not Do.APPROVE or not isinstance(statement, Answer):
        raise UnprovenError(
            f"a statement behind the first says {statement.do.value!r}, not 'approve'",
            name="wrong_do",
        )
    return statement


def _machine(card: Card, name: str) -> CardMachine:
    machine = card.machines.get(name)
    if machine is None:
        raise RefusedError(
            f"card of {card.glass!r} names no machine {name!r}", name="unknown_person"
        )
    return machine
