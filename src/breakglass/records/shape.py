"""Read and write frozen dataclasses as JSON objects, strictly, from their own annotations.

A dataclass says everything: each field is required, no other field is allowed, and ``Annotated``
carries the rule of a text or a number. There is no default and no coercion.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, cast

from breakglass.clock import format_time, parse_time
from breakglass.errors import MalformedError
from breakglass.records.canonical import Json
from breakglass.records.words import Pattern, Prose

T = TypeVar("T")


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
    if not isinstance(value, Mapping):
        raise MalformedError(f"{where}: expected an object, got {_name(value)}")
    hints = _hints(cast("type[Any]", kind))
    for key in value:
        if key not in hints:
            raise MalformedError(f"{where}.{key[:40]}: unknown field", name="unknown_field")
    for key in hints:
        if key not in value:
            raise MalformedError(f"{where}.{key}: missing", name="missing_field")
    return kind(**{key: _read(hint, value[key], f"{where}.{key}") for key, hint in hints.items()})


def write(value: object) -> dict[str, Json]:
    """Write a frozen dataclass as the JSON object that ``read`` takes."""
    return {key: _write(getattr(value, key)) for key in _hints(cast("type[Any]", type(value)))}


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind)}


def _read(hint: Any, value: Json, where: str) -> Any:
    rules: tuple[Any, ...] = ()
    if typing.get_origin(hint) is typing.Annotated:
        hint, *extras = typing.get_args(hint)
        rules = tuple(extras)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _read_union(hint, value, where)
    if origin is tuple:
        return _read_list(typing.get_args(hint)[0], value, where, rules)
    if origin is Mapping:
        key_hint, item = typing.get_args(hint)
        return _read_mapping(key_hint, item, value, where, rules)
    if is_dataclass(hint):
        return read(cast("type[Any]", hint), value, where)
    return _read_scalar(hint, value, where, rules)


def _read_union(hint: Any, value: Json, where: str) -> Any:
    options = [option for option in typing.get_args(hint) if option is not types.NoneType]
    if value is None:
        return None
    if len(options) == 1:
        return _read(options[0], value, where)
    # Several objects in one place are told apart by their field names, which never coincide.
    keys = set(value) if isinstance(value, Mapping) else set()
    for option in options:
        if keys == set(_hints(option)):
            return read(option, value, where)
    raise MalformedError(f"{where}: the fields fit none of the forms allowed here")


def _read_list(item: Any, value: Json, where: str, rules: tuple[Any, ...]) -> tuple[Any, ...]:
    if isinstance(value, str | Mapping) or not isinstance(value, list):
        raise MalformedError(f"{where}: expected a list, got {_name(value)}")
    _check_many(len(value), where, rules)
    return tuple(_read(item, each, f"{where}[{at}]") for at, each in enumerate(value))


def _read_mapping(
    key_hint: Any, item: Any, value: Json, where: str, rules: tuple[Any, ...]
) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise MalformedError(f"{where}: expected an object, got {_name(value)}")
    _check_many(len(value), where, rules)
    for key in value:
        _read(key_hint, key, f"{where} key")
    return types.MappingProxyType(
        {key: _read(item, each, f"{where}.{key}") for key, each in value.items()}
    )


def _read_scalar(hint: Any, value: Json, where: str, rules: tuple[Any, ...]) -> Any:
    if hint is datetime:
        if not isinstance(value, str):
            raise MalformedError(f"{where}: expected a time, got {_name(value)}")
        return parse_time(value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        try:
            return hint(cast("str", value))
        except ValueError as error:
            allowed = ", ".join(hint)
            raise MalformedError(f"{where}: expected one of {allowed}, got {value!r}") from error
    if type(value) is not hint:  # bool is an int to isinstance; here it is not
        raise MalformedError(f"{where}: expected {_TYPE_NAMES[hint]}, got {_name(value)}")
    for rule in rules:
        if isinstance(rule, Pattern | Prose | Between):
            rule.check(cast("Any", value), where)
    return value


def _check_many(found: int, where: str, rules: tuple[Any, ...]) -> None:
    for rule in rules:
        if isinstance(rule, Many) and not rule.least <= found <= rule.most:
            raise MalformedError(
                f"{where}: expected {rule.least} to {rule.most} items, got {found}"
            )


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


_TYPE_NAMES = {str: "a text", int: "a whole number", bool: "true or false"}


def _name(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, int):
        return "a whole number"
    return "an object" if isinstance(value, Mapping) else "a list"
