"""Bodies that never lie in memory: read part by part, and handed over in threads.

``edge.py`` serves the routes whose bodies are small.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnavailableError
from breakglass.http.edge import as_answer, as_response, too_large
from breakglass.http.routes import Crowd, Request, Response, StatusError

_HANDED_OVER_BYTES = 256 * 1024


class Receiving(Protocol):
    """A body on its way in. One call at a time, in threads; each may raise our errors."""

    def part(self, data: bytes) -> None:
        """Take the next bytes."""
        ...

    def finish(self) -> Response:
        """Answer: the body is here, as long as it was said to be."""
        ...

    def abandon(self) -> None:
        """Let go of everything; called once, at the very end, also after ``finish``."""
        ...


Begin = Callable[[Request[None], int], Receiving | Response]
"""Given the request without its body, and the body's size in bytes: who takes it, or an answer
at once."""


def upload_route(
    path: str,
    begin: Begin,
    *,
    body_at_most: int,
    within: Callable[[int], timedelta],
    crowd: Crowd,
) -> Route:
    """Make a Starlette route for ``PUT`` whose body never lies in memory.

    Args:
        path: in Starlette's form.
        begin: called before a byte of the body is read.
        body_at_most: bytes; a longer body is refused with 413 before any of it is read.
        within: how long a body of so many bytes may take; slower ones are cut off.
        crowd: bounds how many are at work.
    """

    async def endpoint(request: StarletteRequest) -> StarletteResponse:
        asked = Request(request.path_params, request.query_params, None, request.headers)
        try:
            size = _said_size(request, body_at_most)
            with crowd.one_more():
                # In threads: it looks at disks and databases.
                receiving = await anyio.to_thread.run_sync(begin, asked, size)
                if isinstance(receiving, Response):
                    return as_response(receiving)
                try:
                    return as_response(await _received(request, receiving, size, within(size)))
                finally:
                    receiving.abandon()
        except ClientDisconnect:
            return StarletteResponse(status_code=400)  # nobody reads it
        except Exception as error:  # noqa: BLE001  the edge of the process: stays shut
            return as_response(as_answer(error))

    return Route(path, endpoint, methods=["PUT"])


async def _received(
    request: StarletteRequest, receiving: Receiving, size: int, within: timedelta
) -> Response:
    with anyio.move_on_after(within.total_seconds()) as bound:
        await _handed_over(request, receiving, size)
    if bound.cancelled_caught:
        raise UnavailableError(
            f"{size} bytes did not come within {within.total_seconds():g} s; nothing was kept",
            name=ErrorName.TOO_SLOW,
        )
    return await anyio.to_thread.run_sync(receiving.finish)


def _said_size(request: StarletteRequest, at_most: int) -> int:
    said = request.headers.get("content-length", "")
    if not (said.isascii() and said.isdigit() and len(said) < 19):
        raise StatusError(
            MalformedError(
                "the body's size is not told", name=ErrorName.NO_LENGTH, hint="Content-Length"
            ),
            411,
        )
    if int(said) > at_most:
        raise too_large(at_most)
    return int(said)


async def _handed_over(request: StarletteRequest, receiving: Receiving, size: int) -> None:
    """Read the body and hand it over, some 256 KiB at a time: a thread for each costs less."""
    waiting, left = bytearray(), size
    async for part in request.stream():
        waiting += part
        left -= len(part)
        if left < 0:
            raise too_large(size)
        if len(waiting) >= _HANDED_OVER_BYTES:
            await anyio.to_thread.run_sync(receiving.part, bytes(waiting))
            waiting.clear()
    if left:
        raise MalformedError(f"the body ended {left} bytes early", name=ErrorName.CUT_SHORT)
    await anyio.to_thread.run_sync(receiving.part, bytes(waiting))
