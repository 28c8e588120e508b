"""How values of one annotation are written and read; see ``whole_form.py``."""

from __future__ import annotations

import base64
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar, cast

from breakglass.canonical import Json

T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_ONCE: set[type] = set()


def written_once(kind: type[T]) -> type[T]:
    """Mark a frozen class whose values stand in many places: each is written once, by content."""
    _ONCE.add(kind)
    return kind


@dataclass(frozen=True)
class Part:
    """How values of one annotation are written and read; ``says`` is its line of the schema."""

    write: Callable[[Any, Written], Json]
    read: Callable[[Any, Read], Any]
    says: str


class Written:
    """The values that are written once, in order; each before those that name it."""

    def __init__(self) -> None:
        self.forms: list[Json] = []
        self._by_content: dict[str, int] = {}
        self._by_identity: dict[int, int] = {}  # what is written stays alive meanwhile

    def place(self, value: object, write: Callable[[Any, Written], Json]) -> int:
        """Return the place of a value, written now if it is new."""
        place = self._by_identity.get(id(value))
        if place is None:
            form = write(value, self)
            content = json.dumps([type(value).__qualname__, form], sort_keys=True)
            place = self._by_content.setdefault(content, len(self.forms))
            if place == len(self.forms):
                self.forms.append(form)
            self._by_identity[id(value)] = place
        return place


class Read:
    """The same, while reading: a value names only what stands before it."""

    def __init__(self, forms: list[Json]) -> None:
        self._forms = forms
        self._below = len(forms)
        self._values: dict[tuple[int, str], Any] = {}

    def value(self, place: int, kind: str, read: Callable[[Any, Read], Any]) -> Any:
        """Return the value at a place, read now if it was not yet.

        Raises:
            LookupError: it does not stand before the one that is being read.
        """
        if type(place) is not int or not 0 <= place < self._below:
            raise LookupError(f"value {place!r} of {self._below}")
        if (place, kind) not in self._values:
            outer, self._below = self._below, place
            self._values[(place, kind)] = read(self._forms[place], self)
            self._below = outer
        return self._values[(place, kind)]


Names = tuple[tuple[str, Any], ...]


@cache
def part_of(hint: Any, names: Names) -> Part:
    """Return how values of an annotation are written and read.

    Raises:
        TypeError: it has no form.
    """
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin is typing.Annotated:
        return part_of(inner[0], names)
    if origin in (typing.Union, types.UnionType):
        return _union(inner, names)
    if origin is tuple and inner[-1:] != (...,):
        return _product(lambda items: items, None, [part_of(each, names) for each in inner])
    if origin in (tuple, list, set, frozenset):
        return _many(origin, part_of(inner[0], names))
    if origin in (dict, Mapping):
        return _mapping(origin, *(part_of(each, names) for each in inner))
    if hasattr(origin, "read_form"):
        says = ",".join([origin.__qualname__, *(each.__qualname__ for each in inner)])
        return _once(
            Part(
                lambda value, once: value.form(),
                lambda form, once: origin.read_form(form, *inner),
                f"{says}!",
            )
        )
    if is_dataclass(hint):
        return _dataclass(cast("Any", hint), names)
    if isinstance(hint, type):
        return _scalar(hint)
    raise TypeError(f"{hint!r} has no form")


def _once(part: Part) -> Part:
    return Part(
        lambda value, once: once.place(value, part.write),
        lambda form, once: once.value(form, part.says, part.read),
        f"once {part.says}",
    )


def _dataclass(kind: Any, names: Names) -> Part:
    hints = typing.get_type_hints(kind, localns=dict(names), include_extras=True)
    if not all(each.init and not each.kw_only for each in fields(kind)):
        raise TypeError(f"{kind.__qualname__} is not made from its fields in order")
    parts = {each.name: part_of(hints[each.name], names) for each in fields(kind)}
    part = _product(lambda items: kind(*items), tuple(parts), list(parts.values()))
    says = ",".join(f"{name}:{each.says}" for name, each in parts.items())
    part = Part(part.write, part.read, f"{kind.__qualname__}({says})")
    return _once(part) if kind in _ONCE else part


def _product(
    make: Callable[[tuple[Any, ...]], Any], names: tuple[str, ...] | None, parts: list[Part]
) -> Part:
    writers, readers = [each.write for each in parts], [each.read for each in parts]

    def write(value: Any, once: Written) -> Json:
        items = value if names is None else [getattr(value, name) for name in names]
        return [write(item, once) for write, item in zip(writers, items, strict=True)]

    def read(form: Any, once: Read) -> Any:
        _is(form, list)
        return make(tuple(read(each, once) for read, each in zip(readers, form, strict=True)))

    return Part(write, read, f"({','.join(each.says for each in parts)})")


def _many(kind: Any, part: Part) -> Part:
    ordered = kind in (tuple, list)

    def write(value: Any, once: Written) -> Json:
        forms = [part.write(each, once) for each in value]
        return forms if ordered else sorted(forms, key=json.dumps)

    def read(form: Any, once: Read) -> Any:
        _is(form, list)
        found = kind(part.read(each, once) for each in form)
        if len(found) != len(form):
            raise ValueError("an item stands twice")
        return found

    return Part(write, read, f"{kind.__name__}[{part.says}]")


def _mapping(kind: Any, key: Part, item: Part) -> Part:
    make = dict if kind is dict else MappingProxyType

    def write(value: Any, once: Written) -> Json:
        return [[key.write(name, once), item.write(each, once)] for name, each in value.items()]

    def read(form: Any, once: Read) -> Any:
        found = {key.read(name, once): item.read(each, once) for name, each in form}
        if len(found) != len(form):
            raise ValueError("a key stands twice")
        return make(found)

    return Part(write, read, f"{kind.__name__}[{key.says},{item.says}]")


def _union(options: tuple[Any, ...], names: Names) -> Part:
    kinds = [each for each in options if each is not types.NoneType]
    parts = {each.__qualname__: part_of(each, names) for each in kinds}
    tagged = _one_of(parts) if len(parts) > 1 else next(iter(parts.values()))
    if len(kinds) == len(options):
        return tagged
    return Part(
        lambda value, once: None if value is None else tagged.write(value, once),
        lambda form, once: None if form is None else tagged.read(form, once),
        f"maybe {tagged.says}",
    )


def _one_of(parts: dict[str, Part]) -> Part:
    def write(value: Any, once: Written) -> Json:
        name = type(value).__qualname__
        return [name, parts[name].write(value, once)]

    def read(form: Any, once: Read) -> Any:
        name, own = form
        return parts[name].read(own, once)

    return Part(write, read, f"[{'|'.join(f'{n}={each.says}' for n, each in parts.items())}]")


def _scalar(kind: type) -> Part:
    if kind in _SCALARS:
        write, read = _SCALARS[kind]
        return Part(lambda value, once: write(value), lambda form, once: read(form), kind.__name__)
    if issubclass(kind, StrEnum):
        members = {each.value: each for each in kind}
        return Part(
            lambda value, once: value.value, lambda form, once: members[form], kind.__qualname__
        )
    if issubclass(kind, str):
        return Part(
            lambda value, once: str(value),
            lambda form, once: kind(_is(form, str)),
            kind.__qualname__,
        )
    raise TypeError(f"{kind!r} has no form")


def _is(form: Any, kind: type) -> Any:
    if type(form) is not kind:  # true is an int to isinstance
        raise TypeError(f"expected {kind.__name__}, got {type(form).__name__}")
    return form


def _bytes(value: bytes) -> Json:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return [base64.b64encode(value).decode()]


def _read_bytes(form: Any) -> bytes:
    if isinstance(form, str):
        return form.encode()
    (text,) = _is(form, list)
    return base64.b64decode(text, validate=True)


_SCALARS: dict[type, tuple[Callable[[Any], Json], Callable[[Any], Any]]] = {
    str: (lambda value: value, lambda form: _is(form, str)),
    int: (lambda value: value, lambda form: _is(form, int)),
    bool: (lambda value: value, lambda form: _is(form, bool)),
    bytes: (_bytes, _read_bytes),
    datetime: (
        lambda value: (value - _EPOCH) // _TICK,
        lambda form: _EPOCH + timedelta(microseconds=_is(form, int)),
    ),
    timedelta: (
        lambda value: value // _TICK,
        lambda form: timedelta(microseconds=_is(form, int)),
    ),
    date: (lambda value: value.toordinal(), lambda form: date.fromordinal(_is(form, int))),
}
