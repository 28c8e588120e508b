"""One bounded HTTP exchange with somebody outside; its errors hold no address and no secret."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import SplitResult, urlsplit

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.monitor.alerts.time_limit import cut_off

_USER_AGENT = "breakglass-monitor"


@dataclass(frozen=True)
class Answer:
    """A status, and the first bytes of what was said."""

    status: int
    start: bytes


class OutsideHttp:
    """Calls one address. Redirects are not followed: a message goes where its owner said.

    Args:
        address: ``https://…``, or ``http://…`` for a receiver on this host.
        within: for the whole exchange.
        outside: whether the other end must have a public address. A person of the policy may name
            an address of their own; without this they could have the monitor call whatever
            listens inside, on its own host too.
        called: what errors call the other end.

    Raises:
        MisconfiguredError: the address is none.
    """

    def __init__(
        self,
        address: str,
        within: timedelta,
        *,
        outside: bool = False,
        called: str = "the receiver",
    ) -> None:
        self._to = _address(address)
        self._within = within
        self._outside = outside
        self._called = called

    def post(self, body: bytes, headers: Mapping[str, str], reads: int = 0) -> Answer:
        """POST ``body``; returns when the answer's head is here, with ``reads`` bytes at most.

        Raises:
            UnavailableError: no whole head came in time, or the other end is inside.
        """
        path = self._to.path or "/"
        path += f"?{self._to.query}" if self._to.query else ""
        # Its body says little to us: one without an end must not unsay the status.
        return self._exchange("POST", path, body, headers, reads)

    def get(self, path: str, headers: Mapping[str, str], reads: int) -> Answer:
        """GET a path below the address; the answer's body is whole.

        Raises:
            UnavailableError: no whole answer in time, or one of more than ``reads`` bytes.
        """
        found = self._exchange("GET", self._to.path + path, None, headers, reads + 1, whole=True)
        if len(found.start) > reads:
            raise UnavailableError(f"the answer of {self._called} has more than {reads} bytes")
        return found

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        reads: int,
        *,
        whole: bool = False,
    ) -> Answer:
        # The path may itself be a secret, so no message quotes the address.
        seconds = self._within.total_seconds()
        try:
            connection = self._connection(seconds)
            with (
                contextlib.closing(connection),
                cut_off(lambda: connection.sock, seconds) as late,
            ):
                try:
                    connection.connect()
                    if self._outside:
                        _check_outside(connection)
                    connection.request(method, path, body, {"User-Agent": _USER_AGENT, **headers})
                    answer = connection.getresponse()
                    found = Answer(answer.status, answer.read(reads) if reads else b"")
                except (OSError, http.client.HTTPException) as error:
                    if late.is_set():
                        raise TimeoutError from error
                    raise
                if whole and late.is_set():
                    raise TimeoutError  # half a body reads as a whole one when it is cut
                return found
        except TimeoutError as error:
            raise UnavailableError(
                f"{self._called} did not answer within {seconds:g} s", name=ErrorName.TOO_SLOW
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnavailableError(
                f"{self._called} cannot be reached: {type(error).__name__}",
                name=ErrorName.UNREACHABLE,
            ) from error

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        host, port = self._to.hostname or "", self._to.port
        if self._to.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=seconds)
        return http.client.HTTPSConnection(
            host, port, timeout=seconds, context=ssl.create_default_context()
        )


def check_taken(answer: Answer) -> None:
    """Refuse every answer that is not 2xx.

    Raises:
        UnavailableError: ``not_taken``.
    """
    if not 200 <= answer.status < 300:
        raise UnavailableError(f"the receiver answered {answer.status}", name=ErrorName.NOT_TAKEN)


def _check_outside(connection: http.client.HTTPConnection) -> None:
    # Of the connection itself, before a byte of the message: a name may resolve twice.
    found = ipaddress.ip_address(connection.sock.getpeername()[0].partition("%")[0])
    if not found.is_global:
        raise UnavailableError(
            "the receiver's address is not a public one; nothing was sent",
            name=ErrorName.UNREACHABLE,
        )


def _address(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none
        whole = False
    if not whole:
        raise MisconfiguredError(
            "a webhook's address is not one that can be called; not started",
            name=ErrorName.BAD_ADDRESS,
            hint="write it as https://host/path",
        )
    return parts
