"""One piece of news: what is sent on every channel, under a key that a restart makes again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from breakglass.clock import format_time
from breakglass.shown_text import TEXT_AT_MOST, shown


@dataclass(frozen=True)
class Alert:
    """Something that people must hear.

    Attributes:
        subject: the stable word for what happened: ``broke_glass``, ``forbidden``.
        about: a grant or a record id.
        index: the entry that it rests on; of news without one, the size of the log at hand.
        thread: messages of one thread belong together: a grant's id, ``policy``, ``record/812``.
        at: when it happened, by the record's own word.
        text: the whole story in one paragraph, for people.
        fields: the same, taken apart for machines: who, glass, grants, until, why, incident, kill.
        path: of a grant's life: by which path it was granted; it says who hears of it.
        person: whose own channels alone it goes to; empty for the channels of settings and policy.
        to: whom a record of its delivery names, where that is not whom the channel reaches.
        once: names it for ever where subject and index do not: a receipt, by what was signed.
        stated: whether its deliveries become ``alert`` records. News of our own alert records
            does not, or one bad record would breed the next for ever; and news that the ledger
            itself is wrong cannot.
    """

    subject: str
    about: str
    index: int
    thread: str
    at: datetime
    text: str
    fields: Mapping[str, str] = field(default_factory=dict)
    stated: bool = True
    path: str = ""
    person: str = ""
    to: tuple[str, ...] = ()
    once: str = ""

    @property
    def key(self) -> str:
        """Name this news for ever: whoever folds the same log finds the same key."""
        return f"{self.subject}/{self.once or self.index}"

    @property
    def news(self) -> str:
        """Tell news apart where one key goes to several people."""
        return f"{self.key} {self.person}" if self.person else self.key

    def body(self, log: str) -> bytes:
        """Write the message as channels send it; the same news is the same bytes.

        No rule need remember that it quotes somebody: whatever a field holds, it leaves on one
        line, with nothing hidden in it and with an end.
        """
        value = {
            "v": 1,
            "log": log,
            "key": self.key,
            "thread": shown(self.thread),
            "subject": self.subject,
            "about": shown(self.about),
            "index": self.index,
            "at": format_time(self.at),
            "text": shown(self.text, TEXT_AT_MOST),
            **{name: shown(each, TEXT_AT_MOST) for name, each in self.fields.items()},
        }
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
