"""The sign of life: a ``pulse`` record, and a call to a dead-man's switch outside.

Whoever breaks glass looks for it: a pulse older than three minutes, and broker and minter ring
for themselves. The switch outside rings when nobody calls it, so it is called only when a pulse
was recorded: a monitor that cannot write is as good as dead.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from breakglass.clock import Clock, format_time
from breakglass.errors import BreakglassError
from breakglass.monitor.alerts.channel import Channel, Message
from breakglass.node.submitter import Fact, Submitter
from breakglass.policy.alert_routes import CHANNELS_AT_MOST
from breakglass.records.kinds.pulse import Pulse

log = logging.getLogger("breakglass.monitor")


class Pulsing:
    """Beats once when called; ``beat`` belongs to one thread.

    Args:
        stating: where the record goes. A pulse that was not recorded is not kept: late, it would
            say nothing.
        size: how many entries were verified.
        channels: the names that ring.
        broken: why the ledger is not believed, or empty; then there is no pulse.
        switches: the dead-man's switches: of the settings, and of the policy's class ``pulse``.
        clock: for the record's id.
        within: how long the ledger may take.
    """

    def __init__(
        self,
        stating: Submitter,
        size: Callable[[], int],
        channels: Callable[[], Sequence[str]],
        broken: Callable[[], str],
        switches: Callable[[], Sequence[Channel]],
        clock: Clock,
        within: timedelta = timedelta(seconds=5),
    ) -> None:
        self._stating = stating
        self._size = size
        self._channels = channels
        self._broken = broken
        self._switches = switches
        self._clock = clock
        self._within = within
        self.last: datetime | None = None
        self.trouble = ""

    def beat(self) -> None:
        """Write one pulse and call the switches."""
        self.trouble = self._broken()
        if self.trouble:
            return
        now = self._clock.now()
        ident = f"pulse/{format_time(now)}"
        try:
            body = Pulse(self._size(), tuple(self._channels())[:CHANNELS_AT_MOST])
            self._stating.append([Fact(ident, body)], self._within)
            self.last = now
        except BreakglassError as error:
            self._failed(error)
            return
        text = f"breakglass monitor: alive at {format_time(now)}"
        told = json.dumps({"key": ident, "at": format_time(now), "text": text}).encode()
        for each in self._switches():
            try:
                each.deliver(Message(ident, "pulse", told))
            except BreakglassError as error:
                self._failed(error)  # the others are called all the same

    def _failed(self, error: BreakglassError) -> None:
        self.trouble = str(error)
        log.warning("pulse: %s", error)
