"""The one way that JSON is written here: RFC 8785, without floating point.

A text is read only if writing it again gives the same bytes, so two parties never disagree about
what was signed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"

MAX_INTEGER = 2**53 - 1  # RFC 8785 section 3.2.2.3: beyond it, implementations differ
MAX_DEPTH = 32  # our deepest form has seven levels; a parser's own limit differs by version

_SURROGATE = re.compile("[\ud800-\udfff]")
_WRITER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_SORTER = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True
)


def canonical(value: Json) -> str:
    """Write ``value`` as RFC 8785 JSON: no spaces, keys sorted by UTF-16 code units.

    Raises:
        MalformedError: a float, an integer beyond 2^53 - 1, a lone surrogate, or more than 32
            levels.

    >>> canonical({"b": [1, True], "a": "\u2028"}) == '{"a":"\u2028","b":[1,true]}'
    True
    """
    return _WRITER.encode(_plain(value, MAX_DEPTH))


def parse_canonical(text: str, what: str) -> Json:
    """Read ``text``, which must be exactly what ``canonical`` would write.

    Args:
        text: one JSON value, without a line end.
        what: names the text in errors, for example ``statement``.

    Raises:
        MalformedError: ``bad_json``, ``duplicate_key``, ``not_integer`` for a float or a number
            too large, ``bad_text`` for a lone surrogate, or ``not_canonical`` for another spelling.
    """
    try:
        value: Json = _READER.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedError(
            f"{what} is not JSON: {error.msg} at character {error.pos}", name=ErrorName.BAD_JSON
        ) from error
    except (RecursionError, ValueError) as error:
        # Python refuses integers of more than 4,300 digits and very deep nesting.
        raise MalformedError(f"{what} is not JSON that we read", name=ErrorName.BAD_JSON) from error
    if not _plainly_canonical(value, text) and canonical(value) != text:
        raise MalformedError(
            f"{what} is not in the canonical form of RFC 8785", name=ErrorName.NOT_CANONICAL
        )
    return value


def parse_strict(data: bytes, what: str) -> Json:
    """Read JSON in UTF-8 that need not be canonical: the body of a request.

    Raises:
        MalformedError: ``bad_json``, ``duplicate_key`` or ``not_integer``.
    """
    try:
        value: Json = _ANY_SIZE.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{what} is not JSON in UTF-8", name=ErrorName.BAD_JSON) from error
    return value


def parse_lines(text: str, header: str, what: str) -> Json:
    """Read a signed text: the line ``header``, one line of canonical JSON, a line end.

    Lines end at 0x0A alone; RFC 8785 leaves U+2028 and U+0085 raw.

    Raises:
        MalformedError: ``bad_lines`` for other lines, or as ``parse_canonical``.
    """
    lines = text.split("\n")
    if len(lines) != 3 or lines[0] != header or lines[2]:
        raise MalformedError(
            f"{what}: expected the line {header!r}, one line of JSON, a line end",
            name=ErrorName.BAD_LINES,
        )
    return parse_canonical(lines[1], what)


def utf8(text: str) -> bytes:
    """Return the bytes of a text.

    Raises:
        MalformedError: ``bad_text``; half characters, which JSON can name and UTF-8 cannot hold.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MalformedError("a text holds a lone surrogate", name=ErrorName.BAD_TEXT) from error


def _no_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedError("a key stands twice in one JSON object", name=ErrorName.DUPLICATE_KEY)
    return found


def _no_float(text: str) -> NoReturn:
    raise MalformedError(f"number {text[:40]!r} is not a whole number", name=ErrorName.NOT_INTEGER)


def _whole(text: str) -> int:
    value = int(text)
    if abs(value) > MAX_INTEGER:
        raise MalformedError("a number is beyond 2^53 - 1", name=ErrorName.NOT_INTEGER)
    return value


_READER = json.JSONDecoder(
    object_pairs_hook=_no_duplicates,
    parse_int=_whole,
    parse_float=_no_float,
    parse_constant=_no_float,
)


_ANY_SIZE = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_float=_no_float, parse_constant=_no_float
)


def _plainly_canonical(value: Json, text: str) -> bool:
    """Say whether ``text`` is surely what ``canonical`` writes; if not, that is not known yet.

    This runs for every record that anybody folds. In ASCII, code points sort as code units do, and
    so few brackets are never too deep.
    """
    shallow = text.count("[") + text.count("{") <= MAX_DEPTH
    return shallow and text.isascii() and _SORTER.encode(value) == text


def _plain(value: Json, depth: int) -> Json:
    if isinstance(value, str):
        if not value.isascii() and _SURROGATE.search(value):
            raise MalformedError("a text holds a lone surrogate", name=ErrorName.BAD_TEXT)
        return value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise MalformedError("a number is beyond 2^53 - 1", name=ErrorName.NOT_INTEGER)
        return value
    if not depth:
        raise MalformedError(f"JSON of more than {MAX_DEPTH} levels", name=ErrorName.BAD_JSON)
    if isinstance(value, Mapping):
        if all(map(str.isascii, value)):  # then code points and code units sort alike
            depth -= 1
            return {
                # Most of a record is plain texts: they cost no call.
                key: item
                if type(item := value[key]) is str and item.isascii()
                else _plain(item, depth)
                for key in sorted(value)
            }
        keys = sorted(value, key=_code_units)
        return {_plain_key(key): _plain(value[key], depth - 1) for key in keys}
    if isinstance(value, list | tuple):
        return [_plain(item, depth - 1) for item in value]
    raise MalformedError(
        f"{type(value).__name__} has no JSON form here", name=ErrorName.NOT_INTEGER
    )


def _code_units(key: str) -> bytes:
    # Big-endian, so that the order of bytes is the order of code units.
    return key.encode("utf-16-be", "surrogatepass")


def _plain_key(key: str) -> str:
    if _SURROGATE.search(key):
        raise MalformedError("a key holds a lone surrogate", name=ErrorName.BAD_TEXT)
    return key
