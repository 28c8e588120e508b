"""A message as an HTTP POST that the receiver can check: HMAC-SHA256 over the exact bytes.

Headers: ``Breakglass-Signature: sha256=<hex>`` over the body, with the channel's secret;
``Idempotency-Key``, the message's key; ``Breakglass-Thread``. Source: docs/reference/alarms.md.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from breakglass.monitor.alerts.channel import Message
from breakglass.monitor.alerts.outside_http import OutsideHttp, check_taken
from breakglass.monitor.alerts.secret_folder import SecretFolder


@dataclass(frozen=True)
class WebhookSettings:
    """``[channels.NAME]`` with ``type = "webhook"``; ``secret`` is shared with the receiver.

    Both may be ``secret:NAME``. ``to`` names the people whose own channel it is, as the policy
    names them.
    """

    type: ClassVar[str] = "webhook"
    address: str
    secret: str
    to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.secret:
            raise ValueError("a webhook's secret is empty: anybody could ring")

    def channel(self, within: timedelta, secrets: SecretFolder) -> Webhook:
        """Make the channel.

        Raises:
            MisconfiguredError: the address is none, or a secret is not there.
        """
        return Webhook(secrets.value(self.address), secrets.value(self.secret), within)


def signature(secret: str, body: bytes) -> str:
    """Return the value of the signature header.

    >>> signature("s", b"x")[:18]
    'sha256=cefb105ee22'
    """
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


class Webhook:
    """POSTs to one address.

    Args:
        address: ``https://…``, or ``http://…`` for a receiver on this host.
        secret: shared with the receiver; empty signs nothing.
        within: for the whole exchange.
        outside: whether the other end must have a public address.

    Raises:
        MisconfiguredError: the address is none.
    """

    def __init__(
        self,
        address: str,
        secret: str,
        within: timedelta = timedelta(seconds=5),
        *,
        outside: bool = False,
    ) -> None:
        self._receiver = OutsideHttp(address, within, outside=outside)
        self._secret = secret

    def deliver(self, message: Message) -> None:
        """POST one message; any 2xx is heard, when its head is here. See ``Channel``."""
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.key,
            "Breakglass-Thread": message.thread,
        }
        if self._secret:
            headers["Breakglass-Signature"] = signature(self._secret, message.body)
        check_taken(self._receiver.post(message.body, headers))
