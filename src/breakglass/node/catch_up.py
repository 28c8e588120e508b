"""After a start: nothing is done before our view has reached what the ledger holds now.

A replayed cache passes through every policy of the past: a decision in the middle of it would be
one of last year, and a grant that was stopped later would run again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Peer
from breakglass.node.replica import Replica
from breakglass.tlog.checkpoint import parse_checkpoint

log = logging.getLogger("breakglass.following")
_REPLAY_STEP = timedelta(seconds=0.5)
_STEP = timedelta(seconds=2)


class CatchingUp:
    """Knows whether the view has ever been current; safe under threads.

    Args:
        view: ours, started by its owner.
        ledger: asked for its size; a lie about it costs only time, since every entry is proven.
        withheld: what is not done meanwhile, for messages: ``recorded``, ``minted``.
        patience: for how long the ledger may hand out nothing new, our cache once replayed; then
            we are as current as it lets us be. ``None``: for ever.
        broken: why the ledger is not followed any more, or empty; then nothing is waited for.
        then: called once, when we are.
    """

    def __init__(
        self,
        view: Replica,
        ledger: Peer,
        withheld: str,
        *,
        patience: timedelta | None = None,
        broken: Callable[[], str] = lambda: "",
        then: Callable[[], None] = lambda: None,
    ) -> None:
        self._withheld = withheld
        self._patience = patience
        self._broken = broken
        self._then = then
        self._view = view
        self._ledger = ledger
        self._current = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._catch_up, name="catching-up", daemon=True)

    def start(self) -> None:
        """Begin to wait for it."""
        self._thread.start()

    def close(self) -> None:
        """Stop waiting."""
        self._closed.set()

    @property
    def current(self) -> bool:
        """Whether the view has been current since the start."""
        return self._current.is_set()

    def require(self, within: timedelta) -> None:
        """Wait until the view is current.

        Raises:
            UnavailableError: ``catching_up``: not within that time; nothing may be decided.
        """
        if not self._current.wait(within.total_seconds()):
            why = f": {self._view.away}" if self._view.away else ""
            raise UnavailableError(
                f"still reading the ledger, entry {self._view.size}; nothing was"
                f" {self._withheld}{why}",
                name=ErrorName.CATCHING_UP,
                hint="try again in a moment, or another replica",
            )

    def _catch_up(self) -> None:
        with contextlib.suppress(BreakglassError):
            self._size()  # only so that whoever watches the replay sees how far it has to go
        # The replay takes as long as it takes: it is ours, and nobody can hold it up.
        while not self._view.wait_current(_REPLAY_STEP):
            if self._closed.is_set() or self._broken():
                break
        size, since = self._view.size, time.monotonic()
        while not (self._closed.is_set() or self._broken() or self._caught_up()):
            if self._view.size > size:
                size, since = self._view.size, time.monotonic()
            elif self._waited_enough(since):
                break
            self._closed.wait(0.05)
        if not self._closed.is_set():
            self._current.set()
            self._then()

    def _caught_up(self) -> bool:
        try:
            return self._reached(self._size())
        except BreakglassError as error:
            log.debug("catching up: %s", error)
            return False

    def _waited_enough(self, since: float) -> bool:
        # A ledger that lies about its size hands out nothing new either, and late and twice beats
        # never. One that drips keeps us waiting: no pulse then, and others ring for us.
        if self._patience is None:
            return False
        return time.monotonic() - since >= self._patience.total_seconds()

    def _reached(self, size: int) -> bool:
        until = time.monotonic() + _STEP.total_seconds()
        while self._view.size < size and time.monotonic() < until:
            if self._closed.wait(0.01):
                return False
        return self._view.size >= size

    def _size(self) -> int:
        reply = self._ledger.send("GET", "/checkpoint", within=_STEP)
        if reply.status == 404:  # a log that has not begun
            return 0
        size = parse_checkpoint(reply.checked().body)[0].size
        self._view.heard(size)
        # A ledger that shows less than we judged before is not the present.
        return max(size, self._view.judged_before)
