"""A thread that does one thing every so often, and goes on after an error."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from breakglass.errors import BreakglassError

log = logging.getLogger("breakglass.periodic")


class PeriodicTask:
    """Calls ``do`` at once and then every so often, by monotonic time, until closed."""

    def __init__(self, name: str, every: timedelta, do: Callable[[], None]) -> None:
        self._name = name
        self._every = every.total_seconds()
        self._do = do
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop; a call under way ends by itself, and is waited for a second at most."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(1)

    @property
    def closing(self) -> bool:
        """Whether it is to stop; a call that takes long looks at it."""
        return self._closing.is_set()

    def _repeat(self) -> None:
        while not self._closing.is_set():
            try:
                self._do()
            except BreakglassError as error:
                log.warning("%s: %s", self._name, error)
            except Exception:
                if self._closing.is_set():
                    return
                log.exception("%s: an error inside; going on", self._name)
            self._closing.wait(self._every)
