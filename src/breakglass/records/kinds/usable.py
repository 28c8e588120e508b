"""A credential was tried and works."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from breakglass.records.encoding.text_types import GrantId, Line
from breakglass.records.fold.context import Submission, lost_race
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.kinds.minted import running
from breakglass.records.record import Kind
from breakglass.strict_json import Count

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Usable(Kind):
    """The credential was tried and works."""

    kind: ClassVar[str] = "usable"
    grant: GrantId
    probe: Line
    since_asked_ms: Count


def judge(state: State, stated: Submission) -> None:
    """The minter tried the credential, and it works."""
    grant = running(state, stated)
    if grant.usable_at is not None:
        raise lost_race(f"grant {stated.body.grant!r} is usable already")
    state.grants.by_id[stated.body.grant] = replace(
        grant, usable_at=stated.at, since_asked_ms=stated.body.since_asked_ms
    )


RULE = KindRule(Usable, by=frozenset({"minter"}), judge=judge, outcome=True)
