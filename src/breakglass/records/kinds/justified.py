"""The monitor decided again, and the intent was allowed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Digest, GrantId
from breakglass.records.fold.context import Submission, Void, grant_of, in_force, lost_race
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.kind_sets import SET_2
from breakglass.records.record import Kind
from breakglass.strict_json import Count

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Justified(Kind):
    """The monitor decided again, under the policy of the time: this intent was allowed.

    ``leaf`` is the intent's leaf hash and ``index`` its place.
    """

    kind: ClassVar[str] = "justified"
    grant: GrantId
    leaf: Digest
    index: Count
    policy: Digest


def judge(state: State, stated: Submission) -> None:
    """The monitor decided again: this intent was allowed by the policy of its time.

    What starts later is decided once more at its start: a later record of it holds too.
    """
    body = stated.body
    grant = grant_of(state, body.grant)
    said = (body.leaf, body.index, body.policy)
    if said != (grant.leaf, grant.index, grant.policy):
        raise Void(ErrorName.MISMATCH, "the record is of another intent")
    again = in_force(state).kinds >= SET_2 and grant.scheduled and grant.ended is None
    if grant.justified and not again:
        raise lost_race("the intent is justified already")
    state.grants.by_id[body.grant] = replace(
        grant, justified=True, justified_at=stated.witnessed if again else None
    )


RULE = KindRule(Justified, by=frozenset({"monitor"}), judge=judge, outcome=True)
