"""What an approver said of an ask, or that nobody said anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.records.encoding.text_types import GrantId, RecordId
from breakglass.records.fold.ask_rules import end_ask, may_approve, void_of
from breakglass.records.fold.context import (
    Submission,
    Void,
    check_first_use,
    check_not_closed,
    lost_race,
    word_of,
)
from breakglass.records.fold.forgetting import ended_ask, used_by, waiting_ask
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.grants import AnswerState, AskedState
from breakglass.records.record import Kind
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.statement import Answer, Do
from breakglass.strict_json import Many

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


SILENCE_AT_MOST = timedelta(hours=1)  # the most that a card can ask


class Reply(StrEnum):
    """What an approver said."""

    YES = "yes"
    NO = "no"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Answered(Kind):
    """An approver answered with a signed statement, or nobody did: ``pages`` cites the alerts."""

    kind: ClassVar[str] = "answered"
    grant: GrantId
    reply: Reply
    statement: Signed | SignedByPasskey | None
    pages: Annotated[tuple[RecordId, ...], Many(64)]


def judge(state: State, stated: Submission) -> None:
    """An approver answered the asker's statement, or nobody did."""
    body = stated.body
    ended = ended_ask(state, body.grant)
    if ended is not None:
        raise void_of(ended, quiet=True)
    waiting = waiting_ask(state, body.grant)
    if waiting is None:
        check_not_closed(state, body.grant)
        if body.grant in state.grants.by_id:
            # Another broker heard somebody else, and that was enough.
            raise lost_race(f"what was asked for as {body.grant!r} is granted already")
        raise Void(ErrorName.NO_GRANT, f"nobody waits for an answer to {body.grant!r}")
    if body.reply is Reply.NOBODY:
        _check_silence(state, waiting, stated)
        state.grants.asked[body.grant] = replace(waiting, silent=True)
        return
    said = word_of(state, body.statement, Answer, stated.at)
    word = said.statement
    do = Do.APPROVE if body.reply is Reply.YES else Do.REFUSE
    if (word.do, word.answers) != (do, waiting.digest) or word.who == waiting.who:
        raise Void(ErrorName.MISMATCH, "the statement answers something else, or its own signer")
    if not may_approve(state, waiting.glass, word.who):
        raise RefusedError(
            f"{word.who!r} may not approve glass {waiting.glass!r}", name=ErrorName.UNKNOWN_PERSON
        )
    if used_by(state, word) == said.digest:
        raise lost_race("the answer already exists")
    check_first_use(state, word)
    state.statements.use(word, said.digest)
    yes = body.reply is Reply.YES
    answer = AnswerState(word.who, yes, stated.entry.index, stated.witnessed, body.statement)
    state.grants.asked[body.grant] = replace(waiting, answers=(*waiting.answers, answer))
    if not yes:
        end_ask(state, body.grant, ErrorName.REFUSED_BY_APPROVER, word.who, stated)


def _check_silence(state: State, waiting: AskedState, stated: Submission) -> None:
    """Check that approvers were called, and for long enough, and that none of them answered."""
    body, active = stated.body, state.governance.cards.get(waiting.glass)
    if body.statement is not None:
        raise Void(ErrorName.MISMATCH, "nobody signs nothing")
    if waiting.answers:
        # A broker whose view lags may not know of it yet.
        raise Void(ErrorName.ANSWERED_ALREADY, f"{waiting.answers[0].who!r} answered", quiet=True)
    if not body.pages or not set(body.pages) <= waiting.pages:
        raise Void(ErrorName.NOT_PAGED, "the record cites no pages that reached who may approve")
    silence = timedelta(seconds=active.card.silence_s) if active else SILENCE_AT_MOST
    if stated.witnessed - waiting.seen < silence:
        raise Void(ErrorName.DID_NOT_WAIT, f"less than {silence.total_seconds():.0f} s have passed")


RULE = KindRule(Answered, by=frozenset({"broker"}), judge=judge)
