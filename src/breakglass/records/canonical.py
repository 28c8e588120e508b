"""The one way that JSON is written here: RFC 8785, without floating point.

A text is read only if writing it again gives the same bytes, so two parties never disagree about
what was signed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias

from breakglass.errors import MalformedError

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"

MAX_INTEGER = 2**53 - 1  # RFC 8785 section 3.2.2.3: beyond it, implementations differ


def canonical(value: Json) -> str:
    """Write ``value`` as RFC 8785 JSON: no spaces, keys sorted by UTF-16 code units.

    Raises:
        MalformedError: a float, an integer beyond 2^53 - 1, or a lone surrogate.
    """
    _check(value)
    return json.dumps(_sorted(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def parse_canonical(text: str, what: str) -> Json:
    """Read ``text``, which must be exactly what ``canonical`` would write.

    Args:
        text: one JSON value, without a line end.
        what: names the text in errors, for example ``statement``.

    Raises:
        MalformedError: not JSON, a key given twice, a float, or not in canonical form.
    """
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except json.JSONDecodeError as error:
        raise MalformedError(
            f"{what} is not JSON: {error.msg} at character {error.pos}", name="bad_json"
        ) from error
    except (RecursionError, ValueError) as error:
        # Python refuses integers of more than 4,300 digits and very deep nesting.
        raise MalformedError(f"{what} is not JSON that we read", name="bad_json") from error
    if canonical(value) != text:
        raise MalformedError(
            f"{what} is not in the canonical form of RFC 8785", name="not_canonical"
        )
    return value


def _no_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedError("a key stands twice in one JSON object", name="duplicate_key")
    return found


def _no_float(text: str) -> NoReturn:
    raise MalformedError(f"number {text[:40]!r} is not a whole number", name="not_integer")


def _check(value: Json) -> None:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise MalformedError("a number is beyond 2^53 - 1", name="not_integer")
    elif isinstance(value, str):
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise MalformedError("a text holds a lone surrogate", name="bad_text")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _check(key)
            _check(item)
    elif isinstance(value, Sequence):
        for item in value:
            _check(item)
    else:
        raise MalformedError(f"{type(value).__name__} has no JSON form here", name="not_integer")


def _sorted(value: Json) -> Json:
    if isinstance(value, str) or value is None or isinstance(value, int):
        return value
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return {key: _sorted(value[key]) for key in keys}
    return [_sorted(item) for item in value]
