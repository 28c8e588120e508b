"""Reads the ledger's past over again, a little at each look, beside what was followed.

A follower reads each entry once. What is changed in the ledger's own journal afterwards would show
to the next newcomer, at the next start or to ``ledger fsck``; here it shows while the ledger runs.
Nothing is lost by such a change: every follower and the archive hold what was logged.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

from breakglass.clock import Clock
from breakglass.errors import BreakglassError, MalformedError
from breakglass.http.client import Peer
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.root_history import RootHistory
from breakglass.node.replica import Replica
from breakglass.tlog.hashing import leaf_hash
from breakglass.tlog.tiles import TILE_WIDTH, decode_bundle, entries_path

BUNDLES_A_LOOK = 4
"""1,024 entries: a log of 6,000 is read whole within a minute, one of a million in three hours."""
_WITHIN = timedelta(seconds=5)


class TileAudit:
    """See the module; ``look`` belongs to one thread.

    Args:
        ledger: a connection of our own, to its public tiles.
        view: the followed log.
        roots: its leaf hashes; changed under the view's lock.
        ringing: told of what is not as it was.
        clock: for the time of what rings.
        patience: for how long a bundle may be refused, by a ledger that answers otherwise.
    """

    def __init__(
        self,
        ledger: Peer,
        view: Replica,
        roots: RootHistory,
        ringing: Dispatch,
        clock: Clock,
        patience: timedelta,
    ) -> None:
        self._ledger = ledger
        self._view = view
        self._roots = roots
        self._ringing = ringing
        self._clock = clock
        self._patience = patience.total_seconds()
        self._bundle = 0  # the next one; after the last begins the first
        self._ungiven: dict[int, float] = {}  # by first entry: since when it was not given

    def look(self) -> None:
        """Read the next few bundles.

        A ledger that is away, or that has no such bundle yet (a standby may be behind), is asked
        again in the next round; that it is silent is for others to tell.
        """
        for _ in range(BUNDLES_A_LOOK):
            with self._view.reading():
                size = self._roots.size
                start = self._bundle * TILE_WIDTH
                leaves = self._roots.hashes(0, start, min(start + TILE_WIDTH, size))
            if not leaves:
                self._bundle = 0
                return
            self._bundle += 1
            try:
                self._compare(start, leaves)
                self._ungiven.pop(start, None)
            except BreakglassError as error:
                # On to the next at the next look: one that cannot be read must not hide the rest.
                self._not_given(start, len(leaves), error)
                return

    def _not_given(self, start: int, count: int, error: BreakglassError) -> None:
        """Ring if these entries are not given for long, by a ledger that is not silent."""
        if self._view.away is not None:
            self._ungiven.clear()
            return
        since = self._ungiven.setdefault(start, time.monotonic())
        if time.monotonic() - since > self._patience:
            self._ring(start, f"entries {start} to {start + count - 1} ({error})")

    def _compare(self, start: int, leaves: Sequence[bytes]) -> None:
        try:
            path = entries_path(start // TILE_WIDTH, len(leaves))
            shown = decode_bundle(self._ledger.read(f"/{path}", within=_WITHIN).body)
        except MalformedError as error:
            self._ring(start, f"entries {start} to {start + len(leaves) - 1} ({error})")
            return
        for at, leaf in enumerate(leaves):
            if at >= len(shown) or leaf_hash(shown[at]) != leaf:
                self._ring(start + at, f"entry {start + at}")
                return

    def _ring(self, index: int, what: str) -> None:
        text = (
            f"THE LEDGER'S HISTORY WAS CHANGED: it no longer shows {what} as it was recorded. The"
            " archive and every process still hold the original. Change nothing on the ledger's"
            " host, and examine it: breakglass ledger fsck FOLDER"
        )
        news = Alert(
            "past_changed", "ledger", index, "ledger", self._clock.now(), text, stated=False
        )
        self._ringing.ring([news])
