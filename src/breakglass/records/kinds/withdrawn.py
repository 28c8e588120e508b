"""Somebody takes back what they asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import GrantId
from breakglass.records.fold.ask_rules import end_ask
from breakglass.records.fold.context import (
    Submission,
    Void,
    check_age,
    check_first_use,
    check_not_closed,
    in_force,
    lost_race,
    word_of,
)
from breakglass.records.fold.forgetting import ended_ask, waiting_ask
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.record import Kind
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.statement import Answer, Do

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Withdrawn(Kind):
    """The asker takes an ask back; ``statement`` is their own word, by the ask's digest."""

    kind: ClassVar[str] = "withdrawn"
    grant: GrantId
    statement: Signed | SignedByPasskey


def judge(state: State, stated: Submission) -> None:
    """The asker alone ends an ask that waits, with a word of two days at most."""
    body = stated.body
    check_not_closed(state, body.grant)
    if ended_ask(state, body.grant) is not None or body.grant in state.grants.by_id:
        raise lost_race(f"what was asked for as {body.grant!r} waits no more")
    waiting = waiting_ask(state, body.grant)
    if waiting is None:
        raise Void(ErrorName.NO_GRANT, f"nothing waits as {body.grant!r}")
    said = word_of(state, body.statement, Answer, None, suspended_too=True)
    word = said.statement
    check_age(state, word)
    if word.at > stated.at + in_force(state).skew:
        raise Void(ErrorName.STATEMENT_OLD, "the statement was signed long after the record")
    if (word.do, word.answers, word.who) != (Do.WITHDRAW, waiting.digest, waiting.who):
        raise Void(
            ErrorName.MISMATCH, "the statement takes something else back, or is somebody else's"
        )
    check_first_use(state, word)
    state.statements.use(word, said.digest)
    end_ask(state, body.grant, ErrorName.WITHDRAWN, word.who, stated)


RULE = KindRule(Withdrawn, by=frozenset({"broker"}), judge=judge)
