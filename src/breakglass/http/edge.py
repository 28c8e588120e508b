"""The edge where requests come in: a table of routes behind Starlette, and one form of error.

Every error leaves as ``{"error": name, "message": …, "hint": …}``; one that is not ours says
nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import NoneType
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse
from starlette.responses import StreamingResponse
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError
from breakglass.http.body_room import BodyRoom
from breakglass.http.connection_table import STRANGER
from breakglass.http.routes import (
    Crowd,
    Request,
    Response,
    Route,
    StatusError,
    Streamed,
    error_json,
    json_response,
)
from breakglass.strict_json import read_body

log = logging.getLogger("breakglass")
_ROOM_BYTES = 32 * 1024 * 1024  # four of the longest body that any route reads


def application(routes: Iterable[Route | StarletteRoute]) -> Starlette:
    """Make the application of a table; an upload comes as ``streaming.upload_route`` makes it."""
    table = list(routes)
    longest = max((each.body_at_most for each in table if isinstance(each, Route)), default=0)
    room = BodyRoom(max(longest, _ROOM_BYTES))
    return Starlette(
        routes=[each if isinstance(each, StarletteRoute) else _served(each, room) for each in table]
    )


def _served(route: Route, room: BodyRoom) -> StarletteRoute:
    crowd = route.crowd

    async def endpoint(request: StarletteRequest) -> StarletteResponse:
        if crowd is not None:
            await _refuse_if_full(crowd, request, route.body_at_most)
        stranger = request.scope.get("state", {}).get(STRANGER, False)
        size = _size(request, route.body_at_most)
        async with room.taken(size if stranger else 0):
            body = await _read(request, route.body_at_most, room if stranger else None, size)
            asked = Request(
                request.path_params,
                request.query_params,
                body,
                _headers(request),
                request.method,
                _target(request.scope),
                request.client.host if request.client is not None else "",
            )
            async with room.turn(len(body)):
                with crowd.one_more() if crowd is not None else contextlib.nullcontext():
                    return as_response(await anyio.to_thread.run_sync(_answered, route, asked))

    return ServedRoute(route, endpoint)


class ServedRoute(StarletteRoute):
    """A row of a table as Starlette takes it; the row stays, for who describes the process."""

    def __init__(self, row: Route, endpoint: Callable[..., Any]) -> None:
        super().__init__(row.path, endpoint, methods=[row.method])
        self.row = row


def _answered(route: Route, raw: Request[bytes]) -> Response | Streamed:
    try:
        who = route.who(raw)
        body = _taken(route.takes, raw.body)
        given = route.handler(who, replace(raw, body=body))
        return given if isinstance(given, Response | Streamed) else json_response(given)
    except Exception as error:  # noqa: BLE001  the edge of the process: stays shut
        return as_answer(error)


def _headers(request: StarletteRequest) -> Headers:
    """Return the headers, the lines of one name as one (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        found[name] = f"{found[name]}, {value}" if name in found else value
    return Headers(found)


def _target(scope: Scope) -> str:
    """Return path and query as they came: a path that was decoded could be another one's."""
    path, query = scope.get("raw_path") or b"", scope.get("query_string") or b""
    return (path + b"?" + query if query else path).decode("latin-1")


def _taken(takes: type[Any], body: bytes) -> Any:
    if takes is NoneType:
        return None
    return body if takes is bytes else read_body(takes, body)


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


def dressed(app: Starlette) -> ASGIApp:
    """Put the error edge around an application: nothing that it raises passes.

    No body is capped here: each route says how much it reads, and nothing else reads any.

    Args:
        app: its exception handlers are replaced by ours.
    """
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(BreakglassError, _told)
    app.add_exception_handler(Exception, _told)

    async def edge(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            # Only a server that stops cancels us; its bound was up, and its sender repeats.
            log.warning("stopped while a request was under way; it was not answered")
        except Exception:  # noqa: BLE001  the edge of the process: stays shut; _told has logged it
            return

    return edge


def _size(request: StarletteRequest, at_most: int) -> int:
    """Return how long the body is, as it is said to be, or may be where nothing is said."""
    said = request.headers.get("content-length")
    if said is None:
        return at_most if "transfer-encoding" in request.headers else 0
    if not (said.isascii() and said.isdigit() and len(said) < 19):
        return at_most
    if int(said) > at_most:
        raise too_large(at_most)
    return int(said)


async def _read(request: StarletteRequest, at_most: int, room: BodyRoom | None, size: int) -> bytes:
    parts: list[bytes] = []
    read = 0
    async for part in request.stream():
        read += len(part)
        if read > at_most:
            raise too_large(at_most)
        parts.append(part)
        if room is not None:
            await room.pace(size, len(part))
    return b"".join(parts)


def too_large(at_most: int) -> StatusError:
    """Refuse a body of more than so many bytes."""
    error = MalformedError(f"request body is over {at_most} bytes", name=ErrorName.TOO_LARGE)
    return StatusError(error, 413)


_NAMED = {404: ErrorName.NOT_FOUND, 405: ErrorName.NOT_ALLOWED}


def as_answer(error: Exception) -> Response:
    """Say any error to a neighbour; of one that is not ours, only that it happened."""
    if isinstance(error, BreakglassError):
        return json_response(error_json(error), error.http_status)
    # Where it happened, and of which kind; neither the request nor the error's words, which may
    # quote it.
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    trail = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
    log.error("internal error, stayed shut: %s at %s", type(error).__name__, trail)
    told = {
        "error": ErrorName.INTERNAL,
        "message": "an error inside; stayed shut",
        "hint": "see its log",
    }
    return json_response(told, 500)


def as_response(answer: Response | Streamed) -> StarletteResponse:
    """Give Starlette an answer."""
    if isinstance(answer, Streamed):
        named = {"content-type": answer.content_type, "content-length": str(answer.size)}
        return StreamingResponse(answer.parts, headers={**answer.headers, **named})
    headers = {**answer.headers, "content-type": answer.content_type}
    return StarletteResponse(answer.body, answer.status, headers)


async def _told(request: StarletteRequest, error: Exception) -> StarletteResponse:
    return as_response(as_answer(error))


async def _http(request: StarletteRequest, error: Exception) -> StarletteResponse:
    assert isinstance(error, HTTPException)
    name = _NAMED.get(error.status_code, ErrorName.HTTP)
    told = {"error": name, "message": f"{request.url.path!r}: {error.detail}"[:500], "hint": ""}
    return as_response(json_response(told, error.status_code))
