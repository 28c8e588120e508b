"""What an approver said of an ask, or that nobody said anything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.records.encoding.text_types import GrantId, RecordId
from breakglass.records.fold.context import Submission, Void, check_first_use, lost_race, word_of
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.record import Kind
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.statement import Answer, Do
from breakglass.strict_json import Many

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


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
    waiting = state.grants.asked.get(body.grant)
    if waiting is None:
        raise Void("no_grant", f"nobody waits for an answer to {body.grant!r}")
    if body.reply is Reply.NOBODY:
        if body.statement is not None:
            raise Void("mismatch", "nobody signs nothing")
        return
    said = word_of(state, body.statement, Answer, stated.at)
    word = said.statement
    do = Do.APPROVE if body.reply is Reply.YES else Do.REFUSE
    if (word.do, word.answers) != (do, waiting.digest) or word.who == waiting.who:
        raise Void("mismatch", "the statement answers something else, or its own signer")
    if state.statements.nonces.get((word.who, word.nonce)) == said.digest:
        raise lost_race("the answer stands already")
    check_first_use(state, word)
    state.statements.nonces[(word.who, word.nonce)] = said.digest


RULE = KindRule(Answered, by=frozenset({"broker"}), judge=judge)
