"""What a channel promises; ``tests/contracts/test_channel.py`` holds every channel to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Message:
    """One piece of news as it leaves: ``body`` is one line of JSON, ``key`` names it for ever."""

    key: str
    thread: str
    body: bytes


def fields_of(message: Message) -> dict[str, str]:
    """Return a message's fields as texts, for channels that have a form of their own."""
    return {name: str(each) for name, each in json.loads(message.body).items()}


def text_of(message: Message) -> str:
    """Return what a message says to people, on one line."""
    return fields_of(message).get("text", "")


class Channel(Protocol):
    """One way to reach people.

    When ``deliver`` returns, the other side has taken the message: a server answered 2xx, or the
    bytes are on disk. Until then nothing counts.

    Called again with the same key, people do not hear the message twice: the channel either
    leaves it out itself or hands the key on, so that the receiver can.

    After an error the caller may assume nothing: the message may have been heard or not, and is
    delivered again later. Every trouble is an ``UnavailableError`` whose text holds no secret.
    A call ends within a bound that the channel was built with, whatever the other side does.
    One thread calls at a time. A channel keeps no message: the outbox does.
    """

    def deliver(self, message: Message) -> None:
        """Make one message heard.

        Raises:
            UnavailableError: it was not, or nobody knows.
        """
        ...
