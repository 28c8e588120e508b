"""The edge where requests come in: plain functions behind Starlette, and one form of error.

Handlers are synchronous (``def``) and run in threads; a handler that waits holds one thread. Every
error leaves as ``{"error": name, "message": …, "hint": …}``; one that is not ours says nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse
from starlette.responses import StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from breakglass.errors import BreakglassError, MalformedError

log = logging.getLogger("breakglass")
BODY_AT_MOST = "breakglass.body_at_most"  # in a request's scope: its route's own cap


@dataclass(frozen=True)
class Request:
    """One request, read whole."""

    path: Mapping[str, str]  # the parts of the path that the route names
    query: Mapping[str, str]
    body: bytes
    headers: Mapping[str, str]

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
    """One answer."""

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


Handler = Callable[[Request], Response]
AnyHandler = Callable[[Request], Response | Streamed]


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
    """Answer with JSON."""
    return Response(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(), status)


def text_response(
    text: str, status: int = 200, kind: str = "text/plain; charset=utf-8"
) -> Response:
    """Answer with text."""
    return Response(text.encode(), status, kind)


def error_response(error: BreakglassError) -> Response:
    """Say an error of ours to a neighbour."""
    more = error.more if isinstance(error, StatusError) else {}
    return json_response(
        {"error": error.name, "message": error.message, "hint": error.hint, **more},
        error.http_status,
    )


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

    async def run(self, handler: AnyHandler, asked: Request) -> Response | Streamed:
        """Answer one request in a thread.

        Raises:
            BreakglassError: as above.
        """
        with self.one_more():
            return await anyio.to_thread.run_sync(_answered, handler, asked)

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


def route(
    method: str,
    path: str,
    handler: AnyHandler,
    *,
    body_at_most: int = 0,
    crowd: Crowd | None = None,
) -> Route:
    """Make a Starlette route of a plain function.

    Args:
        method: ``GET``, ``POST`` or ``PUT``.
        path: in Starlette's form, ``/proof/{index}``.
        handler: called in a thread of its own for each request.
        body_at_most: bytes; a longer body is refused with 413 before it is read whole.
        crowd: bounds how many are at work; ``None``: as many as there are threads.
    """

    async def endpoint(request: StarletteRequest) -> StarletteResponse:
        if crowd is not None:
            await _refuse_if_full(crowd, request, body_at_most)
        body = await _read(request, body_at_most)
        asked = Request(request.path_params, request.query_params, body, request.headers)
        if crowd is not None:
            return as_response(await crowd.run(handler, asked))
        return as_response(await anyio.to_thread.run_sync(_answered, handler, asked))

    return Route(path, endpoint, methods=[method])


async def _refuse_if_full(crowd: Crowd, request: StarletteRequest, at_most: int) -> None:
    try:
        crowd.refuse_if_full()
    except BreakglassError:
        # Read to its end, or the sender would hear of a cut connection and not of the reason.
        read = 0
        async for part in request.stream():
            read += len(part)
            if read > at_most:
                break
        raise


def dressed(app: Starlette, body_at_most: int) -> ASGIApp:
    """Put the error edge and a cap on bodies around a Starlette or FastAPI application.

    Routes made by ``route`` have both already; this serves the rest: unknown paths, routes of
    another make, and whatever slips through.

    Args:
        app: its exception handlers are replaced by ours.
        body_at_most: bytes in a request body, on any route.
    """
    for kind in list(app.exception_handlers):
        if hasattr(kind, "errors"):  # FastAPI's validation error, known without importing it
            app.add_exception_handler(kind, _invalid)
    app.add_exception_handler(BreakglassError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _internal)
    return _Edge(app, body_at_most)


class _Edge:
    """Counts body bytes; and nothing that the application raises passes it."""

    def __init__(self, app: ASGIApp, body_at_most: int) -> None:
        self._app = app
        self._body_at_most = body_at_most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            at_most = scope.get(BODY_AT_MOST, self._body_at_most)
            if read > at_most:
                raise too_large(at_most)
            return message

        try:
            await self._app(scope, counted, send)
        except asyncio.CancelledError:
            # Only a server that stops cancels us; its bound was up, and its sender repeats.
            log.warning("stopped while a request was under way; it was not answered")
        except Exception:  # noqa: BLE001  the edge of the process: stays shut; _internal has logged it
            return


async def _read(request: StarletteRequest, at_most: int) -> bytes:
    said = request.headers.get("content-length", "0")
    if said.isascii() and said.isdigit() and int(said) > at_most:
        raise too_large(at_most)
    parts: list[bytes] = []
    read = 0
    async for part in request.stream():
        read += len(part)
        if read > at_most:
            raise too_large(at_most)
        parts.append(part)
    return b"".join(parts)


def too_large(at_most: int) -> StatusError:
    """Refuse a body of more than so many bytes."""
    error = MalformedError(f"request body is over {at_most} bytes", name="too_large")
    return StatusError(error, 413)


def _answered(handler: AnyHandler, asked: Request) -> Response | Streamed:
    try:
        return handler(asked)
    except Exception as error:  # noqa: BLE001  the edge of the process: stays shut
        return as_answer(error)


def as_answer(error: Exception) -> Response:
    """Say any error to a neighbour; of one that is not ours, only that it happened."""
    return error_response(error) if isinstance(error, BreakglassError) else _shut(error)


def _shut(error: Exception) -> Response:
    # Where it happened, and of which kind; neither the request nor the error's words, which may
    # quote it.
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    trail = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
    log.error("internal error, stayed shut: %s at %s", type(error).__name__, trail)
    told = {"error": "internal", "message": "an error inside; stayed shut", "hint": "see its log"}
    return json_response(told, 500)


def as_response(answer: Response | Streamed) -> StarletteResponse:
    """Give Starlette an answer."""
    if isinstance(answer, Streamed):
        named = {"content-type": answer.content_type, "content-length": str(answer.size)}
        return StreamingResponse(answer.parts, headers={**answer.headers, **named})
    headers = {**answer.headers, "content-type": answer.content_type}
    return StarletteResponse(answer.body, answer.status, headers)


async def _ours(request: StarletteRequest, error: Exception) -> StarletteResponse:
    assert isinstance(error, BreakglassError)
    return as_response(error_response(error))


async def _internal(request: StarletteRequest, error: Exception) -> StarletteResponse:
    return as_response(_shut(error))


async def _http(request: StarletteRequest, error: Exception) -> StarletteResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__ or error.__context__, BreakglassError):
        return await _ours(request, error.__cause__ or error.__context__)  # type: ignore[arg-type]
    names = {404: "not_found", 405: "not_allowed", 413: "too_large"}
    name = names.get(error.status_code, "http")
    told = {"error": name, "message": f"{request.url.path!r}: {error.detail}"[:500], "hint": ""}
    return as_response(json_response(told, error.status_code))


async def _invalid(request: StarletteRequest, error: Exception) -> StarletteResponse:
    errors: Any = getattr(error, "errors", list)()
    place = "; ".join(
        f"{'.'.join(map(str, each.get('loc', ())))}: {each.get('msg', '')}" for each in errors[:5]
    )
    return as_response(error_response(MalformedError(f"request: {place}"[:500])))
