"""A grant is over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import GrantId, Line
from breakglass.records.fold.context import Submission, Void, grant_of, in_force, lost_race, word_of
from breakglass.records.fold.forgetting import standing_incident
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.grant import EndedWhy, Path
from breakglass.records.kind_sets import SET_2
from breakglass.records.kinds.minted import of_minter
from breakglass.records.kinds.suspended import killer
from breakglass.records.record import Kind
from breakglass.records.signing.signature import Signature, Signed, SignedByPasskey
from breakglass.records.statement import Answer, Do, Target, digest_of

if TYPE_CHECKING:
    from breakglass.records.fold.slices.grants import GrantState
    from breakglass.records.fold.state import State

__all__ = ["RULE", "Ended", "EndedWhy"]


@dataclass(frozen=True)
class Ended(Kind):
    """A grant is over. Written by its minter, or by the broker if it was never minted.

    ``statement`` is the holder's or the killer's word for ``done``, ``withdrawn`` and ``killed``,
    else null.
    """

    kind: ClassVar[str] = "ended"
    grant: GrantId
    why: EndedWhy
    detail: Line
    statement: Signed | SignedByPasskey | None


def judge(state: State, stated: Submission) -> None:
    """A grant is over: said by its minter, or by the broker if nothing was minted."""
    body = stated.body
    grant = grant_of(state, body.grant)
    if grant.ended is not None:
        raise lost_race(f"grant {body.grant!r} has ended already")
    if stated.role.kind == "minter":
        of_minter(state, stated)
    elif grant.minted_at is not None:
        raise Void(ErrorName.ROLE, "a minted grant is ended by its minter")
    _check_ended_why(state, grant, stated)
    state.grants.by_id[body.grant] = replace(
        grant,
        ended=body.why,
        ended_at=stated.at,
        finished_at=stated.witnessed if grant.minted_at is None else None,
    )


def _check_ended_why(state: State, grant: GrantState, stated: Submission) -> None:
    body, skew = stated.body, in_force(state).skew
    if body.why is EndedWhy.EXPIRED and stated.at < grant.not_after - skew:
        raise Void(ErrorName.NOT_YET, "the grant has not expired")
    if body.why is EndedWhy.DRILL and grant.path is not Path.DRILL:
        raise Void(ErrorName.MISMATCH, "the grant is no drill")
    taken_back = body.why is EndedWhy.WITHDRAWN and in_force(state).kinds >= SET_2
    if body.why is EndedWhy.DONE or taken_back:
        word = word_of(state, body.statement, Answer, None, suspended_too=True).statement
        do = Do.WITHDRAW if taken_back else Do.DONE
        if (word.do, word.who, word.answers) != (do, grant.who, grant.statement):
            raise Void(ErrorName.MISMATCH, "only the holder hands a grant back")
    if body.why is EndedWhy.KILLED:
        if _killed_with_all(state, grant, body.statement):
            return
        said = killer(state, body.statement, stated, Do.KILL).statement
        named = {
            Target.GRANT: grant.grant,
            Target.PERSON: grant.who,
            Target.GLASS: grant.glass,
        }
        if named[said.target] != said.name or said.at < grant.at - skew:
            raise Void(ErrorName.MISMATCH, "the statement stops something else, or is of before")
    if body.why is EndedWhy.INCIDENT_CLOSED:
        found = standing_incident(state, grant.incident)
        # One that is not here any more has been closed for long: only what closed leaves.
        if not grant.incident or (found is not None and found.open):
            raise Void(ErrorName.MISMATCH, f"incident {grant.incident!r} is not closed")


def _killed_with_all(state: State, grant: GrantState, signed: Signature | None) -> bool:
    """Say whether the statement stopped everything, if that was stopped behind this grant."""
    stop = state.governance.all_stop
    if stop is None or signed is None or not state.governance.stopped_with_all(grant.index):
        return False
    return digest_of(signed.text) in stop.statements


RULE = KindRule(Ended, by=frozenset({"broker", "minter"}), judge=judge, outcome=True)
