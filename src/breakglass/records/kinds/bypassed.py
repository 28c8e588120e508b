"""A gate opened for glass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Digest, GrantId, Handle, Line, Word
from breakglass.records.fold.context import Submission, Void, grant_of, in_force, lost_race
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.grant import Path
from breakglass.records.kinds.passages import own_gate
from breakglass.records.presentation import parse_presentation
from breakglass.records.record import Kind
from breakglass.records.signing.signature import PRESENTATION_NAMESPACE, Signed, verify_signature

if TYPE_CHECKING:
    from breakglass.records.fold.slices.grants import GrantState
    from breakglass.records.fold.state import State


class GateState(StrEnum):
    """What the gate's own check said when glass was shown."""

    FAILED = "failed"
    COULD_NOT_EVALUATE = "could_not_evaluate"


@dataclass(frozen=True)
class Bypassed(Kind):
    """Glass opened this gate for one run, while its own check said ``state``.

    ``presentation`` is the holder's signature for this gate and run; without it nobody is named.
    """

    kind: ClassVar[str] = "bypassed"
    gate: Handle
    grant: GrantId
    statement: Digest
    run: Word
    state: GateState
    detail: Line
    presentation: Signed


def judge(state: State, stated: Submission) -> None:
    """A gate opened for glass: shown by the holder, to this gate, for this run, once.

    A grant that was ended early still counts here: a gate that is offline cannot know of it, and
    the passage is a fact.
    """
    body = stated.body
    own_gate(stated)
    grant = grant_of(state, body.grant)
    if body.gate not in grant.gates:
        raise Void(ErrorName.WRONG_GATE, f"grant {body.grant!r} does not open gate {body.gate!r}")
    if grant.path is Path.DRILL:
        raise Void(ErrorName.WRONG_GATE, f"grant {body.grant!r} is a drill, which opens no gate")
    verify_signature(body.presentation, [grant.holder], PRESENTATION_NAMESPACE)
    shown = parse_presentation(body.presentation.text)
    wanted = (state.log, grant.statement, f"gate:{body.gate}", body.run)
    found = (shown.log, shown.statement, shown.to, shown.run)
    if found != wanted or body.statement != grant.statement:
        raise Void(ErrorName.PRESENTATION, "the holder's presentation is of something else")
    _check_within(state, grant, body, stated.at, shown.at)
    if (body.gate, body.run) in grant.runs:
        raise lost_race(f"run {body.run!r} of gate {body.gate!r} already exists")
    runs = grant.runs | {(body.gate, body.run)}
    state.grants.by_id[body.grant] = replace(grant, runs=runs)


def _check_within(
    state: State, grant: GrantState, body: Bypassed, at: datetime, shown: datetime
) -> None:
    skew = in_force(state).skew
    if at > grant.not_after + skew:
        raise Void(ErrorName.AFTER_END, f"grant {body.grant!r} had expired")
    if at < grant.not_before - skew:
        raise Void(ErrorName.BEFORE_INTENT, f"grant {body.grant!r} had not begun")
    if not grant.said_at - skew <= shown <= min(grant.not_after, at + skew):
        raise Void(ErrorName.PRESENTATION, "the holder's presentation is of another time")


RULE = KindRule(Bypassed, by=frozenset({"gate"}), judge=judge, outcome=True)
