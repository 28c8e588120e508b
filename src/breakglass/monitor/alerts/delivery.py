"""One channel's bell: its outbox, and the thread that never gives up emptying it."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from breakglass.clock import Clock
from breakglass.errors import UnavailableError
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.channel import Channel, Message
from breakglass.monitor.alerts.outbox import (
    AlertOutbox,
    ChannelView,
    Delivered,
    MessageView,
    Waiting,
)

log = logging.getLogger("breakglass.alarms")
_DISK_REST = 1.0  # seconds until a disk that failed is tried again


@dataclass(frozen=True)
class DeliveryLimits:
    """How patiently a bell tries again: for ever, and at least this often."""

    retry_at_most: timedelta = timedelta(seconds=60)
    first_rest: timedelta = timedelta(milliseconds=200)  # doubles with each attempt


class ChannelDelivery:
    """Rings one channel; safe under threads.

    ``channel`` may be replaced by another way to the same people at any time.

    Bells share nothing but the disk, so one that hangs delays no other, and none of them stands
    on the way of a grant.
    """

    def __init__(
        self,
        name: str,
        channel: Channel,
        outbox: Path,
        clock: Clock,
        settled: Callable[[], None],
        limits: DeliveryLimits | None = None,
    ) -> None:
        """Open the outbox.

        Args:
            name: the channel's, as the settings have it.
            channel: how to reach people.
            outbox: its file; made if missing.
            clock: for the times in the outbox.
            settled: told when something became of a message, heard or failed for the first
                time: ``untold`` is not empty then. Returns at once.
            limits: as above.

        Raises:
            MisconfiguredError: the outbox cannot be opened.
        """
        self.name = name
        self.channel = channel
        self._outbox = AlertOutbox(outbox)
        self._clock = clock
        self._settled = settled
        limits = limits or DeliveryLimits()
        self._most = limits.retry_at_most.total_seconds()
        self._first_rest = limits.first_rest.total_seconds()
        self._changed = threading.Condition()
        self._news = True
        self._closed = False
        self._unkept: dict[str, tuple[Alert, str]] = {}  # news that the disk did not take, by key
        self._called: set[str] = set()  # which of these were heard
        self._heard: dict[int, datetime] = {}  # deliveries that the disk did not take, by number
        self._not_before: dict[int, float] = {}  # by monotonic time: a wrong clock delays nothing
        self._thread = threading.Thread(
            target=self._ring_for_ever, name=f"bell {name}", daemon=True
        )

    def start(self) -> None:
        """Begin with what waits since last time."""
        self._thread.start()

    def put(self, news: Iterable[Alert], ledger: str) -> int:
        """Queue news, on disk when this returns; what is here already is left alone.

        If the disk refuses it is rung all the same, at once and from memory, and once more under
        its key when the disk takes it: a full disk must not silence us.
        """
        news = list(news)
        try:
            count = self._outbox.put(news, ledger, self._clock.now())
        except sqlite3.Error as error:
            log.error("channel %r: its outbox cannot be written: %s", self.name, error)
            with self._changed:
                self._unkept |= {each.key: (each, ledger) for each in news}
            count = len(news)
        if count:
            self._wake()
        return count

    def untold(self) -> list[Delivered]:
        """Return what became of messages and is not stated yet."""
        return self._outbox.untold()

    def told(self, delivered: Delivered) -> None:
        """Take note that it is kept for the ledger."""
        self._outbox.told(delivered)

    def told_of(self, subject: str, about: str) -> bool:
        """Say whether such a message was ever queued here; not known counts as no."""
        try:
            return self._outbox.told_of(subject, about)
        except sqlite3.Error:
            return False

    def summary(self) -> ChannelView:
        """Say how this bell stands."""
        return self._outbox.summary()

    def listing(self, most: int) -> list[MessageView]:
        """Return the newest messages on this channel."""
        return self._outbox.listing(self.name, most)

    def close(self) -> None:
        """Stop. What waits stays on disk."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            # A delivery under way is cut off by its own bound; a crash there is borne anyway.
            self._thread.join(0.5)
        if not self._thread.is_alive():
            self._outbox.close()

    def _wake(self) -> None:
        with self._changed:
            self._news = True
            self._changed.notify_all()

    def _ring_for_ever(self) -> None:
        rest = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._news, rest)
                if self._closed:
                    return
                self._news = False
            rest = min(self._guarded(self._ring_unkept), self._guarded(self._ring_once))

    def _guarded(self, ring: Callable[[], float]) -> float:
        """Ring; where the disk fails what the other way rings is not held up."""
        try:
            return ring()
        except sqlite3.Error as error:
            if not self._closed:
                log.error("channel %r: its outbox fails; trying again: %s", self.name, error)
            return _DISK_REST

    def _ring_unkept(self) -> float:
        """Put into the outbox what it did not take before; while it does not, ring from memory.

        Returns:
            The seconds until there is something to do again.

        Raises:
            sqlite3.Error: it still does not.
        """
        with self._changed:
            unkept = dict(self._unkept)
        if not unkept:
            return self._most
        try:
            for news, ledger in unkept.values():
                self._outbox.put([news], ledger, self._clock.now())
        except sqlite3.Error:
            for key, (news, ledger) in unkept.items():
                if key not in self._called:
                    self._call(Message(key, news.thread, news.body(ledger)))
            raise
        with self._changed:
            for key in unkept:
                del self._unkept[key]
        self._called.clear()
        return self._most

    def _call(self, message: Message) -> None:
        try:
            self.channel.deliver(message)
            self._called.add(message.key)
        except Exception as error:
            log.exception("channel %r: %s", self.name, type(error).__name__)

    def _ring_once(self) -> float:
        """Deliver what is due; returns the seconds until something may be."""
        while not self._closed:
            now = time.monotonic()
            self._mark_heard()
            waiting = self._outbox.waiting(self._heard)
            due = [each for each in waiting if self._not_before.get(each.number, 0.0) <= now]
            if not due:
                times = [self._not_before.get(each.number, now) - now for each in waiting]
                most = _DISK_REST if self._heard else self._most
                return max(0.01, min([*times, most]))
            self._deliver(due[0])
        return 0.0

    def _deliver(self, waiting: Waiting) -> None:
        # (1) Ring. A crash behind this rings again under the same key, which the receiver knows.
        try:
            self.channel.deliver(waiting.message)
        except UnavailableError as error:
            self._failed(waiting, str(error))
            return
        except Exception as error:
            log.exception("channel %r: an error inside", self.name)
            self._failed(waiting, f"an error inside: {type(error).__name__}")
            return
        # (2) Mark it. From here no restart rings it again. Where the disk does not take that, it is
        #     known in memory until the disk does: neither is it rung again, nor what follows late.
        self._heard[waiting.number] = self._clock.now()
        self._mark_heard()
        # The channel is back: what rested because of it need rest no longer.
        self._not_before.clear()
        self._settled()

    def _mark_heard(self) -> None:
        try:
            for number, at in list(self._heard.items()):
                self._outbox.heard(number, at)
                del self._heard[number]
        except sqlite3.Error as error:
            log.error("channel %r: a delivery cannot be marked: %s", self.name, error)

    def _failed(self, waiting: Waiting, why: str) -> None:
        rest = min(self._first_rest * 2 ** min(waiting.attempts, 20), self._most)
        self._not_before[waiting.number] = time.monotonic() + rest
        self._outbox.failed(waiting.number, why)
        if waiting.attempts == 0:
            log.warning("channel %r: %s; trying again for as long as it takes", self.name, why)
            self._settled()
