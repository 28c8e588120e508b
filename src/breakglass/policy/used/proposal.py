"""A narrower glass: what its grants used of what it grants, and nothing that they used left out.

Nothing is proposed on too little, and nothing that the log does not have counts as unused: a grant
that was not wholly seen stops the proposal until somebody leaves it out by name. Rules of
narrowing: databases, hosts and accounts that nobody used go; a template gives way to one of the
tables that were used, where the log proves tables; a life shrinks where the longest use was far
shorter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from breakglass.policy.glass import Glass
from breakglass.policy.mint import Mint
from breakglass.policy.used.grant_use import GrantUse, TableRight
from breakglass.records.platforms import MAY

TEMPLATES = "templates"
DATABASES = "databases"
CREATE = "create"
NARROWED = {"postgres": (DATABASES,), "ssh": ("hosts", "accounts")}
"""The dimensions that a target's log shows the use of, by platform."""
SHORTEST_LIFE = timedelta(minutes=15)  # shorter, and whoever types slowly breaks the glass twice
_STEP = timedelta(minutes=5)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_NAME_AT_MOST = 63  # of a role of PostgreSQL, in bytes


@dataclass(frozen=True)
class Enough:
    """The least that is proposed on: so many grants wholly seen, over so long a time."""

    grants: int = 5
    span: timedelta = timedelta(days=30)


@dataclass(frozen=True)
class Proposal:
    """What may be written in the place of what stands.

    Attributes:
        glass, mint: as they stand.
        uses: of the grants that it stands on.
        scope: the narrower scope; the same as the mint's where nothing goes.
        for_: the shorter life; the same as the glass's where it stays.
        template: the new template's name; empty where the templates stay.
        rights: what the new template gives, all of it used.
        truncated: databases in which the new template may empty tables, as the old one may.
        kept: what stays though it may not be needed, and why, in sentences.
        stopped: why nothing is proposed, in sentences; then the scope is the mint's.
    """

    glass: Glass
    mint: Mint
    uses: tuple[GrantUse, ...]
    scope: Mapping[str, tuple[str, ...]]
    for_: timedelta
    template: str = ""
    rights: tuple[TableRight, ...] = ()
    truncated: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()

    @property
    def narrows(self) -> bool:
        """Whether it takes anything away."""
        return self.scope != dict(self.mint.scope) or self.for_ != self.glass.for_

    @property
    def never_used(self) -> Mapping[str, tuple[str, ...]]:
        """Return by dimension what goes."""
        return {
            name: gone
            for name, values in self.mint.scope.items()
            if name != TEMPLATES
            and (gone := tuple(sorted({*values} - {*self.scope.get(name, ())})))
        }

    @property
    def longest(self) -> timedelta:
        """Return how long the longest use lasted."""
        return max((each.lasted for each in self.uses), default=timedelta(0))

    def used(self, dimension: str) -> tuple[str, ...]:
        """Return what was used of a dimension, granted or not."""
        return tuple(sorted({x for each in self.uses for x in each.values.get(dimension, ())}))


@dataclass
class _Draft:
    scope: dict[str, tuple[str, ...]]
    kept: list[str] = field(default_factory=list)
    template: str = ""
    rights: tuple[TableRight, ...] = ()
    truncated: tuple[str, ...] = ()


def propose(
    glass: Glass,
    mint: Mint,
    uses: Sequence[GrantUse],
    *,
    left_out: Collection[str] = (),
    shared: Collection[str] = (),
    enough: Enough = Enough(),
) -> Proposal:
    """Propose a narrower scope of one mint of a glass, and a shorter life.

    Args:
        glass, mint: as the bundle has them.
        uses: of every grant of the glass at this minter that lived in the time looked at.
        left_out: grants that somebody said to leave out; what they did counts all the same.
        shared: templates that another glass names too: their rights are not to be touched.
        enough: the least to propose on.
    """
    seen = [each for each in uses if not each.lost and each.grant.grant not in left_out]
    if stopped := _too_little(uses, seen, left_out, enough):
        return Proposal(
            glass, mint, tuple(uses), dict(mint.scope), glass.for_, stopped=tuple(stopped)
        )
    draft = _Draft(dict(mint.scope))
    for dimension in NARROWED.get(mint.platform, ()):
        used = {each for use in uses for each in use.values.get(dimension, ())}
        left = tuple(each for each in mint.scope[dimension] if each in used)
        if left:
            draft.scope[dimension] = left
        else:
            draft.kept.append(f"{dimension}: none was used; a scope needs one")
    if mint.platform == "postgres":
        _narrow_templates(draft, mint, uses, shared)
    return Proposal(
        glass,
        mint,
        tuple(uses),
        draft.scope,
        _life(draft, glass, uses),
        draft.template,
        draft.rights,
        draft.truncated,
        tuple(draft.kept),
    )


def _too_little(
    uses: Sequence[GrantUse], seen: Sequence[GrantUse], left_out: Collection[str], enough: Enough
) -> list[str]:
    found = [
        f"{each.grant.grant} was not wholly seen: {'; '.join(each.lost)}"
        for each in uses
        if each.lost and each.grant.grant not in left_out
    ]
    if len(seen) < enough.grants:
        found.append(f"{len(seen)} grants were wholly seen; {enough.grants} are the least")
    if seen:
        begins, ends = (min(e.grant.begins for e in seen), max(e.grant.ends for e in seen))
        if ends - begins < enough.span:
            found.append(
                f"they lie within {(ends - begins).days} days; {enough.span.days} are the least"
            )
    return found


def _narrow_templates(
    draft: _Draft, mint: Mint, uses: Sequence[GrantUse], shared: Collection[str]
) -> None:
    """Put one template of the used tables in the place of all, where the log proves them.

    Else the templates stay. Then their right to log in to what goes is taken from them, and where
    another glass needs it, or the templates are needed for more than tables, nothing goes.
    """
    beyond = sorted({act for use in uses for act in use.beyond})
    unproven = sorted({name for use in uses for name in use.unproven})
    strange = sorted(
        {r.relation for use in uses for r in use.rights if not r.relation.isprintable()}
    )
    databases = draft.scope[DATABASES]
    rights = {each for use in uses for each in use.rights if each.database in databases}
    truncated = {each for use in uses for each in use.truncated if each in databases}
    for why in (
        beyond and f"{', '.join(beyond)}: takes rights that no list of tables shows",
        unproven and f"the log proves no tables in {', '.join(unproven)} (pgaudit, log_statement)",
        strange and "a table has a name that cannot be written here",
        not all(map(_PLAIN.fullmatch, mint.scope[TEMPLATES])) and "its name needs care in SQL",
        not (rights or truncated) and "no table was used",
    ):
        if why:
            draft.kept.append(f"template {', '.join(mint.scope[TEMPLATES])}: {why}")
            break
    else:
        draft.template = _new_name(mint.scope[TEMPLATES][0])
        draft.scope[TEMPLATES] = (draft.template,)
        draft.rights = tuple(sorted(rights))
        draft.truncated = tuple(sorted(truncated))
        may = tuple(each for each in mint.scope.get(MAY, ()) if each != CREATE)
        draft.scope.pop(MAY, None)
        if may:
            draft.scope[MAY] = may
        return
    if MAY in mint.scope:
        draft.kept.append("may_create: goes with its template")
    gone = set(mint.scope[DATABASES]) - set(databases)
    both = sorted({*mint.scope[TEMPLATES]} & {*shared})
    if gone and both:
        draft.scope[DATABASES] = mint.scope[DATABASES]
        draft.kept.append(
            f"databases {', '.join(sorted(gone))}: template {both[0]} is another glass's too"
        )


def _life(draft: _Draft, glass: Glass, uses: Sequence[GrantUse]) -> timedelta:
    longest = max((each.lasted for each in uses), default=timedelta(0))
    if glass.opens_gates or len(glass.mints) != 1 or glass.mfa_down:
        draft.kept.append(
            "for: it opens gates or reaches more targets, which this log does not show"
        )
        return glass.for_
    wanted = max(SHORTEST_LIFE, -(-2 * longest // _STEP) * _STEP)
    return wanted if wanted * 2 <= glass.for_ else glass.for_


def _new_name(template: str) -> str:
    base, _, number = template.rpartition("_used_")
    name = f"{base}_used_{int(number) + 1}" if base and number.isdecimal() else f"{template}_used_1"
    cut = len(name.encode()) - _NAME_AT_MOST
    return name if cut <= 0 else name[cut:]
