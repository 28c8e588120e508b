"""One thing that a next policy changes: which way it moves the power to act, and a sentence.

What is compared field by field falls back on the field's own name, so that a field without words
of its own is never passed over in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, TypeAlias

from breakglass.policy.denial_reasons import NAMES_SHOWN, names
from breakglass.policy.yaml_fields import BusinessDays, say_span


class Effect(StrEnum):
    """Which way a change goes; what widens power is what a maintainer looks at first."""

    WIDENS = "widens"
    NARROWS = "narrows"
    OTHER = "other"

    @property
    def opposite(self) -> Effect:
        """The way back."""
        return {Effect.WIDENS: Effect.NARROWS, Effect.NARROWS: Effect.WIDENS}.get(self, self)


@dataclass(frozen=True)
class Change:
    """One sentence: ``text``, the glass that it is about (if any), and the ``end``.

    The same sentence of several glasses is said once, with their names in between.
    """

    effect: Effect
    text: str
    glass: str = ""
    end: str = ""

    def __str__(self) -> str:
        return f"{self.text}{self.glass}{self.end}"


Told: TypeAlias = Iterator[tuple[Effect, str]]
Say: TypeAlias = Callable[[Any, Any], Iterable[tuple[Effect, str]]]
"""Says what it means that one field was the first value and becomes the second."""


def field_changes(
    old: Any,
    new: Any,
    say: Mapping[str, Say],
    *,
    but: Collection[str] = (),
    partly: Collection[str] = (),
) -> Told:
    """Say what differs between two values of one dataclass, field by field.

    Args:
        old: before.
        new: after; of the same class.
        say: field to its words; a field that is missing here is said by its name and values.
        but: fields that somebody else says.
        partly: fields of which somebody else says a part, perhaps all that there is to say.
    """
    for each in fields(old):
        before, after = getattr(old, each.name), getattr(new, each.name)
        if before == after or each.name in but or not each.compare:
            continue
        words = each.name.strip("_").replace("_", " ")
        told = list(say.get(each.name, becomes(words))(before, after))
        yield from told
        if not told and each.name not in partly:
            yield Effect.OTHER, f"{words} is written otherwise, and means the same"


def becomes(words: str, effect: Effect = Effect.OTHER) -> Say:
    """Say the new value and the old one."""
    return lambda before, after: [(effect, f"{words}: {value(after)} (before: {value(before)})")]


def longer(
    words: str, effect: Effect = Effect.WIDENS, *, none: timedelta | date | None = None
) -> Say:
    """Say a length, number or day; ``effect`` is what more of it does, ``none`` what none means."""

    def say(before: Any, after: Any) -> Iterable[tuple[Effect, str]]:
        was, now = (length_of(none if each is None else each) for each in (before, after))
        way = effect if now > was else effect.opposite if now < was else Effect.OTHER
        return [(way, f"{words} {value(after)} (before: {value(before)})")]

    return say


def ranked(words: str, order: Iterable[Any], effect: Effect = Effect.NARROWS) -> Say:
    """Say one of a row of words; ``effect`` is what a later one of ``order`` does."""
    row = list(order)

    def say(before: Any, after: Any) -> Iterable[tuple[Effect, str]]:
        way = effect if row.index(after) > row.index(before) else effect.opposite
        return [(way, f"{words} {value(after)} (before: {value(before)})")]

    return say


def listed(gained: str, lost: str, effect: Effect = Effect.WIDENS) -> Say:
    """Say what a list gains and loses; ``effect`` is what gaining does."""

    def say(before: Iterable[Any], after: Iterable[Any]) -> Iterable[tuple[Effect, str]]:
        old, new = set(before), set(after)
        if more := sorted(map(value, new - old)):
            yield effect, f"{gained} {names(more)}"
        if less := sorted(map(value, old - new)):
            yield effect.opposite, f"{lost} {names(less)}"

    return say


def value(thing: Any) -> str:
    """Write a value of a bundle for people."""
    if thing is None or thing == "" or thing == ():
        return "none"
    if isinstance(thing, bool):
        return "yes" if thing else "no"
    if isinstance(thing, timedelta):
        return say_span(thing)
    if isinstance(thing, tuple | list):
        return ", ".join(map(value, thing))
    return str(thing)


def several(effect: Effect, found: Mapping[str, str], many: str) -> Iterator[Change]:
    """Say one sentence for each name while they are few, else their number and the first names."""
    if len(found) <= NAMES_SHOWN:
        for text in found.values():
            yield Change(effect, text)
    else:
        yield Change(effect, f"{counted(found)} {many}")


def counted(people: Iterable[str]) -> str:
    """Write names, with their number before them where not all are shown.

    >>> counted(["mira", "sam"]), counted(f"p{number}" for number in range(1200))
    ('mira, sam', '1,200 people (p0, p1, p2, p3, p4, p5 and 1194 more)')
    """
    found = list(people)
    return names(found) if len(found) <= NAMES_SHOWN else f"{len(found):,} people ({names(found)})"


def length_of(due: Any) -> Any:
    """Return about how long a deadline is; five working days are a week, the rest stays."""
    return timedelta(days=due.count * 7 / 5) if isinstance(due, BusinessDays) else due
