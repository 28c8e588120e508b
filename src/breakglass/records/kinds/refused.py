"""Somebody asked, and the answer is no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from breakglass.records.encoding.text_types import Code, GrantId
from breakglass.records.fold.context import Submission, lost_race
from breakglass.records.fold.kind_rule import KindRule
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
    if grant in state.grants.by_id or grant in state.grants.refused:
        raise lost_race(f"grant {grant!r} was decided already")
    state.statements.nonces[(said.statement.who, said.statement.nonce)] = said.digest
    state.grants.asked.pop(grant, None)
    state.grants.refused[grant] = stated.entry.index


RULE = KindRule(Refused, by=frozenset({"broker"}), judge=judge)
