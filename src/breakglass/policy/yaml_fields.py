"""From a node to a value: the few forms that a policy is written in, each with its error."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from breakglass.error_names import ErrorName
from breakglass.policy.yaml_nodes import Fields, Items, Node, Scalar, wrong, wrong_at
from breakglass.records.encoding.text_types import Code, Handle, Pattern, Prose, Severity, Word

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Each: TypeAlias = Callable[[str, Node], T]

_SPAN = re.compile(r"(0|[1-9][0-9]{0,5}) ?(s|m|h|d)", re.ASCII)
_DAYS = re.compile(r"([1-9][0-9]{0,2}) business days?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
CODE_OR_SEVERITY = Pattern("a severity such as SEV1, or 'other'", r"[A-Z][A-Z0-9]{0,15}|other")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class BusinessDays:
    """A wait counted in working days; which days those are is for ``due.py``."""

    count: int

    def __str__(self) -> str:
        return f"{self.count} business day{'s' if self.count > 1 else ''}"


Due: TypeAlias = timedelta | BusinessDays


def fields(
    node: Node, what: str, *, need: Collection[str] = (), may: Collection[str] = ()
) -> Mapping[str, Node]:
    """Return the entries of a mapping that has every key of ``need`` and none beyond ``may``.

    Args:
        node: any node.
        what: what the mapping describes, for the error: ``a glass``.
        need: keys that must be there.
        may: keys that may be there.

    Raises:
        MalformedError: not a mapping; an unknown key, with the nearest known one; a missing key.
    """
    if not isinstance(node, Fields):
        raise wrong(node, f"a mapping: {what}")
    known = [*need, *may]
    for key in node.entries:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise wrong_at(
                node.keys[key],
                f"{node.path}.{key[:60]}" if node.path else key[:60],
                f"a field of {what} ({', '.join(known)})",
                f"{key[:60]!r}",
                name=ErrorName.UNKNOWN_KEY,
                hint=f"did you mean {near[0]!r}?" if near else "",
            )
    for key in need:
        if key not in node.entries:
            raise wrong(node, f"'{key}' in {what}", "none", name=ErrorName.MISSING_KEY)
    return node.entries


def named(
    node: Node, what: str, each: Each[T], rule: Any = Handle, *, most: int = 1000
) -> dict[str, T]:
    """Read a mapping of free names to things: ``glasses``, ``people``, ``channels``."""
    if not isinstance(node, Fields):
        raise wrong(node, f"a mapping of names to {what}")
    if len(node.entries) > most:
        raise wrong(
            node, f"{most} {what} at most", str(len(node.entries)), name=ErrorName.TOO_LARGE
        )
    found = {}
    for key, value in node.entries.items():
        _check(rule, key, f"{node.keys[key]}: {node.path}")
        found[key] = each(key, value)
    return found


def items(
    node: Node, each: Callable[[Node], T], *, least: int = 0, most: int = 1000
) -> tuple[T, ...]:
    """Read a list, each item by ``each``."""
    if not isinstance(node, Items):
        raise wrong(node, "a list", hint="write it in brackets: [one, two]")
    if not least <= len(node.items) <= most:
        raise wrong(node, f"{least} to {most} items", str(len(node.items)))
    return tuple(each(item) for item in node.items)


def one_or_more(node: Node, each: Callable[[Node], T]) -> tuple[T, ...]:
    """Read a list, or one value that stands for a list of one."""
    return items(node, each, least=1, most=64) if isinstance(node, Items) else (each(node),)


def scalar(node: Node, expected: str) -> str:
    """Return the text of one value, which must be there."""
    if not isinstance(node, Scalar) or node.nothing:
        raise wrong(node, expected)
    return node.text


def text(node: Node) -> str:
    """Read prose on one line, 1 to 500 characters."""
    return _ruled(node, Prose(500, 1), "a text")


def word(node: Node) -> str:
    """Read a name of somebody else's: a role, a host, a database."""
    found = _ruled(node, Word, "a name")
    if not found.strip():
        raise wrong(node, "a name", "only spaces")
    return found


def handle(node: Node) -> str:
    """Read a name of ours."""
    return _ruled(node, Handle, "a name")


def code(node: Node) -> str:
    """Read a coded word."""
    return _ruled(node, Code, "a coded word")


def matching(node: Node, rule: Pattern) -> str:
    """Read a text of one form."""
    return _ruled(node, rule, rule.says)


def severity(node: Node) -> str:
    """Read an incident's severity."""
    return _ruled(node, Severity, "a severity such as SEV1")


def whole(node: Node, least: int, most: int) -> int:
    """Read a whole number within limits, both included."""
    expected = f"a whole number from {least} to {most}"
    found = scalar(node, expected)
    plain = isinstance(node, Scalar) and node.plain
    if not plain or not re.fullmatch(r"0|[1-9][0-9]{0,9}", found, re.ASCII):
        raise wrong(node, expected)
    if not least <= int(found) <= most:
        raise wrong(node, expected)
    return int(found)


def flag(node: Node) -> bool:
    """Read ``true`` or ``false``; YAML 1.1's yes, no, on and off are refused, as easily misread."""
    found = scalar(node, "true or false")
    if found not in {"true", "false"} or not (isinstance(node, Scalar) and node.plain):
        raise wrong(node, "true or false")
    return found == "true"


def choice(node: Node, kind: type[E]) -> E:
    """Read one of a fixed set of words."""
    expected = f"one of {', '.join(kind)}"
    found = scalar(node, expected)
    try:
        return kind(found)
    except ValueError as error:
        raise wrong(node, expected) from error


def span(node: Node, least: timedelta, most: timedelta) -> timedelta:
    """Read a duration such as ``30m``, ``120s``, ``12h`` within limits, both included."""
    expected = f"a duration from {say_span(least)} to {say_span(most)}, such as 30m or 120s"
    match = _SPAN.fullmatch(scalar(node, expected))
    if match is None:
        raise wrong(node, expected)
    found = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if not least <= found <= most:
        raise wrong(node, expected)
    return found


def due(node: Node) -> Due:
    """Read a deadline: ``3 business days``, or a duration of at most 90 days."""
    match = _DAYS.fullmatch(scalar(node, "a deadline such as '3 business days' or 72h"))
    if match is None:
        return span(node, timedelta(hours=1), timedelta(days=90))
    if int(match[1]) > 60:
        raise wrong(node, "60 business days at most")
    return BusinessDays(int(match[1]))


def day(node: Node) -> date:
    """Read a date, ``2026-12-31``."""
    found = scalar(node, "a date such as 2026-12-31")
    try:
        if not _DATE.fullmatch(found):
            raise ValueError(found)
        if not "2000" <= found < "2200":
            raise ValueError(found)
        return date.fromisoformat(found)
    except ValueError as error:
        raise wrong(node, "a date such as 2026-12-31") from error


def say_span(length: timedelta) -> str:
    """Write a duration in the largest unit that it is whole in.

    >>> say_span(timedelta(minutes=30)), say_span(timedelta(seconds=90)), say_span(timedelta(0))
    ('30m', '90s', '0s')
    """
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _ruled(node: Node, rule: Any, expected: str) -> str:
    found = scalar(node, expected)
    _check(rule, found, f"{node.place}: {node.path}")
    return found


def _check(rule: Any, found: str, where: str) -> None:
    # ``Handle`` and its like are Annotated[str, Pattern]: the rule of the records is the rule here.
    for each in getattr(rule, "__metadata__", (rule,)):
        if isinstance(each, Pattern | Prose):
            each.check(found, where)
