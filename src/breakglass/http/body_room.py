"""The memory that long request bodies may take together, and whose turn it is to be worked on.

A body of a few KiB, as every break sends, asks for nothing here and waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from breakglass.error_names import ErrorName
from breakglass.errors import UnavailableError
from breakglass.http.routes import StatusError

_SHORT_BYTES = 64 * 1024
_LONG_BYTES = 1024 * 1024  # read into objects such a body takes many times its size
_WAIT_S = 10.0
_STRANGERS_BYTES_A_SECOND = 4 * 1024 * 1024  # a few percent of a processor, spent on refusals


class BodyRoom:
    """Room for the long bodies of strangers to one process, in the order in which they come.

    Whoever has shown a signature that was accepted needs none: see ``connection_table.py``.

    Args:
        bytes_at_most: of all bodies that are read or worked on; the longest must fit.
    """

    def __init__(self, bytes_at_most: int) -> None:
        self._left = bytes_at_most
        self._next = asyncio.Lock()  # first come, first served
        self._freed = asyncio.Event()
        self._long = asyncio.Lock()
        self._due = 0.0  # when the strangers' next part may be read, by the loop's time

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Hold room for a body of so many bytes while it is read and worked on.

        Raises:
            StatusError: 503 ``busy``; not within 10 s, and nothing was read.
        """
        if size <= _SHORT_BYTES:
            yield
            return
        try:
            async with asyncio.timeout(_WAIT_S), self._next:
                while self._left < size:
                    self._freed = asyncio.Event()
                    await self._freed.wait()
                self._left -= size
        except TimeoutError as error:
            raise _busy() from error
        try:
            yield
        finally:
            self._left += size
            self._freed.set()

    async def pace(self, size: int, read: int) -> None:
        """Hold a stranger's long body up so that all of them together keep to their rate.

        Args:
            size: of the whole body, as it is said to be.
            read: bytes of it that have just come.
        """
        if size <= _SHORT_BYTES:
            return
        now = asyncio.get_running_loop().time()
        self._due = max(self._due, now) + read / _STRANGERS_BYTES_A_SECOND
        await asyncio.sleep(self._due - now)

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Let one of the longest bodies be worked on at a time.

        Raises:
            StatusError: 503 ``busy``; not within 10 s, and nothing was done.
        """
        if size <= _LONG_BYTES:
            yield
            return
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._long.acquire()
        except TimeoutError as error:
            raise _busy() from error
        try:
            yield
        finally:
            self._long.release()


def _busy() -> StatusError:
    error = UnavailableError(
        "other long requests are being read; nothing of this was done",
        name=ErrorName.BUSY,
        hint="send it again in a moment",
    )
    return StatusError(error, 503)
