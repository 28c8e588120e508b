"""A clock that setting the machine's clock back does not turn back: no grant lives longer by it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

from breakglass.clock import Clock, format_time, parse_time
from breakglass.errors import BreakglassError, MisconfiguredError
from breakglass.process.folder import write_whole

KEEP_EVERY = timedelta(seconds=30)


class SteadyClock:
    """Tells the machine's time, or the time kept before and what has passed, if that is later.

    What passed is measured with ``CLOCK_BOOTTIME``, which goes on while the machine sleeps. A
    clock set forward ends grants early, and is followed back: only what passed is kept on disk.

    Args:
        path: where what passed is kept over restarts.
        clock: the machine's.

    Raises:
        MisconfiguredError: the file is there and says no time.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._begun = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._base = max(clock.now(), _kept(path) or clock.now())
        self._written = self._base - KEEP_EVERY

    def now(self) -> datetime:
        """Return the time."""
        return max(self._clock.now(), self._passed())

    @property
    def behind(self) -> timedelta:
        """How far the machine's clock is behind what this one knows; zero if it is not."""
        return max(timedelta(0), self._passed() - self._clock.now())

    def keep(self) -> None:
        """Write what passed to disk, now and then; a crash loses half a minute of it at most.

        Raises:
            OSError: it could not be written.
        """
        passed = self._passed()
        if passed >= self._written + KEEP_EVERY:
            write_whole(self._path, format_time(passed).encode())
            self._written = passed

    def _passed(self) -> datetime:
        seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - self._begun
        return self._base + timedelta(seconds=seconds)


def _kept(path: Path) -> datetime | None:
    try:
        return parse_time(path.read_text("ascii"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, BreakglassError) as error:
        raise MisconfiguredError(
            f"{str(path)!r} says no time; not started",
            hint="look at the machine's clock, then remove that file",
        ) from error
