"""One bounded HTTP exchange with somebody outside; its errors hold no address and no secret."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import SplitResult, urlsplit

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.monitor.alerts.time_limit import cut_off

_USER_AGENT = "breakglass-monitor"
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


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
        try:
            line = _Line(self._to, self._within.total_seconds(), outside=self._outside)
            with contextlib.closing(line), cut_off(lambda: line.open, line.seconds) as late:
                try:
                    connection = line.connected()
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
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> UnavailableError:
        seconds = self._within.total_seconds()
        if self._outside:
            # One text for refused, slow, inside and a wrong certificate: whoever may name the
            # address must not learn from ours which ports of others are open.
            return UnavailableError(
                f"{self._called} was not reached: no public address of it answered over TLS within"
                f" {seconds:g} s",
                name=ErrorName.UNREACHABLE,
            )
        if isinstance(error, TimeoutError):
            return UnavailableError(
                f"{self._called} did not answer within {seconds:g} s", name=ErrorName.TOO_SLOW
            )
        return UnavailableError(
            f"{self._called} cannot be reached: {type(error).__name__}",
            name=ErrorName.UNREACHABLE,
        )


class _Line:
    """One connection; ``open`` is its socket at any time, so that it can be cut in a handshake."""

    def __init__(self, to: SplitResult, seconds: float, *, outside: bool) -> None:
        self.open: socket.socket | None = None
        self.seconds = seconds
        self._until = time.monotonic() + seconds
        self._outside = outside
        self._tls = ssl.create_default_context() if to.scheme == "https" else None
        self._host = to.hostname or ""
        self._http = (
            http.client.HTTPSConnection(self._host, to.port, context=self._tls)
            if self._tls
            else http.client.HTTPConnection(self._host, to.port)
        )

    def connected(self) -> http.client.HTTPConnection:
        """Connect to a checked address, then shake hands.

        Raises:
            OSError: nobody there, no public address, or no TLS that holds.
        """
        plain = self._plain()
        self._http.sock = plain
        if self._tls is not None:
            made = self._tls.wrap_socket(
                plain, server_hostname=self._host, do_handshake_on_connect=False
            )
            self.open = self._http.sock = made
            made.do_handshake()
        return self._http

    def _plain(self) -> socket.socket:
        found = socket.getaddrinfo(self._host, self._http.port, type=socket.SOCK_STREAM)
        if self._outside and not all(is_public(str(each[4][0])) for each in found):
            # Looked up once, and connected to what was looked at: a name may resolve twice. Not a
            # byte goes inside, of TLS neither.
            raise ConnectionRefusedError("not every address of it is a public one")
        problem: OSError = ConnectionRefusedError("it has no address")
        for family, kind, protocol, _, address in found:
            self.close()
            self.open = made = socket.socket(family, kind, protocol)
            made.settimeout(max(self._until - time.monotonic(), 0.001))
            try:
                made.connect(address)
            except OSError as error:
                problem = error
                continue
            made.settimeout(self.seconds)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made
        raise problem

    def close(self) -> None:
        """Close what is open."""
        if self.open is not None:
            self.open.close()


def is_public(address: str) -> bool:
    """Say whether an address is one of the public Internet, within IPv6 too.

    Source: IANA's registries of special-purpose addresses, by ``ipaddress``; RFC 6052 (NAT64),
    RFC 3056 (6to4).

    >>> [is_public(each) for each in ("1.1.1.1", "10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1")]
    [True, False, False, False]
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    within = None
    if isinstance(found, ipaddress.IPv6Address):
        within = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            within = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.is_global and not found.is_multicast and (within is None or within.is_global)


def check_taken(answer: Answer) -> None:
    """Refuse every answer that is not 2xx.

    Raises:
        UnavailableError: ``not_taken``.
    """
    if not 200 <= answer.status < 300:
        raise UnavailableError(f"the receiver answered {answer.status}", name=ErrorName.NOT_TAKEN)


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
