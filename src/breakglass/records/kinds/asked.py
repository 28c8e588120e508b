"""Somebody asked for a glass: the record, and who may ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.clock import parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.records.encoding.text_types import GrantId, Line, MaybeHandle, Word
from breakglass.records.fold.ask_rules import standing_ask
from breakglass.records.fold.context import (
    Said,
    Submission,
    Void,
    check_nonce,
    check_not_closed,
    check_statement,
    in_force,
    lost_race,
    word_of,
)
from breakglass.records.fold.forgetting import ended_ask, refusal, waiting_ask
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.grants import AskedState
from breakglass.records.grant import Path, path_of
from breakglass.records.kind_sets import SET_2
from breakglass.records.record import Kind
from breakglass.records.signing.signature import (
    STATEMENT_NAMESPACE,
    Factor,
    Signed,
    SignedByPasskey,
    verify_signature,
)
from breakglass.records.statement import AccessRequest, Do, digest_of, grant_id, parse_request
from breakglass.strict_json import Between, Count, Many

if TYPE_CHECKING:
    from breakglass.records.fold.state import State

WAIT_AT_MOST = timedelta(hours=1)  # the most that a card can give


class Outcome(StrEnum):
    """What a decision says."""

    ALLOWED = "allowed"
    NEEDS_APPROVAL = "needs_approval"
    NEEDS_CUSTODIANS = "needs_custodians"
    REFUSED = "refused"


@dataclass(frozen=True)
class Factors:
    """How the person was there: factor class, and the signature's age in seconds."""

    factor: Factor
    age_s: Count
    mfa_down: bool


@dataclass(frozen=True)
class Decided:
    """A decision as written down: outcome, people still needed, and the policies behind it."""

    outcome: Outcome
    need: Annotated[int, Between(0, 16)]
    policies: Annotated[tuple[Word, ...], Many(64)]
    why: Annotated[tuple[Line, ...], Many(16)]


@dataclass(frozen=True)
class Asked(Kind):
    """Somebody asked for a glass; written whatever comes of it.

    ``from_`` (written ``from``) is the bundle's name of the network that the broker saw, or empty.
    """

    kind: ClassVar[str] = "asked"
    grant: GrantId
    path: Path
    statement: Signed | SignedByPasskey
    from_: MaybeHandle
    factors: Factors
    decision: Decided


def judge(state: State, stated: Submission) -> None:
    """Somebody asked; the grant waits for its intent until the card's wait is over."""
    said = asking(state, stated)
    grant = stated.body.grant
    check_not_closed(state, grant)
    known = (waiting_ask(state, grant), ended_ask(state, grant), refusal(state, grant))
    if grant in state.grants.by_id or any(each is not None for each in known):
        raise lost_race(f"grant {grant!r} was asked for already")
    word = said.statement
    if word.do is Do.ASK and (other := standing_ask(state, word.who, word.glass, stated)):
        # Else one stolen key, or a stolen broker, could page everybody until somebody says yes.
        raise Void(
            ErrorName.ASKED_ALREADY,
            f"{word.who!r} waits for an answer for {word.glass!r} already, since entry"
            f" {other.index}",
            quiet=stated.witnessed - other.seen <= in_force(state).skew,
        )
    active = state.governance.cards.get(word.glass)
    wait = timedelta(seconds=active.card.wait_s) if active else WAIT_AT_MOST
    until = word.at + max(wait, in_force(state).skew)
    if word.starts and in_force(state).kinds >= SET_2:
        # What would have begun before it was granted is never granted (docs/spec/token.md).
        until = min(until, parse_time(word.starts))
    state.statements.use(word, said.digest)
    state.grants.asked[grant] = AskedState(
        stated.entry.index,
        stated.at,
        word.who,
        word.glass,
        said.digest,
        until,
        word,
        stated.witnessed,
        stated.body.statement,
        network=stated.body.from_,
    )
    if word.do is Do.ASK:
        state.grants.last_ask[(word.who, word.glass)] = grant


def asking(state: State, stated: Submission) -> Said[AccessRequest]:
    """Check what ``asked`` and ``refused`` share: the asker's word, the grant's id, the factor.

    Raises:
        Void: ``wrong_id``, ``mismatch`` or ``nonce``; or as ``word_of``.
        RefusedError: ``unknown_person``.
    """
    body = stated.body
    said = parse_request(body.statement.text)
    if said.do is Do.MACHINE:
        active = state.governance.cards.get(said.glass)
        machine = active.card.machines.get(said.who) if active else None
        if machine is None:
            raise RefusedError(f"no card names machine {said.who!r}", name=ErrorName.UNKNOWN_PERSON)
        verify_signature(body.statement, [machine.key], STATEMENT_NAMESPACE)
        check_statement(state, said, stated.at)
        word = Said(said, digest_of(body.statement.text), Factor.ONE)
    else:
        word = word_of(state, body.statement, type(said), stated.at, suspended_too=True)
    if grant_id(body.statement.text) != body.grant:
        raise Void(ErrorName.WRONG_ID, "the grant's id does not follow from the statement")
    if body.path is not path_of(said):
        raise Void(ErrorName.MISMATCH, "the record's path does not follow from the statement")
    if not word.factor.meets(body.factors.factor):
        raise Void(
            ErrorName.MISMATCH, "the record claims a stronger factor than the signature shows"
        )
    check_nonce(state, said, word.digest)
    return word


RULE = KindRule(Asked, by=frozenset({"broker"}), judge=judge)
