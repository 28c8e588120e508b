"""A process folder's ``settings.toml``, read once at start.

One frozen dataclass per process gives the names and defaults. In the file a ``timedelta`` field
``commit_every`` is written ``commit_every_s = 0.01`` (seconds), a ``Path`` is relative to the
folder, and a nested dataclass is a table. The line ``key`` says how the key is kept; it is read by
``keeping``, for every process alike.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, reason
from breakglass.process.folder import SETTINGS
from breakglass.process.key_store import KEY

S = TypeVar("S")


def read_settings(folder: Path, given: type[S]) -> S:
    """Read ``settings.toml`` of ``folder`` into the dataclass ``given``.

    Fields may be ``str``, ``int``, ``float``, ``bool``, ``Path``, ``timedelta``, a tuple or a
    ``Mapping[str, …]`` of these, a nested dataclass, or any of them ``| None``; or a union of
    dataclasses, each with a class variable ``type`` that the table names.

    Raises:
        MisconfiguredError: no such file, not TOML, an unknown or missing key, or a value of
            another type; the message names the file and the key.
    """
    path = folder / SETTINGS
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise MisconfiguredError(
            f"{str(path)!r} is missing; not started", hint="name the folder of one process"
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MisconfiguredError(
            f"{str(path)!r} cannot be read: {reason(error)}; not started"
        ) from error
    table.pop(KEY, None)  # not a setting of one process: ``keeping`` reads it
    return _filled(_Place(path, folder, ""), table, given)


def neighbour_at(folder: Path, where: str) -> str | Path:
    """Return a neighbour's address, or the file that holds it.

    Neither file nor folder need be there: a neighbour may come later, or have moved to another
    host, and nobody else may be kept from starting by that.

    Raises:
        MisconfiguredError: nothing is named, or an address of another form.
    """
    if not where:
        raise MisconfiguredError("a neighbour's address is empty; not started")
    if "://" in where:
        for each in where.split(","):
            _check_address(each.strip())
        return where
    return folder / where


def _check_address(text: str) -> None:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none
        whole = False
    if not whole:
        raise MisconfiguredError(
            f"a neighbour's address is {text[:100]!r}, which cannot be called; not started",
            name=ErrorName.BAD_ADDRESS,
            hint="write it as https://IP:PORT#PIN, as 'breakglass join' prints it",
        )


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where we are in the file, for messages, and what paths are relative to."""

    path: Path
    folder: Path
    key: str

    def at(self, key: str) -> _Place:
        return dataclasses.replace(self, key=f"{self.key}.{key}" if self.key else key)

    def wrong(self, what: str) -> MisconfiguredError:
        return MisconfiguredError(f"{str(self.path)!r}: {self.key!r} {what}; not started")


def _filled(place: _Place, table: Mapping[str, Any], given: type[S]) -> S:
    if not dataclasses.is_dataclass(given):
        raise TypeError(f"{given!r} is no dataclass")
    hints = typing.get_type_hints(given)
    values: dict[str, Any] = {}
    left = dict(table)
    for field in dataclasses.fields(given):
        key = f"{field.name}_s" if timedelta in _choices(hints[field.name]) else field.name
        if key in left:
            values[field.name] = _value(place.at(key), left.pop(key), hints[field.name])
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise place.at(key).wrong("is missing")
    if left:
        raise place.at(min(left)).wrong("is unknown")
    try:
        return given(**values)
    except ValueError as error:  # a class may check itself in __post_init__
        raise MisconfiguredError(f"{str(place.path)!r}: {error}; not started") from error


def _choices(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return tuple(each for each in typing.get_args(hint) if each is not type(None))
    return (hint,)


def _value(place: _Place, value: Any, hint: Any) -> Any:
    choices = _choices(hint)
    if len(choices) > 1:
        return _of_type(place, value, choices)
    (wanted,) = choices
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if dataclasses.is_dataclass(wanted) and isinstance(value, dict):
        return _filled(place, value, typing.cast(type[Any], wanted))
    if origin is tuple and isinstance(value, list):
        return tuple(_value(place, each, inner[0]) for each in value)
    if origin is not None and issubclass(origin, Mapping) and isinstance(value, dict):
        return {key: _value(place.at(key), each, inner[1]) for key, each in value.items()}
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is timedelta and number and value >= 0:
        return timedelta(seconds=value)
    if wanted is Path and isinstance(value, str):
        return place.folder / value
    if wanted is float and number:
        return float(value)
    if wanted in (str, int, bool) and type(value) is wanted:
        return value
    name = "a number of seconds, 0 or more" if wanted is timedelta else _said(wanted)
    raise place.wrong(f"is {str(value)[:40]!r}, wanted {name}")


def _of_type(place: _Place, table: Any, kinds: tuple[Any, ...]) -> Any:
    """Fill the one of several dataclasses whose ``type`` the table names."""
    if not isinstance(table, dict):
        raise place.wrong(f"is {str(table)[:40]!r}, wanted a table")
    name = table.get("type", "")
    found = next((each for each in kinds if each.type == name), None)
    if found is None:
        wanted = " or ".join(repr(each.type) for each in kinds)
        raise place.at("type").wrong(f"is {str(name)[:40]!r}, wanted {wanted}")
    return _filled(place, {key: table[key] for key in table if key != "type"}, found)


def _said(wanted: Any) -> str:
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    if wanted is Path:
        return "a path"
    if dataclasses.is_dataclass(wanted) or typing.get_origin(wanted) is not tuple:
        return words.get(wanted, "a table")
    return "a list"
