"""A message as an HTTP POST that the receiver can check: HMAC-SHA256 over the exact bytes.

Headers: ``Breakglass-Signature: sha256=<hex>`` over the body, with the channel's secret;
``Idempotency-Key``, the message's key; ``Breakglass-Thread``. Source: docs/reference/alarms.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.monitor.alerts.channel import Message

_USER_AGENT = "breakglass-monitor"


@dataclass(frozen=True)
class WebhookSettings:
    """``[channels.NAME]`` with ``type = "webhook"``; ``secret`` is shared with the receiver.

    ``to`` names the people whose own channel it is, as the policy names them.
    """

    type: ClassVar[str] = "webhook"
    address: str
    secret: str
    to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.secret:
            raise ValueError("a webhook's secret is empty: anybody could ring")

    def channel(self, within: timedelta) -> Webhook:
        """Make the channel.

        Raises:
            MisconfiguredError: the address is none.
        """
        return Webhook(self.address, self.secret, within)


def signature(secret: str, body: bytes) -> str:
    """Return the value of the signature header.

    >>> signature("s", b"x")[:18]
    'sha256=cefb105ee22'
    """
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


class Webhook:
    """POSTs to one address. Redirects are not followed: a message goes where the settings say.

    Args:
        address: ``https://…``, or ``http://…`` for a receiver on this host.
        secret: shared with the receiver; empty signs nothing.
        within: for the whole exchange.

    Raises:
        MisconfiguredError: the address is none.
    """

    def __init__(self, address: str, secret: str, within: timedelta = timedelta(seconds=5)) -> None:
        self._to = _address(address)
        self._secret = secret
        self._within = within

    def deliver(self, message: Message) -> None:
        """POST one message; any 2xx is heard, when its head is here. See ``Channel``."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            "Idempotency-Key": message.key,
            "Breakglass-Thread": message.thread,
        }
        if self._secret:
            headers["Breakglass-Signature"] = signature(self._secret, message.body)
        status = self._post(message.body, headers)
        if not 200 <= status < 300:
            raise UnavailableError(f"the receiver answered {status}", name=ErrorName.NOT_TAKEN)

    def _post(self, body: bytes, headers: dict[str, str]) -> int:
        # The path may itself be a secret, so no message quotes the address.
        seconds = self._within.total_seconds()
        try:
            connection = self._connection(seconds)
            with contextlib.closing(connection), _cut_off(connection, seconds) as late:
                try:
                    path = self._to.path or "/"
                    path += f"?{self._to.query}" if self._to.query else ""
                    connection.request("POST", path, body, headers)
                    # Its body says nothing to us: one without an end must not unsay the status.
                    answer = connection.getresponse()
                except (OSError, http.client.HTTPException) as error:
                    if late.is_set():
                        raise TimeoutError from error
                    raise
        except TimeoutError as error:
            raise UnavailableError(
                f"the receiver did not answer within {seconds:g} s", name=ErrorName.TOO_SLOW
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnavailableError(
                f"the receiver cannot be reached: {type(error).__name__}",
                name=ErrorName.UNREACHABLE,
            ) from error
        return answer.status

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        host, port = self._to.hostname or "", self._to.port
        if self._to.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=seconds)
        return http.client.HTTPSConnection(
            host, port, timeout=seconds, context=ssl.create_default_context()
        )


@contextlib.contextmanager
def _cut_off(connection: http.client.HTTPConnection, seconds: float) -> Iterator[threading.Event]:
    """Bound a whole exchange: a socket's own timeout lets a receiver drip for ever."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        with contextlib.suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _address(text: str) -> SplitResult:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise MisconfiguredError(
            "a webhook's address is not one that can be called; not started",
            name=ErrorName.BAD_ADDRESS,
            hint="write it as https://host/path",
        )
    return parts
