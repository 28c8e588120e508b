"""Read and write frozen dataclasses as JSON objects, strictly, from their own annotations.

A dataclass says everything: each field is required, no other field is allowed, and ``Annotated``
carries the rule of a text or a number. There is no default and no coercion. A field's trailing
underscore, which Python's own words need (``from_``), is not written.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Protocol, TypeVar, cast

from breakglass.canonical import Json, parse_strict
from breakglass.clock import format_time, parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError

T = TypeVar("T")
_Reader = Callable[[Json, str], Any]

# No sum of such a time and any span that we allow leaves what a datetime can hold.
_YEARS = range(2000, 3000)
_BODY_VALUES_AT_MOST = 200_000


class Rule(Protocol):
    """What ``Annotated`` may carry for a text or a number: ``Pattern``, ``Prose``, ``Between``."""

    def check(self, value: Any, where: str) -> None:
        """Refuse a value that breaks the rule.

        Raises:
            MalformedError: with the place.
        """
        ...


@dataclass(frozen=True)
class Between:
    """A whole number within limits, both included."""

    least: int
    most: int

    def check(self, number: int, where: str) -> None:
        """Refuse a number outside the limits.

        Raises:
            MalformedError: with the place and both limits.
        """
        if not self.least <= number <= self.most:
            raise MalformedError(f"{where}: expected {self.least} to {self.most}, got {number}")


@dataclass(frozen=True)
class TimeOrNothing:
    """A time in its one spelling, or the empty text."""

    def check(self, text: str, where: str) -> None:
        """Refuse what is neither.

        Raises:
            MalformedError: ``bad_time``, with the place.
        """
        if text:
            _read_time(text, where)


MaybeTime = typing.Annotated[str, TimeOrNothing()]


@dataclass(frozen=True)
class Many:
    """How many items a list or an object may hold."""

    most: int
    least: int = 0


Count = typing.Annotated[int, Between(0, 2**53 - 1)]


def read(kind: type[T], value: Json, where: str) -> T:
    """Make a ``kind`` (a frozen dataclass) from a JSON object that fits it exactly.

    Args:
        kind: the dataclass; its annotations are the rules.
        value: what ``parse_canonical`` returned.
        where: the place of the value in its text, for errors: ``intent.statements[0]``.

    Raises:
        MalformedError: a field is missing, unknown, of another type, or breaks its rule.
    """
    return cast("T", _object_reader(cast("Any", kind))(value, where))


def read_body(kind: type[T], body: bytes) -> T:
    """Read the JSON body of a request as ``kind``.

    Raises:
        MalformedError: not JSON in UTF-8, a key twice, too many values, or not exactly the fields
            of ``kind``.
    """
    # A list of empty lists takes twenty times its bytes; what is signed stands in texts, not lists.
    if body.count(b",") + body.count(b"[") > _BODY_VALUES_AT_MOST:
        raise MalformedError(
            f"request: more than {_BODY_VALUES_AT_MOST} values", name=ErrorName.TOO_LARGE
        )
    return read(kind, parse_strict(body, "request"), "request")


def write(value: object) -> dict[str, Json]:
    """Write a frozen dataclass as the JSON object that ``read`` takes; nothing is checked."""
    return {
        key.rstrip("_"): _write(getattr(value, key)) for key in _hints(cast("Any", type(value)))
    }


def written(value: object, where: str) -> dict[str, Json]:
    """Write a frozen dataclass, and refuse what ``read`` would refuse: before anybody signs it.

    Raises:
        MalformedError: as ``read``.
    """
    said = write(value)
    read(type(value), said, where)
    return said


def view(kind: type[T], *sources: object, **given: Any) -> T:
    """Make a ``kind`` to be shown: each field as ``given``, else of the first source that has it.

    Raises:
        AttributeError: no source has a field.
    """
    for name in _hints(cast("Any", kind)).keys() - given.keys():
        source = next((each for each in sources if hasattr(each, name)), None)
        given[name] = getattr(source, name)
    return kind(**given)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind)}


@cache
def _object_reader(kind: Any) -> _Reader:
    readers = {key.rstrip("_"): _reader(hint) for key, hint in _hints(kind).items()}
    names = {key.rstrip("_"): key for key in _hints(kind)}

    def take(value: Json, where: str) -> Any:
        if not isinstance(value, Mapping):
            raise MalformedError(f"{where}: expected an object, got {_name(value)}")
        if value.keys() != readers.keys():
            _refuse_fields(readers.keys(), value.keys(), where)
        return kind(
            **{names[key]: reader(value[key], f"{where}.{key}") for key, reader in readers.items()}
        )

    return take


def _refuse_fields(wanted: typing.KeysView[str], found: typing.KeysView[str], where: str) -> None:
    for key in sorted(found - wanted):
        raise MalformedError(f"{where}.{key[:40]}: unknown field", name=ErrorName.UNKNOWN_FIELD)
    for key in sorted(wanted - found):
        raise MalformedError(f"{where}.{key}: missing", name=ErrorName.MISSING_FIELD)


def _reader(hint: Any) -> _Reader:
    rules: tuple[Any, ...] = ()
    if typing.get_origin(hint) is typing.Annotated:
        hint, *extras = typing.get_args(hint)
        rules = tuple(extras)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _union_reader(typing.get_args(hint))
    if origin is tuple:
        return _list_reader(_reader(typing.get_args(hint)[0]), _many(rules))
    if origin is Mapping:
        key_hint, item = typing.get_args(hint)
        return _mapping_reader(_reader(key_hint), _reader(item), _many(rules))
    if is_dataclass(hint):
        return _object_reader(cast("Any", hint))
    if hint is datetime:
        return _read_time
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum_reader(hint)
    return _scalar_reader(hint, rules)


def _union_reader(options: tuple[Any, ...]) -> _Reader:
    nullable = types.NoneType in options
    kinds = [option for option in options if option is not types.NoneType]
    forms = {frozenset(_hints(kind)): _object_reader(kind) for kind in kinds}
    # Several objects in one place are told apart by their field names.
    assert len(forms) == len(kinds), f"{kinds} cannot be told apart"

    def take(value: Json, where: str) -> Any:
        if value is None and nullable:
            return None
        found = forms.get(frozenset(value)) if isinstance(value, Mapping) else None
        if found is not None:
            return found(value, where)
        if len(kinds) == 1:
            return _object_reader(kinds[0])(value, where)  # says what is missing
        raise MalformedError(f"{where}: the fields fit none of the forms allowed here")

    return take


def _list_reader(item: _Reader, many: Many | None) -> _Reader:
    def take(value: Json, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise MalformedError(f"{where}: expected a list, got {_name(value)}")
        _check_many(len(value), where, many)
        return tuple(item(each, f"{where}[{at}]") for at, each in enumerate(value))

    return take


def _mapping_reader(key_reader: _Reader, item: _Reader, many: Many | None) -> _Reader:
    def take(value: Json, where: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise MalformedError(f"{where}: expected an object, got {_name(value)}")
        _check_many(len(value), where, many)
        for key in value:
            key_reader(key, f"{where} key")
        return types.MappingProxyType(
            {key: item(each, f"{where}.{key}") for key, each in value.items()}
        )

    return take


def _read_time(value: Json, where: str) -> datetime:
    if not isinstance(value, str):
        raise MalformedError(f"{where}: expected a time, got {_name(value)}")
    try:
        moment = parse_time(value)
    except MalformedError as error:
        raise MalformedError(f"{where}: {error}", name=error.name) from error
    if moment.year not in _YEARS:
        raise MalformedError(f"{where}: expected a year from 2000 to 2999", name=ErrorName.BAD_TIME)
    return moment


def _enum_reader(kind: type[StrEnum]) -> _Reader:
    values = {each.value: each for each in kind}

    def take(value: Json, where: str) -> StrEnum:
        if not isinstance(value, str) or value not in values:
            raise MalformedError(
                f"{where}: expected one of {', '.join(values)}, got {str(value)[:60]!r}"
            )
        return values[value]

    return take


def _scalar_reader(kind: type, rules: tuple[Rule, ...]) -> _Reader:
    assert kind in _TYPE_NAMES, f"no rule to read {kind}"

    def take(value: Json, where: str) -> Json:
        if type(value) is not kind:  # bool is an int to isinstance; here it is not
            raise MalformedError(f"{where}: expected {_TYPE_NAMES[kind]}, got {_name(value)}")
        for rule in rules:
            rule.check(value, where)
        return value

    return take


def _many(rules: tuple[Any, ...]) -> Many | None:
    return next((rule for rule in rules if isinstance(rule, Many)), None)


def _check_many(found: int, where: str, rule: Many | None) -> None:
    if rule is not None and not rule.least <= found <= rule.most:
        raise MalformedError(f"{where}: expected {rule.least} to {rule.most} items, got {found}")


def _write(value: Any) -> Json:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, StrEnum):
        return value.value
    if is_dataclass(value):
        return write(value)
    if isinstance(value, Mapping):
        return {key: _write(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_write(item) for item in value]
    return cast("Json", value)


_TYPE_NAMES: dict[type, str] = {str: "a text", int: "a whole number", bool: "true or false"}


def _name(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "an object"
    return _TYPE_NAMES.get(type(value), "a list")
