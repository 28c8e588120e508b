"""Who is on call in one group, as the policy's source of it said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Handle, Run
from breakglass.records.fold.context import Submission, Void, in_force
from breakglass.records.fold.forgetting import ROSTER_KEPT, standing_rosters
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.monitor import RosterState
from breakglass.records.kind_sets import SET_2
from breakglass.records.record import Kind
from breakglass.strict_json import Many

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Roster(Kind):
    """Who is on call in ``group``: ``people`` by the policy's own names, sorted, each once.

    ``source`` is what the policy calls the source (``pagerduty:PX7QA``), ``taken_at`` when that
    said so.
    """

    kind: ClassVar[str] = "roster"
    group: Handle
    people: Annotated[tuple[Handle, ...], Many(500)]
    source: Run
    taken_at: datetime


def judge(state: State, stated: Submission) -> None:
    """The monitor read a source; each group keeps its newest roster and the one before."""
    body = stated.body
    if list(body.people) != sorted(set(body.people)):
        raise Void(ErrorName.MISMATCH, "the people are not sorted, each once")
    if body.taken_at > stated.at + in_force(state).skew:
        raise Void(ErrorName.MISMATCH, "the roster is of a time that has not come")
    if stated.at - body.taken_at > ROSTER_KEPT:
        raise Void(ErrorName.MISMATCH, f"the roster is over {ROSTER_KEPT.days} days old")
    before = standing_rosters(state, body.group)
    if before and body.taken_at <= before[0].taken_at:
        raise Void(ErrorName.MISMATCH, "a later roster of the same group already exists")
    taken = RosterState(
        body.people, body.source, body.taken_at, stated.witnessed, stated.entry.index
    )
    state.monitor.rosters[body.group] = (taken, *before[:1])


RULE = KindRule(Roster, by=frozenset({"monitor"}), judge=judge, since=SET_2)
