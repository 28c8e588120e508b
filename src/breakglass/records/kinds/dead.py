"""Access was tried after the end, and is gone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import GrantId, Line
from breakglass.records.fold.context import Submission, Void, lost_race
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.kinds.minted import of_minter
from breakglass.records.record import Kind
from breakglass.strict_json import Count, Many

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Dead(Kind):
    """Access was tried and is gone. ``tail_ms`` is how long it outlived the grant's end."""

    kind: ClassVar[str] = "dead"
    grant: GrantId
    probe: Line
    tail_ms: Count
    sessions_cut: Count
    left_behind: Annotated[tuple[Line, ...], Many(64)]


def judge(state: State, stated: Submission) -> None:
    """The minter tried the credential after its end, and it is gone."""
    grant = of_minter(state, stated)
    if grant.ended is None:
        raise Void(ErrorName.NOT_ENDED, f"grant {stated.body.grant!r} has not ended")
    if grant.dead_at is not None:
        raise lost_race("the grant is dead already")
    state.grants.by_id[stated.body.grant] = replace(
        grant, dead_at=stated.at, tail_ms=stated.body.tail_ms, finished_at=stated.witnessed
    )


RULE = KindRule(Dead, by=frozenset({"minter"}), judge=judge, outcome=True)
