"""Whether the ledger is believed. Once it contradicted itself it is not, until people say so."""

from __future__ import annotations

import threading

from breakglass.clock import Clock
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.checkpoint_store import CheckpointStore


class ForkLatch:
    """Ends for good when two signed heads contradict, also over a restart; safe under threads.

    What ends it shouts on the channels at once, without the ledger. Then the monitor takes in
    nothing more and its pulse stops, so that brokers and minters ring for themselves.
    """

    def __init__(self, kept: CheckpointStore, ringing: Dispatch, clock: Clock) -> None:
        self._kept = kept
        self._ringing = ringing
        self._clock = clock
        self._lock = threading.Lock()
        files = kept.evidence
        self._broken = (
            f"evidence against the ledger is kept: {', '.join(files)}; move it away when people"
            " have settled what it means"
            if files
            else ""
        )

    @property
    def broken(self) -> str:
        """Why the ledger is not believed; empty while it is."""
        return self._broken

    def end(self, why: str, evidence: str, size: int) -> None:
        """Stop believing.

        Args:
            why: for people.
            evidence: the name of the file that proves it; empty if it could not be kept.
            size: of the head in question; names the news.
        """
        with self._lock:
            if self._broken:
                return
            self._broken = why
        kept = f" Both heads are kept in evidence/{evidence} of the monitor." if evidence else ""
        text = (
            f"THE LEDGER CONTRADICTS ITSELF: {why}. Trust no new record of it, and break no glass,"
            f" until this is explained.{kept}"
        )
        news = Alert(
            "ledger_contradicts", "ledger", size, "ledger", self._clock.now(), text, stated=False
        )
        self._ringing.ring([news])
