"""How much privileged access stands at a target, and how much of it no grant explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import ZERO_DIGEST, Code, Digest, GrantId, Handle
from breakglass.records.fold.context import Submission, Void, grant_of, in_force, lost_race
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.surveys import SurveyState
from breakglass.records.kind_sets import SET_3
from breakglass.records.record import Kind
from breakglass.strict_json import Count, Many

if TYPE_CHECKING:
    from breakglass.records.fold.slices.grants import GrantState
    from breakglass.records.fold.state import State

SURVEYOR = ".survey"
"""Behind the target's name: the submitter ``minter:orders-db.survey`` surveys ``orders-db``."""
TAKEN_WITHIN = timedelta(hours=1)  # a cluster of a thousand databases is read in minutes


class Occasion(StrEnum):
    """Why somebody looked."""

    DAILY = "daily"
    USABLE = "usable"
    ENDED = "ended"
    ASKED = "asked"


@dataclass(frozen=True)
class Tally:
    """One category, counted.

    ``granted`` is what a running grant explains. ``standing`` is all the rest; of it ``left``
    appeared while a grant ran that is over, and ``new`` was not there at the survey before.
    ``gone`` was there, and is not.
    """

    standing: Count
    granted: Count
    left: Count
    new: Count
    gone: Count


@dataclass(frozen=True)
class Standing(Kind):
    """A look at the privileged access of ``target``: counts, and never a name.

    ``grants`` are the running grants that explain what ``granted`` counts. ``grant`` is the one
    that became usable, or ended; nothing for the other occasions. ``before`` is the digest of the
    inventory that ``new`` and ``gone`` count against, zeros if there was none at hand.
    ``unknown`` are the categories that could not be read whole, whatever they count.
    """

    kind: ClassVar[str] = "standing"
    target: Handle
    occasion: Occasion
    grant: Annotated[tuple[GrantId, ...], Many(1)]
    grants: Annotated[tuple[GrantId, ...], Many(500)]
    counts: Annotated[Mapping[Code, Tally], Many(32)]
    unknown: Annotated[tuple[Code, ...], Many(32)]
    digest: Digest
    before: Digest
    taken_at: datetime

    @property
    def begins_anew(self) -> bool:
        """Whether it was compared with nothing."""
        return self.before == ZERO_DIGEST

    def total(self, what: str) -> int:
        """Return one field of ``Tally`` over all categories."""
        return sum(getattr(each, what) for each in self.counts.values())


def target_of(minter: str) -> str:
    """Return which target the submitter ``minter:NAME`` surveys; empty: it is no surveyor's name.

    >>> target_of("orders-db.survey"), target_of("orders-db"), target_of(".survey")
    ('orders-db', '', '')
    """
    target, surveys, rest = minter.rpartition(SURVEYOR)
    return target if surveys and not rest else ""


def judge(state: State, stated: Submission) -> None:
    """The surveyor of a target counted what stands there; its newest survey stays."""
    body: Standing = stated.body
    _check_surveyor(state, stated)
    before = state.surveys.newest.get(body.target)
    _check_order(state, stated, before)
    _check_grants(state, stated)
    _check_counts(body, before)
    state.surveys.newest[body.target] = SurveyState(
        {name: each.standing for name, each in body.counts.items()},
        body.unknown,
        body.digest,
        body.taken_at,
        stated.witnessed,
        stated.entry.index,
    )


def _check_surveyor(state: State, stated: Submission) -> None:
    # The maintainers signed which target a surveyor speaks of: its name says so, and a name that
    # a card mints at is a minter's, whose own word of what it left behind would prove nothing.
    name = stated.role.name
    if target_of(name) != stated.body.target:
        raise Void(ErrorName.ROLE, f"'minter:{name}' does not survey {stated.body.target!r}")
    if any(each.card.mint(name) is not None for each in state.governance.cards.values()):
        raise Void(ErrorName.ROLE, f"a card mints at {name!r}: a minter is no surveyor")


def _check_order(state: State, stated: Submission, before: SurveyState | None) -> None:
    body: Standing = stated.body
    if body.taken_at > stated.at + in_force(state).skew:
        raise Void(ErrorName.MISMATCH, "the survey is of a time that has not come")
    if stated.at - body.taken_at > TAKEN_WITHIN:
        raise Void(ErrorName.MISMATCH, "the survey was taken over an hour before it was told")
    if before is not None and body.taken_at <= before.taken_at:
        raise lost_race("a later survey of the same target already exists")
    if not body.begins_anew and (before is None or before.digest != body.before):
        # A survey whose answer was lost may come into the log behind the one that followed it.
        raise lost_race("it was compared with another survey than the newest")


def _check_grants(state: State, stated: Submission) -> None:
    body: Standing = stated.body
    if list(body.grants) != sorted(set(body.grants)):
        raise Void(ErrorName.MISMATCH, "the grants are not sorted, each once")
    skew = in_force(state).skew
    for name in body.grants:
        grant = _of_target(state, body, name)
        if grant.minted_at is None or (grant.dead_at and grant.dead_at + skew < body.taken_at):
            raise Void(ErrorName.MISMATCH, f"grant {name!r} did not run then: it explains nothing")
    if body.total("granted") and not body.grants:
        raise Void(ErrorName.MISMATCH, "no grant is named for what grants explain")
    about = body.occasion in (Occasion.USABLE, Occasion.ENDED)
    if about != bool(body.grant):
        raise Void(ErrorName.MISMATCH, f"a survey that is {body.occasion!r} names {body.grant}")
    for name in body.grant:
        grant = _of_target(state, body, name)
        happened = grant.usable_at if body.occasion is Occasion.USABLE else grant.dead_at
        if happened is None:
            raise Void(ErrorName.MISMATCH, f"grant {name!r} is not {body.occasion.value} yet")


def _of_target(state: State, body: Standing, name: str) -> GrantState:
    grant = grant_of(state, name)
    if grant.minter != body.target:
        raise Void(ErrorName.ROLE, f"grant {name!r} is not of {body.target!r}")
    return grant


def _check_counts(body: Standing, before: SurveyState | None) -> None:
    if list(body.unknown) != sorted(set(body.unknown)):
        raise Void(ErrorName.MISMATCH, "the unknown categories are not sorted, each once")
    compared = {} if before is None or body.begins_anew else before.standing
    for name in {*body.counts, *compared}:
        each = body.counts.get(name, _NOTHING)
        if max(each.left, each.new) > each.standing:
            raise Void(ErrorName.MISMATCH, f"{name!r}: more is left or new than stands")
        if body.begins_anew and (each.new or each.gone):
            raise Void(ErrorName.MISMATCH, f"{name!r}: nothing is new to who compared with nothing")
        # Growth cannot be left out and the sum be told: who lies must lie about what stands.
        if not body.begins_anew and each.standing != compared.get(name, 0) + each.new - each.gone:
            raise Void(ErrorName.MISMATCH, f"{name!r}: what came and went does not add up")


_NOTHING = Tally(0, 0, 0, 0, 0)

RULE = KindRule(Standing, by=frozenset({"minter"}), judge=judge, outcome=True, since=SET_3)
