"""All the bells of a monitor: news goes to every one, deliveries go into the ledger."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from breakglass.clock import Clock
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.channel import Channel
from breakglass.monitor.alerts.delivery import ChannelDelivery, DeliveryLimits
from breakglass.monitor.alerts.delivery_records import DeliveryRecords
from breakglass.monitor.alerts.outbox import ChannelView, MessageView
from breakglass.node.submitter import Submitter

Heard = Collection[tuple[str, str]]
"""(channel, key) of deliveries that the ledger shows."""


class Dispatch:
    """Rings news on every channel that has not heard it; safe under threads.

    Every channel hears everything: a route that a policy could bend is a way to break glass in
    silence.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        folder: Path,
        log: str,
        clock: Clock,
        stating: Submitter,
        limits: DeliveryLimits | None = None,
        people: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """Open the outboxes, one file a channel in ``folder``.

        ``people`` gives, by channel, whom it reaches; a channel that stands for nobody of its own
        is recorded by its name.

        Raises:
            MisconfiguredError: one cannot be opened.
        """
        self._log = log
        self._bells = [
            ChannelDelivery(
                name,
                channel,
                folder / f"{name}.sqlite",
                clock,
                lambda: self._records.wake(),
                limits,
            )
            for name, channel in sorted(channels.items())
        ]
        self._records = DeliveryRecords(self._bells, people or {}, stating.post)

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels."""
        return tuple(bell.name for bell in self._bells)

    def start(self) -> None:
        """Begin with what waits since last time."""
        self._records.start()
        for bell in self._bells:
            bell.start()

    def ring(self, news: Sequence[Alert], heard: Heard = frozenset()) -> None:
        """Queue news on every channel; on disk when this returns, out in a moment.

        Args:
            news: as told; what a channel's outbox has already is left alone.
            heard: what need not be rung, by the ledger's word.
        """
        for bell in self._bells:
            bell.put([each for each in news if (bell.name, each.key) not in heard], self._log)

    def summary(self) -> dict[str, ChannelView]:
        """Say how every channel stands."""
        return {bell.name: bell.summary() for bell in self._bells}

    def listing(self, most: int = 200) -> list[MessageView]:
        """Return the newest messages of all channels, newest first."""
        rows = (row for bell in self._bells for row in bell.listing(most))
        return sorted(rows, key=lambda row: (row.queued, row.index), reverse=True)[:most]

    def close(self) -> None:
        """Stop every bell; what waits stays on disk."""
        self._records.close()
        for bell in self._bells:
            bell.close()

    def _wake(self) -> None:
        self._records.wake()
