"""A message as an event of PagerDuty: Events API v2, ``trigger``.

``dedup_key`` is made of the ledger's origin and our key. Source: PagerDuty,
«Events API v2», POST /v2/enqueue: 202 is taken; a key has 255 characters at most, a summary 1,024.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from breakglass.monitor.alerts.channel import Message, fields_of, text_of
from breakglass.monitor.alerts.outside_http import OutsideHttp, check_taken
from breakglass.monitor.alerts.secret_folder import SecretFolder

ADDRESS = "https://events.pagerduty.com/v2/enqueue"
_SUMMARY_AT_MOST = 1024


@dataclass(frozen=True)
class PagerDutySettings:
    """``[channels.NAME]`` with ``type = "pagerduty"``; ``routing_key`` is ``secret:NAME``.

    The secret may have a second word: the address of another region.
    """

    type: ClassVar[str] = "pagerduty"
    routing_key: str
    to: tuple[str, ...] = ()

    def channel(self, within: timedelta, secrets: SecretFolder) -> PagerDuty:
        """Make the channel.

        Raises:
            MisconfiguredError: the address is none, or the secret is not there.
        """
        return PagerDuty(secrets.value(self.routing_key), within)


class PagerDuty:
    """Triggers events of one integration.

    Args:
        secret: the routing key, and behind a space the address if it is not the usual one.
        within: for the whole exchange.

    Raises:
        MisconfiguredError: the address is none.
    """

    def __init__(self, secret: str, within: timedelta) -> None:
        self._routing_key, _, address = secret.partition(" ")
        self._receiver = OutsideHttp(address.strip() or ADDRESS, within)

    def deliver(self, message: Message) -> None:
        """Trigger one event; the receiver leaves out a ``dedup_key`` that it knows."""
        told = fields_of(message)
        body = {
            "routing_key": self._routing_key,
            "event_action": "trigger",
            "dedup_key": _key(told.get("log", ""), message.key),
            "payload": {
                "summary": text_of(message)[:_SUMMARY_AT_MOST],
                "source": told.get("log", "breakglass"),
                "severity": "critical",
                "group": message.thread,
                "class": told.get("subject", ""),
                "custom_details": told,
            },
        }
        data = json.dumps(body, ensure_ascii=False).encode()
        check_taken(self._receiver.post(data, {"Content-Type": "application/json"}))


def _key(log: str, key: str) -> str:
    # Two ledgers ring one service, and each has an entry 812; a key may be longer than they take.
    return hashlib.sha256(f"{log}\n{key}".encode()).hexdigest()
