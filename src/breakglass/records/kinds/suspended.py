"""A person, a glass or a grant is stopped, or let go again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.records.encoding.text_types import Handle
from breakglass.records.fold.ask_rules import drop_answers, stop_asks
from breakglass.records.fold.context import (
    Said,
    Submission,
    Void,
    check_first_use,
    check_not_closed,
    in_force,
    lost_race,
    word_of,
)
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.governance import SuspensionState
from breakglass.records.kind_sets import SET_2
from breakglass.records.record import Kind
from breakglass.records.signing.signature import Signature, Signed, SignedByPasskey
from breakglass.records.statement import Do, Kill, Target

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Suspended(Kind):
    """A person, a glass or a grant is stopped, or one of the first two let go again.

    ``active`` true takes a statement that says ``kill``, false one that says ``lift``.
    """

    kind: ClassVar[str] = "suspended"
    target: Target
    name: Handle
    active: bool
    statement: Signed | SignedByPasskey


def judge(state: State, stated: Submission) -> None:
    """Somebody who may kill stops a person, a glass or a grant; or lifts that of the first two."""
    body = stated.body
    said = killer(state, body.statement, stated, Do.KILL if body.active else Do.LIFT)
    if (said.statement.target, said.statement.name) != (body.target, body.name):
        raise Void(ErrorName.MISMATCH, "the statement names something else")
    key = (body.target.value, body.name)
    if body.target is Target.GRANT:
        check_not_closed(state, body.name)
    if body.active == (key in state.governance.suspended):
        raise lost_race(f"{body.target.value} {body.name!r} has this state already")
    check_first_use(state, said.statement)
    if body.target is Target.GRANT and body.name in state.grants.by_id:
        grant = state.grants.by_id[body.name]
        state.grants.by_id[body.name] = replace(grant, stopped_at=stated.at)
    state.statements.use(said.statement, said.digest)
    if body.active:
        state.governance.suspended[key] = SuspensionState(stated.entry.index, body.statement)
        if in_force(state).kinds >= SET_2:
            _stop_asks(state, stated, said.statement.who)
    else:
        state.governance.suspended.pop(key)


def _stop_asks(state: State, stated: Submission, by: str) -> None:
    body = stated.body
    if body.target is Target.PERSON:
        stop_asks(state, lambda ask: ask.who == body.name, by, stated)
        drop_answers(state, body.name)
    elif body.target is Target.GLASS:
        stop_asks(state, lambda ask: ask.glass == body.name, by, stated)


def killer(state: State, signed: Signature | None, stated: Submission, do: Do) -> Said[Kill]:
    """Check that somebody who may kill said so; of any age when it ends a grant.

    Raises:
        RefusedError: ``unknown_person``, or as ``word_of``.
        Void: ``mismatch``; the statement does the opposite.
    """
    fresh = stated.at if stated.body.kind == "suspended" else None
    said = word_of(state, signed, Kill, fresh)
    if not state.governance.may_kill(said.statement.who):
        raise RefusedError(f"{said.statement.who!r} may not kill", name=ErrorName.UNKNOWN_PERSON)
    if said.statement.do is not do:
        raise Void(ErrorName.MISMATCH, f"the statement says {said.statement.do.value!r}")
    return said


RULE = KindRule(Suspended, by=frozenset({"broker"}), judge=judge)
