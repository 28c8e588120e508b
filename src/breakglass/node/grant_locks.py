"""One lock for each grant, so that two acts on one never meet and others never wait."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

_STRIPES = 1024


class GrantLocks:
    """A fixed number of locks, shared out by the grant's name."""

    def __init__(self) -> None:
        self._locks = [threading.RLock() for _ in range(_STRIPES)]

    @contextmanager
    def of(self, grant: str) -> Iterator[None]:
        """Hold a grant's lock, however long another holds it; what they do is bounded."""
        with self._lock(grant):
            yield

    @contextmanager
    def free(self, grant: str, within: timedelta = timedelta(0)) -> Iterator[bool]:
        """Hold a grant's lock if nobody else does; yields whether that is so."""
        lock = self._lock(grant)
        held = lock.acquire(timeout=within.total_seconds()) if within else lock.acquire(False)
        try:
            yield held
        finally:
            if held:
                lock.release()

    def _lock(self, grant: str) -> threading.RLock:
        return self._locks[zlib.crc32(grant.encode()) % _STRIPES]
