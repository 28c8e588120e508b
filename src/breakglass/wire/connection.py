"""One connection to a neighbour, whose every call ends by one time.

A time limit for each read alone would let a neighbour drip one byte at a time for ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import io
import select
import socket
import ssl
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

IDLE_AT_MOST = timedelta(seconds=30)  # below the 75 s after which our servers close


class TooLongError(Exception):
    """The answer passed the cap."""


class Connection:
    """One TCP or TLS connection, used by one call at a time.

    Args:
        address: ``http://…`` or ``https://…#<hex SHA-256 of the certificate>``.
        until: when connecting must be done, by ``time.monotonic``.
        bytes_at_most: in an answer.
        turn: kept for the owner, who has several addresses.

    Raises:
        OSError, ValueError: no connection; nothing was asked.
    """

    def __init__(self, address: str, until: float, bytes_at_most: int, turn: int) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{address!r} is no address")
        self._host = parts.netloc
        self._prefix = parts.path.rstrip("/")
        self._bytes_at_most = bytes_at_most
        self.keeps = False
        self.turn = turn
        self._idle_since = 0.0
        port = parts.port or (443 if parts.scheme == "https" else 80)
        sock = socket.create_connection((parts.hostname, port), timeout=seconds_left(until))
        try:
            # Small requests and answers: waiting for company would cost 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock = (
                _tls(sock, parts.hostname, parts.fragment) if parts.scheme == "https" else sock
            )
        except BaseException:
            sock.close()
            raise

    def call(
        self, method: str, path: str, body: bytes, content_type: str, until: float
    ) -> tuple[int, bytes, str]:
        """Make one call; returns status, body and content type.

        Raises:
            TimeoutError: not within the time.
            TooLongError: the answer passed the cap.
            OSError, http.client.HTTPException, ValueError: cut off, or no HTTP.
        """
        self.keeps = False
        target = f"{self._prefix}{path}"
        if any(not "!" <= each <= "~" for each in target):
            raise ValueError(f"path {target[:80]!r} holds a space or a control character")
        head = f"{method} {target} HTTP/1.1\r\nHost: {self._host}\r\n"
        if body or method != "GET":
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        self._sock.settimeout(seconds_left(until))
        # One write: two packets would wake the neighbour twice.
        self._sock.sendall(f"{head}\r\n".encode() + body)
        answer = http.client.HTTPResponse(_Timed(self._sock, until), method=method)  # type: ignore[arg-type]
        answer.begin()
        read = answer.read(self._bytes_at_most + 1)
        if len(read) > self._bytes_at_most:
            raise TooLongError
        if answer.length:  # ``read`` with a bound does not say so itself
            raise http.client.IncompleteRead(read, answer.length)
        self.keeps = answer.isclosed() and not answer.will_close
        self._idle_since = time.monotonic()
        return answer.status, read, answer.getheader("Content-Type", "")

    def usable(self) -> bool:
        """Say whether the other side still holds this connection open, as far as we can see."""
        if time.monotonic() - self._idle_since > IDLE_AT_MOST.total_seconds():
            return False
        # Readable while nothing is asked means closed by the neighbour (or confused).
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        return not poller.poll(0)

    def cut(self) -> None:
        """End the call that another thread has under way."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it."""
        with contextlib.suppress(OSError):
            self._sock.close()


class _Timed:
    """Lends a socket to ``HTTPResponse`` so that all its reads together end at one time."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._raw = _TimedReads(sock, until)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._raw, 64 * 1024)


class _TimedReads(io.RawIOBase):
    def __init__(self, sock: socket.socket, until: float) -> None:
        super().__init__()
        self._sock = sock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # A timeout per read alone would let a neighbour drip one byte at a time for ever.
        self._sock.settimeout(seconds_left(self._until))
        return self._sock.recv_into(buffer)


def seconds_left(until: float) -> float:
    """Return the seconds until ``until``, by ``time.monotonic``; ``TimeoutError`` if it is past."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _tls(sock: socket.socket, host: str, pin: str) -> socket.socket:
    context = ssl.create_default_context()
    if pin:
        # The pin names one certificate; names and authorities add nothing to that.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    wrapped = context.wrap_socket(sock, server_hostname=host)
    found = hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").hexdigest()
    if pin and not hmac.compare_digest(found, pin.lower()):
        wrapped.close()
        raise ssl.SSLError(f"certificate {found[:16]}… is not the pinned {pin[:16]}…")
    return wrapped
