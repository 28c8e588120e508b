"""The time that witnesses agree on: a monitor with a wrong clock rings neither early nor late."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median

from breakglass.clock import Clock

SAMPLES = 32
BELIEVED = timedelta(minutes=10)  # a larger difference is an old head, or a clock beyond help


class WitnessedTime:
    """Corrects a clock by the cosignatures of heads as they arrive; safe under threads.

    A head is seen a little after it was cosigned, never before, so of several samples the largest
    lies nearest to the truth. The middle cosigner of a head counts: one wrong witness moves
    nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._samples: deque[timedelta] = deque(maxlen=SAMPLES)

    def saw(self, cosigned: Iterable[datetime]) -> None:
        """Take the cosignature times of a head that has just come in."""
        times = sorted(cosigned)
        if not times:
            return
        start = times[0]
        middle = start + timedelta(seconds=median((at - start).total_seconds() for at in times))
        difference = middle - self._clock.now()
        if abs(difference) <= BELIEVED:
            with self._lock:
                self._samples.append(difference)

    @property
    def offset(self) -> timedelta:
        """How far the witnesses are ahead of this machine's clock; zero until a head came in."""
        with self._lock:
            return max(self._samples, default=timedelta(0))

    def now(self) -> datetime:
        """Return the current time as the witnesses would tell it, in UTC."""
        return self._clock.now() + self.offset
