"""How many grants are ended in a second, so that a backlog of thousands slows nobody's mint."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class EndingPace:
    """So many at once, and as many again in each second; safe under threads, full after a start.

    A minter that comes back behind an outage finds everything over that expired meanwhile. Ended
    as fast as it goes they take the processor, the disk and the ledger from whoever breaks a glass.

    Args:
        per_second: how many.
        tick: a monotonic clock in seconds.
    """

    def __init__(self, per_second: int, tick: Callable[[], float] = time.monotonic) -> None:
        self._most = float(per_second)
        self._tick = tick
        self._lock = threading.Lock()
        self._left = self._most
        self._then = tick()

    def room(self) -> int:
        """Return how many may begin now."""
        with self._lock:
            now = self._tick()
            self._left = min(self._most, self._left + (now - self._then) * self._most)
            self._then = now
            return int(self._left)

    def begin(self) -> None:
        """Count one that begins."""
        with self._lock:
            self._left -= 1
