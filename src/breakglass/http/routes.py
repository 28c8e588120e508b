"""A process's routes as a typed table: who asks, what a route takes, what it gives.

A handler is a plain function of two arguments, who asks and what was asked, that returns a value
or raises; the type checker holds it to its row. It is synchronous and runs in a thread, one for
each request that is at work. ``edge.py`` turns bytes into its arguments and its value into bytes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from types import NoneType
from typing import Any, Generic, TypeVar

from breakglass.errors import BreakglassError, MalformedError
from breakglass.strict_json import write

Asker = TypeVar("Asker")
Taken = TypeVar("Taken")
Given = TypeVar("Given")


@dataclass(frozen=True)
class Request(Generic[Taken]):
    """One request, read whole."""

    path: Mapping[str, str]  # the parts of the path that the route names
    query: Mapping[str, str]
    body: Taken
    headers: Mapping[str, str]
    method: str = "GET"
    target: str = ""  # path and query, byte for byte as they came
    peer: str = ""  # the address at the other end of the connection; a proxy's, where one stands

    def number(self, name: str, default: int | None = None) -> int:
        """Read a whole number from the path or the query.

        Raises:
            MalformedError: missing without a default, or not decimal digits.
        """
        text = self.path.get(name, self.query.get(name))
        if text is None and default is not None:
            return default
        if text is None or not (text.isascii() and text.isdigit() and len(text) < 19):
            raise MalformedError(f"{name!r} is {str(text)[:40]!r}, wanted a whole number")
        return int(text)


@dataclass(frozen=True)
class Response:
    """One answer whose bytes, status or headers its handler chose itself."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Streamed:
    """One answer whose body is read part by part, each in a thread.

    If reading it fails the connection is cut, so the asker sees that it is not whole.
    """

    size: int  # bytes
    parts: Iterator[bytes]
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Nobody:
    """Whoever reaches the port: a route that asks nothing of its asker."""


def nobody(asked: Request[bytes]) -> Nobody:
    """Let everybody ask. A rule that knows its asker returns a type of its own, or raises."""
    return Nobody()


@dataclass(frozen=True)
class Route:
    """One row of the table. ``get`` and ``post`` make it: they hold its parts to each other.

    Args:
        method: ``GET`` or ``POST``.
        path: with the names of its parts, ``/proof/{index}``.
        who: who asks, from the whole request before its body is read as anything; raises to refuse.
        takes: a frozen dataclass that a JSON body must fit exactly; ``bytes``: as it came;
            ``NoneType``: there is no body.
        handler: the work.
        gives: a dataclass that is written as JSON; ``dict``: JSON of another process, handed on;
            ``Response`` or ``Streamed``: as it is.
        body_at_most: bytes; a longer body is refused with 413 before it is read whole.
        crowd: bounds how many are at work; ``None``: as many as there are threads.
    """

    method: str
    path: str
    who: Callable[[Request[bytes]], Any]
    takes: type[Any]
    handler: Callable[[Any, Request[Any]], Any]
    gives: type[Any]
    body_at_most: int = 0
    crowd: Crowd | None = None


def get(
    path: str,
    who: Callable[[Request[bytes]], Asker],
    handler: Callable[[Asker, Request[None]], Given],
    gives: type[Given],
    crowd: Crowd | None = None,
) -> Route:
    """Make a route that reads; see ``Route``."""
    return Route("GET", path, who, NoneType, handler, gives, crowd=crowd)


def post(
    path: str,
    who: Callable[[Request[bytes]], Asker],
    takes: type[Taken],
    handler: Callable[[Asker, Request[Taken]], Given],
    gives: type[Given],
    body_at_most: int,
    crowd: Crowd | None = None,
) -> Route:
    """Make a route that acts; see ``Route``."""
    return Route("POST", path, who, takes, handler, gives, body_at_most, crowd)


class StatusError(BreakglassError):
    """Wraps an error to send it under a status of its own, with more fields beside it.

    Args:
        error: what is told.
        status: HTTP status, where the kind's own would say too little (409, 413, 429).
        more: further fields of the JSON answer.
    """

    def __init__(self, error: BreakglassError, status: int, **more: Any) -> None:
        super().__init__(error.message, name=error.name, hint=error.hint)
        self.http_status = status
        self.exit_code = error.exit_code
        self.more = more


def json_response(value: Any, status: int = 200) -> Response:
    """Answer with JSON, of a dataclass or of plain values."""
    plain = write(value) if is_dataclass(value) else value
    return Response(json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode(), status)


def text_response(
    text: str, status: int = 200, kind: str = "text/plain; charset=utf-8"
) -> Response:
    """Answer with text."""
    return Response(text.encode(), status, kind)


def error_json(error: BreakglassError) -> dict[str, Any]:
    """Return an error of ours as its JSON."""
    more = error.more if isinstance(error, StatusError) else {}
    return {"error": error.name, "message": error.message, "hint": error.hint, **more}


class Crowd:
    """How many requests of some kind may be at work at once; those beyond are refused at once.

    Each request holds a thread. Without a bound, requests that all wait for one thing (a disk, a
    commit) take every thread, and then nobody is told anything, not even how the process is.

    Args:
        at_most: how many.
        refusal: what those beyond are told; nothing was done for them.
    """

    def __init__(self, at_most: int, refusal: BreakglassError) -> None:
        self._at_most = at_most
        self._refusal = refusal
        self._count = 0

    def refuse_if_full(self) -> None:
        """Look, on the event loop's thread.

        Raises:
            BreakglassError: as many as may be are at work.
        """
        if self._count >= self._at_most:
            raise self._refusal

    @contextlib.contextmanager
    def one_more(self) -> Iterator[None]:
        """Count one request while it is at work.

        Raises:
            BreakglassError: as above.
        """
        self.refuse_if_full()
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
