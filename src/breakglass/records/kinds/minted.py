"""A credential exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Code, GrantId, Handle, Word
from breakglass.records.fold.context import Submission, Void, grant_of, in_force, lost_race
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.record import Kind
from breakglass.strict_json import Count, Many

if TYPE_CHECKING:
    from breakglass.records.fold.slices.grants import GrantState
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Minted(Kind):
    """A credential exists. ``expires`` is what the platform itself was told."""

    kind: ClassVar[str] = "minted"
    grant: GrantId
    platform: Handle
    handle: Code
    ids: Annotated[Mapping[Code, Word], Many(16)]
    expires: datetime
    since_asked_ms: Count


def judge(state: State, stated: Submission) -> None:
    """The minter made the credential."""
    grant = running(state, stated)
    if grant.minted_at is not None:
        raise lost_race(f"grant {stated.body.grant!r} is minted already")
    state.grants.by_id[stated.body.grant] = replace(
        grant, minted_at=stated.at, since_asked_ms=stated.body.since_asked_ms
    )


def of_minter(state: State, stated: Submission) -> GrantState:
    """Return the grant that a record names; it must be of the minter that states it.

    Raises:
        Void: ``role``, or as ``grant_of``.
    """
    grant = grant_of(state, stated.body.grant)
    if grant.minter != stated.role.name:
        raise Void(ErrorName.ROLE, f"grant {stated.body.grant!r} is another minter's")
    return grant


def running(state: State, stated: Submission) -> GrantState:
    """Return the minter's grant, which must have begun and not ended, the skew allowed.

    Raises:
        Void: ``after_end``, ``before_intent``, or as ``of_minter``.
    """
    grant = of_minter(state, stated)
    skew = in_force(state).skew
    if grant.ended is not None or stated.at > grant.not_after + skew:
        raise Void(ErrorName.AFTER_END, f"grant {stated.body.grant!r} has ended")
    if stated.at < grant.at - skew:
        raise Void(ErrorName.BEFORE_INTENT, f"grant {stated.body.grant!r} had not begun")
    return grant


RULE = KindRule(Minted, by=frozenset({"minter"}), judge=judge, outcome=True)
