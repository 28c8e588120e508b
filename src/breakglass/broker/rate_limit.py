"""How much one person may have written down for nothing, so that no one can stuff the ledger."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta


class RateLimit:
    """So many per span and person, refilled steadily; safe under threads, forgotten at restart.

    Args:
        most: how many at once.
        span: in which as many come back.
        tick: a monotonic clock in seconds.
    """

    def __init__(
        self, most: int, span: timedelta, tick: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = float(most)
        self._per_second = most / span.total_seconds()
        self._tick = tick
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, who: str) -> bool:
        """Take one of a person's; says whether there was one."""
        now = self._tick()
        with self._lock:
            left, then = self._left.get(who, (self._most, now))
            left = min(self._most, left + (now - then) * self._per_second)
            taken = left >= 1
            self._left[who] = (left - 1 if taken else left, now)
        return taken
