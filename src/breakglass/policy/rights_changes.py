"""Whom a next policy lets break, approve, or review what they could not, and from whom it takes it.

People are named one by one, whatever group gives them the right: a name in a group is how power is
usually given away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from breakglass.policy.change import Change, Effect, counted
from breakglass.policy.glass import Glass
from breakglass.policy.glass_terms import beside
from breakglass.policy.parse import Bundle
from breakglass.policy.people import GROUP, Directory
from breakglass.policy.standings import standings
from breakglass.records.card import Tier

_Said: TypeAlias = dict[tuple[Effect, str, str], list[str]]


@dataclass(frozen=True)
class _Right:
    verb: Callable[[Glass], str]
    refs: Callable[[Glass], tuple[str, ...]]


_RIGHTS = (
    _Right(lambda glass: "break", lambda glass: glass.who),
    _Right(
        lambda glass: "open the seal of" if glass.tier is Tier.SEALED else "approve",
        lambda glass: glass.second_signers,
    ),
    _Right(lambda glass: "review", lambda glass: glass.review.by),
)


def right_changes(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Yield who gains and who loses which right to which glass, those who gain it alone first."""
    for name in sorted({*old.glasses, *new.glasses}):
        before, after = old.glasses.get(name), new.glasses.get(name)
        if after is None:
            continue  # said of the glass that is gone
        for right in _RIGHTS:
            had = standings(old.directory, right.refs(before)) if before else {}
            has = standings(new.directory, right.refs(after))
            said = _gained_and_lost(right, (before, had), (after, has), new.directory)
            if before and right.verb(after) == "break":
                _broken_otherwise(before, after, [who for who in has if who in had], said)
            for (effect, words, end), people in said.items():
                yield Change(effect, f"{counted(people)} {words} ", name, end)


def _gained_and_lost(
    right: _Right,
    before: tuple[Glass | None, Mapping[str, str]],
    after: tuple[Glass, Mapping[str, str]],
    directory: Directory,
) -> _Said:
    (was, had), (glass, has) = before, after
    verb = right.verb(glass)
    how = f" {beside(glass)}" if verb == "break" else ""
    causes = _causes(right.refs(glass), directory)
    said: _Said = {}
    for who, condition in has.items():
        by = causes.get(who, "")
        if who not in had:
            key = (Effect.WIDENS, f"may now {verb}", f"{how}{condition}{by}")
        elif had[who] == condition:
            continue
        elif condition:
            fewer = not had[who] or _alternatives(condition) < _alternatives(had[who])
            effect = Effect.NARROWS if fewer else Effect.WIDENS
            key = (effect, f"may {verb}", f" only{condition} (before:{had[who] or ' always'})")
        else:
            key = (Effect.WIDENS, f"may now {verb}", f" always (before:{had[who]})")
        said.setdefault(key, []).append(who)
    for who in had:
        if who not in has and was is not None:
            said.setdefault((Effect.NARROWS, f"may no longer {right.verb(was)}", ""), []).append(
                who
            )
    return said


def _alternatives(condition: str) -> set[str]:
    return set(condition.strip().split(" or "))


def _broken_otherwise(before: Glass, after: Glass, people: Iterable[str], said: _Said) -> None:
    """Say of those who could break it and still can that it takes more or fewer beside them."""
    if (before.tier, before.need) == (after.tier, after.need):
        return
    fewer = (after.need, after.tier is Tier.SEALED) < (before.need, before.tier is Tier.SEALED)
    words = "may now break" if fewer else "may break"
    only = "" if fewer else " only"
    end = f"{only} {beside(after)} (before: {beside(before)})"
    effect = Effect.WIDENS if fewer else Effect.NARROWS
    for who in people:
        said.setdefault((effect, words, end), []).append(who)


def _causes(refs: Iterable[str], directory: Directory) -> dict[str, str]:
    """Say of whom a group means, and no name, which group that is."""
    found: dict[str, str] = {}
    for ref in refs:
        if ref.startswith(GROUP):
            for who in directory.everybody([ref]):
                found.setdefault(who, f" (as {ref})")
    return {who: cause for who, cause in found.items() if who not in refs}
