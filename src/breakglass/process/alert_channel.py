"""A process's own alert channel, for when the monitor cannot alert: a log file, and a webhook.

It never blocks a story.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from breakglass.clock import Clock, format_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Peer
from breakglass.shown_text import TEXT_AT_MOST, shown

log = logging.getLogger("breakglass.bell")
_WAITING_AT_MOST = 1000


@dataclass(frozen=True)
class RingSettings:
    """The table ``[ring]``: where a process rings for itself while the monitor is silent.

    ``webhook`` is an address that takes a JSON object, or empty; the log is always written.
    """

    log: str = "data/rings.log"
    webhook: str = ""

    def channel(self, folder: Path, by: str, clock: Clock) -> AlertChannel:
        """Make the bell of the process of this folder."""
        return AlertChannel(folder / self.log, self.webhook, by, clock)


class AlertChannel:
    """Rings on a thread of its own; safe under threads.

    Args:
        file: one JSON object per line, fsynced.
        webhook: an address that takes the same object, or empty.
        by: who alerts.
        clock: for the time of each alert.
    """

    def __init__(self, file: Path, webhook: str, by: str, clock: Clock) -> None:
        self._file = file
        self._webhook = Peer(webhook, name="webhook") if webhook else None
        self._path = "" if urlsplit(webhook).path else "/"
        self._by = by
        self._clock = clock
        self._waiting: queue.Queue[dict[str, str] | None] = queue.Queue(_WAITING_AT_MOST)
        self._thread = threading.Thread(target=self._ring_for_ever, name="bell", daemon=True)
        self._thread.start()

    def ring(self, subject: str, about: str, words: str) -> None:
        """Write the alert down at once, and send it behind.

        Args:
            subject: a coded word, such as ``outlived``.
            about: a grant or a handle; never a secret.
            words: for the person who is awake.
        """
        told = self._told(subject, about, words)
        log.error("alert %s: %s: %s", subject, about, words)
        try:
            self._write(told)
        except OSError as error:
            log.error("alert cannot be written: %s", error)
        try:
            self._waiting.put_nowait(told)
        except queue.Full:
            log.error("alert not sent by webhook: too many wait; it is in the file")

    def ring_first(self, subject: str, about: str, words: str) -> None:
        """Ring before something is done: written when this returns, and the webhook was tried.

        A webhook that does not answer within 2 s stops nothing: that it did not stands in the log.

        Raises:
            UnavailableError: it cannot be written down; what waits for it may not be done.
        """
        told = self._told(subject, about, words)
        log.error("alert %s: %s: %s", subject, about, words)
        if self._webhook is not None:
            told["webhook"] = self._tried(self._webhook, told)
        try:
            self._write(told)
        except OSError as error:
            raise UnavailableError(
                f"the alert cannot be written to {str(self._file)!r}: {error}; nothing was opened",
                name=ErrorName.BELL,
                hint="free space on this disk, or repair the folder's rights, then retry",
            ) from error

    def _tried(self, webhook: Peer, told: dict[str, str]) -> str:
        body = json.dumps(told, ensure_ascii=False).encode()
        try:
            webhook.post(self._path, body, "application/json", within=timedelta(seconds=2))
        except BreakglassError as error:
            return f"not delivered: {error}"
        return "delivered"

    def _told(self, subject: str, about: str, words: str) -> dict[str, str]:
        return {
            "at": format_time(self._clock.now()),
            "by": self._by,
            "subject": subject,
            "about": shown(about),
            "words": shown(words, TEXT_AT_MOST),
        }

    def _write(self, told: dict[str, str]) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Stop after what waits was tried once."""
        self._waiting.put(None)
        self._thread.join(2)

    def _ring_for_ever(self) -> None:
        while (told := self._waiting.get()) is not None:
            if self._webhook is None:
                continue
            body = json.dumps(told, ensure_ascii=False).encode()
            for within in (2, 5):
                try:
                    self._webhook.post(
                        self._path, body, "application/json", within=timedelta(seconds=within)
                    )
                except BreakglassError as error:
                    log.error("alert not delivered by webhook: %s", error)
                else:
                    break
