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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnavailableError

IDLE_AT_MOST = timedelta(seconds=30)  # below the 75 s after which our servers close
_PART_BYTES = 256 * 1024


class TooLongError(Exception):
    """The answer passed the cap, which is told in words."""


@dataclass(frozen=True)
class Outgoing:
    """A body that is sent part by part.

    Attributes:
        size: bytes, known beforehand.
        parts: gives them from the start each time it is called; a call may be made again.
    """

    size: int
    parts: Callable[[], Iterator[bytes]]


@dataclass
class Incoming:
    """Where the body of a 2xx answer goes, instead of into memory.

    Attributes:
        file: empty; holds nothing of use after an error.
        bytes_at_most: in the answer.
    """

    file: BinaryIO
    bytes_at_most: int


@dataclass(frozen=True)
class Call:
    """One request: what is asked, and where the answer's body goes (``None``: into memory)."""

    method: str
    path: str
    body: bytes | Outgoing
    content_type: str
    headers: Mapping[str, str]
    into: Incoming | None


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

    def call(self, call: Call, until: float) -> tuple[int, bytes, str, str]:
        """Make one call; returns status, body, content type and date.

        A neighbour that answers while a long body is still being sent is listened to, and the rest
        is not sent. With ``into`` a 2xx answer's body is written there, and returned empty.

        Raises:
            TimeoutError: not within the time.
            TooLongError: the answer passed the cap.
            OSError, http.client.HTTPException, ValueError: cut off, or no HTTP.
            MalformedError: the body is not of the size that it was said to be.
            UnavailableError: ``not_written``; what came could not be written.
        """
        self.keeps = False
        method, body, into = call.method, call.body, call.into
        target = f"{self._prefix}{call.path}"
        if any(not "!" <= each <= "~" for each in target):
            raise ValueError(f"path {target[:80]!r} holds a space or a control character")
        head = f"{method} {target} HTTP/1.1\r\nHost: {self._host}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in call.headers.items())
        if body or method != "GET":
            size = body.size if isinstance(body, Outgoing) else len(body)
            head += f"Content-Type: {call.content_type}\r\nContent-Length: {size}\r\n"
        whole = self._sent(f"{head}\r\n".encode(), body, until)
        answer = http.client.HTTPResponse(_Timed(self._sock, until), method=method)  # type: ignore[arg-type]
        answer.begin()
        if into is not None and 200 <= answer.status < 300:
            read = self._written(answer, into)
        else:
            read = answer.read(self._bytes_at_most + 1)
            if len(read) > self._bytes_at_most:
                raise TooLongError(f"answered more than {self._bytes_at_most} bytes")
        if answer.length:  # ``read`` with a bound does not say so itself
            raise http.client.IncompleteRead(read, answer.length)
        self.keeps = whole and answer.isclosed() and not answer.will_close
        self._idle_since = time.monotonic()
        kind, date = answer.getheader("Content-Type", ""), answer.getheader("Date", "")
        return answer.status, read, kind, date

    def _sent(self, head: bytes, body: bytes | Outgoing, until: float) -> bool:
        """Send; false if the neighbour answered, or hung up, before the end of the body."""
        self._sock.settimeout(seconds_left(until))
        if isinstance(body, bytes):
            # One write: two packets would wake the neighbour twice.
            self._sock.sendall(head + body)
            return True
        self._sock.sendall(head)
        left = body.size
        for part in body.parts():
            left -= len(part)
            if left < 0 or self._answers():
                break
            self._sock.settimeout(seconds_left(until))
            try:
                self._sock.sendall(part)
            except TimeoutError:
                raise
            except OSError:
                return False  # its answer, if it gave one, says why
        else:
            if not left:
                return True
        if self._answers():
            return False
        raise MalformedError(f"the body has another size than {body.size} bytes; it was not sent")

    def _answers(self) -> bool:
        # Below TLS bytes come without an answer (session tickets): there the end is waited for.
        return not isinstance(self._sock, ssl.SSLSocket) and _readable(self._sock)

    def _written(self, answer: http.client.HTTPResponse, into: Incoming) -> bytes:
        written = 0
        while part := answer.read(_PART_BYTES):
            written += len(part)
            if written > into.bytes_at_most:
                raise TooLongError(f"answered more than {into.bytes_at_most} bytes")
            try:
                into.file.write(part)
            except OSError as error:
                raise UnavailableError(
                    f"an answer could not be written down: {error}", name=ErrorName.NOT_WRITTEN
                ) from error
        return b""

    def usable(self) -> bool:
        """Say whether the other side still holds this connection open, as far as we can see."""
        if time.monotonic() - self._idle_since > IDLE_AT_MOST.total_seconds():
            return False
        # Readable while nothing is asked means closed by the neighbour (or confused).
        return not _readable(self._sock)

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


def _readable(sock: socket.socket) -> bool:
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))


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
