"""Request bodies, read strictly into frozen dataclasses: no coercion, no default, nothing extra."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from breakglass.errors import MalformedError
from breakglass.records.shape import read

T = TypeVar("T")


def read_body(kind: type[T], body: bytes) -> T:
    """Read a JSON body as ``kind``.

    Raises:
        MalformedError: not JSON in UTF-8, a key twice, or not exactly the fields of ``kind``.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except (ValueError, RecursionError) as error:
        raise MalformedError("request is not JSON in UTF-8", name="bad_json") from error
    return read(kind, value, "request")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedError("a key stands twice in one JSON object", name="duplicate_key")
    return found


def _no_float(text: str) -> NoReturn:
    raise MalformedError(f"number {text[:40]!r} is not a whole number", name="not_integer")
