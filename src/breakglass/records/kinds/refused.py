"""Somebody asked, and the answer is no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from breakglass.records.encoding.text_types import Code, GrantId
from breakglass.records.fold.context import Submission, check_not_closed, lost_race
from breakglass.records.fold.forgetting import refusal
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.grants import RefusedState
from breakglass.records.grant import Path
from breakglass.records.kinds.asked import Decided, Factors, asking
from breakglass.records.record import Kind
from breakglass.records.signing.signature import Signed, SignedByPasskey

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Refused(Kind):
    """Somebody asked, and the answer is no. ``name`` is the stable word for why."""

    kind: ClassVar[str] = "refused"
    grant: GrantId
    path: Path
    statement: Signed | SignedByPasskey
    factors: Factors
    decision: Decided
    name: Code


def judge(state: State, stated: Submission) -> None:
    """Somebody asked, and the answer is no; the statement is spent."""
    said = asking(state, stated)
    grant = stated.body.grant
    check_not_closed(state, grant)
    if grant in state.grants.by_id or refusal(state, grant) is not None:
        raise lost_race(f"grant {grant!r} was decided already")
    state.statements.use(said.statement, said.digest)
    state.grants.asked.pop(grant, None)
    state.grants.refused[grant] = RefusedState(stated.entry.index, said.statement.at)


RULE = KindRule(Refused, by=frozenset({"broker"}), judge=judge)
