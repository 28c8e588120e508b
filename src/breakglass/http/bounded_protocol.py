"""HTTP/1.1 as uvicorn speaks it, on connections that a table may close.

uvicorn bounds requests, not connections: its ``limit_concurrency`` answers 503 and lets a socket
that says nothing stay for ever.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from breakglass.error_names import ErrorName
from breakglass.http.connection_table import (
    STRANGER,
    ConnectionTable,
    ServedConnection,
    Standing,
)

_READS = ("GET", "HEAD")
_BUSY = {
    "error": ErrorName.BUSY,
    "message": "as many requests as strangers may have are at work; nothing of this was done",
    "hint": "send it again in a moment",
}


class Entrance(asyncio.Protocol):
    """Takes one connection in: a place in the table first, then TLS, then HTTP.

    Args:
        table: of the process.
        tls: the certificate's context; ``None`` on loopback.
        works_at_most: requests of connections that have shown no signature, at work at once.
        given: what uvicorn hands to a protocol.
    """

    def __init__(
        self, table: ConnectionTable, tls: ssl.SSLContext | None, works_at_most: int, **given: Any
    ) -> None:
        self._table = table
        self._tls = tls
        self._works_at_most = works_at_most
        self._given = given
        self._securing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit it, or close it at once."""
        assert isinstance(transport, asyncio.Transport)
        peer = (transport.get_extra_info("peername") or ("",))[0]
        served = ServedConnection(peer, transport.abort, transport.get_write_buffer_size)
        if not self._table.admit(served):
            transport.abort()
            return
        inner = BoundedProtocol(self._table, served, self._works_at_most, **self._given)
        if self._tls is None:
            transport.set_protocol(inner)
            inner.connection_made(transport)
            return
        # Here and not by uvicorn: else a peer that shakes no hand holds a file and no place.
        self._securing = asyncio.get_running_loop().create_task(
            self._secure(transport, inner, served, self._tls)
        )

    async def _secure(
        self,
        transport: asyncio.Transport,
        inner: BoundedProtocol,
        served: ServedConnection,
        tls: ssl.SSLContext,
    ) -> None:
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                inner,
                tls,
                server_side=True,
                ssl_handshake_timeout=self._table.limits.head_within.total_seconds(),
            )
        except (TimeoutError, OSError):  # an SSLError is an OSError
            secured = None
        if secured is None or secured.is_closing() or inner.lost:
            self._table.leave(served)
            transport.abort()
            return
        inner.connection_made(secured)


class BoundedProtocol(H11Protocol):
    """One connection that tells the table whose turn it is: the peer's, or ours."""

    def __init__(
        self, table: ConnectionTable, served: ServedConnection, works_at_most: int, **given: Any
    ) -> None:
        super().__init__(**given)
        self._table = table
        self._served = served
        self._works_at_most = works_at_most
        self._process: ASGIApp = self.app
        self.app = self._bounded
        self.lost = False
        self._early = b""  # came with the end of the handshake, before ``connection_made``

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak HTTP."""
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        """Note that a peer which was idle has begun to ask."""
        if self.transport is None:
            self._early += data
            return
        self._table.heard(self._served)
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self.lost = True
        self._table.leave(self._served)
        if self.transport is not None:  # else the handshake had just ended
            super().connection_lost(exc)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        table, served, limits = self._table, self._served, self._table.limits
        table.working(served)
        stranger = served.standing < Standing.PROVEN
        scope["state"][STRANGER] = stranger
        busy = stranger and table.strangers_at_work() > self._works_at_most
        status, read, waited, whole = 0, 0, 0.0, False

        async def receiving() -> Message:
            nonlocal read, waited, whole
            if whole:
                return await receive()  # only waits for the peer to hang up, and we are at work
            left = limits.body_within.total_seconds() + read / limits.body_bytes_a_second - waited
            table.waiting(served, left)
            begun = self.loop.time()
            try:
                message = await receive()
            finally:
                table.working(served)
            waited += self.loop.time() - begun
            read += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            return message

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await (_busy if busy else self._process)(scope, receiving, sending)
        finally:
            table.answered(served, _shown(scope["method"], status))


def _shown(method: str, status: int) -> Standing:
    """Say what an answer shows: nobody is told yes to something he sent without a signature."""
    if not 200 <= status < 400:
        return Standing.SILENT
    return Standing.ANSWERED if method in _READS else Standing.PROVEN


async def _busy(scope: Scope, receive: Receive, send: Send) -> None:
    body = json.dumps(_BUSY).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def protocol_class(table: ConnectionTable, tls: ssl.SSLContext | None, works_at_most: int) -> Any:
    """Return what uvicorn takes for ``http_protocol_class``: it makes one ``Entrance`` a socket."""

    def make(
        config: Config, server_state: Any, app_state: dict[str, Any], _loop: Any = None
    ) -> Entrance:
        return Entrance(
            table,
            tls,
            works_at_most,
            config=config,
            server_state=server_state,
            app_state=app_state,
            _loop=_loop,
        )

    return make
