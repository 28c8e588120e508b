"""Requests to the minter, read strictly: what is missing, unknown or of another type is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from breakglass.errors import MalformedError
from breakglass.records.shape import Count, read
from breakglass.records.signing import Signed, SignedByPasskey
from breakglass.records.words import GrantId

T = TypeVar("T")


@dataclass(frozen=True)
class MintRequest:
    """``POST /mint``: the token's text, and how long ago the person asked, by the broker."""

    token: str
    asked_ms_ago: Count


@dataclass(frozen=True)
class EndRequest:
    """``POST /end``: the holder's *done* or a *kill* of this grant."""

    grant: GrantId
    statement: Signed | SignedByPasskey


@dataclass(frozen=True)
class ForgoRequest:
    """``POST /forgo``: promise never to mint this grant, if it was not minted."""

    grant: GrantId


def read_request(kind: type[T], body: bytes) -> T:
    """Read a JSON body as ``kind``.

    Raises:
        MalformedError: not JSON, a key twice, or not exactly the fields of ``kind``.
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
