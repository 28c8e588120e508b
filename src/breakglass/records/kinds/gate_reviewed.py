"""What the review of a gate decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Handle, Reason
from breakglass.records.fold.context import Submission, Void, check_first_use, word_of
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.record import Kind
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.statement import GateVerdict, ReviewGate

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class GateReviewed(Kind):
    """A gate review decided something: the fields of the statement that ``by`` signed."""

    kind: ClassVar[str] = "gate_reviewed"
    gate: Handle
    verdict: GateVerdict
    decision: Reason
    look_again: datetime
    by: Handle
    statement: Signed | SignedByPasskey


def judge(state: State, stated: Submission) -> None:
    """A person said what the look at a gate decided; the monitor repeats it word for word."""
    body = stated.body
    said = word_of(state, body.statement, ReviewGate, stated.at)
    word = said.statement
    wanted = (word.gate, word.verdict, word.decision, word.look_again, word.who)
    if (body.gate, body.verdict, body.decision, body.look_again, body.by) != wanted:
        raise Void(ErrorName.MISMATCH, "the statement says something else of the gate")
    check_first_use(state, word)
    state.statements.use(word, said.digest)


RULE = KindRule(GateReviewed, by=frozenset({"monitor"}), judge=judge)
