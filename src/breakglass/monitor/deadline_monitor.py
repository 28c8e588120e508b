"""The regular look at what should be there by now: records, and the ledger itself."""

from __future__ import annotations

import time
from datetime import timedelta

from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.entry_handler import EntryHandler
from breakglass.monitor.overdue_records import Patience, missing
from breakglass.monitor.witnessed_time import WitnessedTime
from breakglass.node.replica import Replica


class DeadlineMonitor:
    """Looks once when called; ``look`` belongs to one thread."""

    def __init__(
        self,
        view: Replica,
        following: EntryHandler,
        ringing: Dispatch,
        now: WitnessedTime,
        patience: Patience,
        silent_after: timedelta,
    ) -> None:
        self._view = view
        self._following = following
        self._ringing = ringing
        self._now = now
        self._patience = patience
        self._silent_after = silent_after.total_seconds()
        self._outage: tuple[float, int] | None = None  # since when, at which size of the log
        self.overdue: dict[str, str] = {}

    def look(self) -> None:
        """Ring what is missing; each is rung once, however long it stays so."""
        now = self._now.now()
        chronicle = self._following.chronicle
        with self._view.reading() as state:
            found = missing(state, chronicle, now, self._patience)
        new = [each for each in found if each.key not in self.overdue]
        self._ringing.ring([*new, *self._silence()], chronicle.kept.heard)
        self.overdue = {each.key: each.text for each in found}

    def _silence(self) -> tuple[Alert, ...]:
        away = self._view.away
        if away is None:
            self._outage = None
            return ()
        since, size = self._outage = self._outage or (time.monotonic(), self._view.size)
        if time.monotonic() - since < self._silent_after:
            return ()
        text = (
            f"The ledger has been silent for {self._silent_after:.0f} s, at {size} entries: {away}."
            " Nobody can break a glass now, except with custodians: breakglass door ask. What"
            " happens there raises no alert here until the ledger is back."
        )
        # One message an outage: the size at its beginning names it.
        return (Alert("ledger_silent", "ledger", size, "ledger", self._now.now(), text),)
