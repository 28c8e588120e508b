"""A message for an incoming webhook of Slack's form: ``{"text": …}``, answered with ``ok``.

Mattermost and others take the same form. It knows no key: what is sent twice is seen twice, so the
text ends in the message's thread and key. Source: docs/reference/alarms.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from breakglass.error_names import ErrorName
from breakglass.errors import UnavailableError
from breakglass.monitor.alerts.channel import Message, text_of
from breakglass.monitor.alerts.outside_http import OutsideHttp, check_taken
from breakglass.monitor.alerts.secret_folder import SecretFolder

_TEXT_AT_MOST = 30_000  # Slack cuts a text at 40,000 characters


@dataclass(frozen=True)
class SlackSettings:
    """``[channels.NAME]`` with ``type = "slack"``; the address is the secret: ``secret:NAME``."""

    type: ClassVar[str] = "slack"
    address: str
    to: tuple[str, ...] = ()

    def channel(self, within: timedelta, secrets: SecretFolder) -> Slack:
        """Make the channel.

        Raises:
            MisconfiguredError: the address is none, or the secret is not there.
        """
        return Slack(secrets.value(self.address), within)


class Slack:
    """POSTs to one incoming webhook.

    Raises:
        MisconfiguredError: the address is none.
    """

    def __init__(self, address: str, within: timedelta, *, outside: bool = False) -> None:
        self._receiver = OutsideHttp(address, within, outside=outside)

    def deliver(self, message: Message) -> None:
        """POST one message; 2xx with ``ok`` is heard. See ``Channel``."""
        text = _escaped(text_of(message)[:_TEXT_AT_MOST])
        trailer = _escaped(f"thread {message.thread}, key {message.key}")
        body = json.dumps({"text": f"{text}\n{trailer}", "mrkdwn": False}, ensure_ascii=False)
        answer = self._receiver.post(body.encode(), {"Content-Type": "application/json"}, reads=64)
        check_taken(answer)
        if answer.start.strip() != b"ok":
            # A proxy's page has status 200 too.
            raise UnavailableError("the receiver did not answer 'ok'", name=ErrorName.NOT_TAKEN)


def _escaped(text: str) -> str:
    """Take their meaning from Slack's control sequences: a reason may hold ``<!channel>``.

    Source: Slack, «Formatting text for app surfaces», escaping text.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
