"""What became of messages, on its way into the ledger: the records of all channels together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from breakglass.errors import BreakglassError, MalformedError
from breakglass.monitor.alerts.delivery import ChannelDelivery
from breakglass.monitor.alerts.outbox import Delivered
from breakglass.node.submitter import Fact
from breakglass.records.kinds.alert import Alert, Delivery

log = logging.getLogger("breakglass.alarms")
_AGAIN = timedelta(seconds=1)


class DeliveryRecords:
    """States deliveries and first failures on a thread of its own, so that none delays a bell.

    One message is heard on its channels within moments: waiting so long for company makes one
    transaction, one request and one commit of what would be one for each channel.

    Args:
        bells: whose messages; asked what is not stated yet.
        people: by channel, whom it reaches; a channel that stands for nobody is named itself.
        keep: keeps facts until the ledger takes them, all or none, on disk when it returns; the
            same id is never recorded twice.
        gather: how long a delivery waits for others.
    """

    def __init__(
        self,
        bells: Callable[[], Sequence[ChannelDelivery]],
        people: Callable[[str], tuple[str, ...]],
        keep: Callable[..., None],
        gather: timedelta = timedelta(milliseconds=100),
    ) -> None:
        self._bells = bells
        self._people = people
        self._keep = keep
        self._gather = gather.total_seconds()
        self._news = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._state_for_ever, name="stating", daemon=True)

    def start(self) -> None:
        """Begin with what waits since last time."""
        self._news.set()
        self._thread.start()

    def wake(self) -> None:
        """Say that something became of a message; returns at once."""
        self._news.set()

    def close(self) -> None:
        """Stop. What is not stated yet is so after the next start."""
        self._closed.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(0.5)

    def _state_for_ever(self) -> None:
        again: float | None = None
        while True:
            self._news.wait(again)
            if self._closed.wait(self._gather):
                return
            # Before it is looked: what comes behind that wakes us once more.
            self._news.clear()
            try:
                again = None if self._state() else _AGAIN.total_seconds()
            except Exception:  # the edge of a thread: an outbox fails, or has an error inside
                if self._closed.is_set():
                    return
                log.exception("deliveries are not stated yet; trying again")
                again = _AGAIN.total_seconds()

    def _state(self) -> bool:
        """State what is not stated; says whether all of it is."""
        found = [(bell, each) for bell in self._bells() for each in bell.untold()]
        facts = [self._fact(bell.name, each) for bell, each in found]
        if not found:
            return True
        try:
            # (3) Keep all or none; (1) and (2) are the bells'. A crash before this states them
            #     after the restart, under the same ids.
            self._keep(*facts)
        except MalformedError:
            return self._state_each(found)  # one that cannot be written holds up no other
        except BreakglassError as error:
            log.error("%d deliveries are not stated yet: %s", len(found), error)
            return False
        # (4) Mark them. A crash before this keeps them once more: spool and ledger know the ids.
        for bell, each in found:
            bell.told(each)
        return True

    def _state_each(self, found: Sequence[tuple[ChannelDelivery, Delivered]]) -> bool:
        kept = 0
        for bell, each in found:
            try:
                self._keep(self._fact(bell.name, each))
            except BreakglassError as error:
                log.error("channel %r: a delivery is not stated yet: %s", bell.name, error)
            else:
                bell.told(each)
                kept += 1
        return kept == len(found)

    def _fact(self, channel: str, delivered: Delivered) -> Fact:
        reached = delivered.to or self._people(channel) or (channel,)
        return alert_fact(channel, reached, delivered)


def alert_fact(channel: str, to: tuple[str, ...], delivered: Delivered) -> Fact:
    """Return the ``alert`` record for what became of one message on one channel."""
    delivery = Delivery.FAILED if delivered.failure else Delivery.DELIVERED
    body = Alert(
        subject=delivered.subject,
        about=delivered.about,
        index=delivered.index,
        channel=channel,
        to=to,
        delivery=delivery,
        by="",
        attempts=delivered.attempts,
        detail=delivered.failure,
    )
    return Fact(f"alert/{delivered.key}/{channel}/{delivery.value}", body)
