"""Watches processes that start until each is ready, for as long as they get on.

Whoever follows the ledger folds all of it again at every start, so how long that takes is a matter
of the log's size and has no bound. What is bounded is standing still.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from breakglass.embedded.supervisor import Child, Started
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Peer

STILL_AT_MOST = timedelta(seconds=20)
_ANSWER_WITHIN = timedelta(seconds=2)
_LOOK_EVERY_S = 0.02
_LOOK_SELDOM_S = 0.25  # a process that folds has better things to do than to answer


@dataclass(frozen=True)
class Reading:
    """A process that answers and still reads the ledger; ``of`` as far as it knows."""

    name: str
    size: int
    of: int


class Readiness:
    """The processes of one start; not safe under threads.

    Args:
        told: called once for each process, when it is ready.
        progress: called after every look with those that still read, in the order of their start.
        still_at_most: how long one may neither begin to answer nor fold a further entry.
        now: seconds that only grow.
        rest: waits so many seconds.
    """

    def __init__(
        self,
        told: Callable[[Started], None],
        progress: Callable[[list[Reading]], None],
        still_at_most: timedelta = STILL_AT_MOST,
        now: Callable[[], float] = time.monotonic,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._told = told
        self._progress = progress
        self._still_at_most = still_at_most
        self._now = now
        self._rest = rest
        self._watched: list[_Watched] = []

    def add(self, child: Child) -> None:
        """Watch one more, from now on."""
        self._watched.append(_Watched(child, self._now()))

    def wait_answering(self) -> None:
        """Wait until every process answers; some may still read the ledger.

        Raises:
            UnavailableError: ``not_started``: one ended, or stands still. The caller stops them.
        """
        self._wait(lambda each: each.answered)

    def wait_ready(self) -> None:
        """Wait until every process answers and its view of the ledger is current.

        Raises:
            UnavailableError: as ``wait_answering``.
        """
        self._wait(lambda each: each.ready)

    def _wait(self, enough: Callable[[_Watched], bool]) -> None:
        while True:
            for each in self._watched:
                each.require_alive()  # one that was ready too: the others may wait for it
            for each in self._watched:
                started = each.look(self._now)
                if started is not None:
                    self._told(started)
                each.require_moving(self._now(), self._still_at_most)
            self._progress([each.reading for each in self._watched if each.reads])
            if all(map(enough, self._watched)):
                return
            self._rest(_LOOK_EVERY_S)


class _Watched:
    def __init__(self, child: Child, now: float) -> None:
        self.child = child
        self.ready = self.answered = False
        self._added = self._moved = self._next = now
        self._look_every = _LOOK_EVERY_S
        self._size = self._of = 0
        self._why = "no answer"

    @property
    def reads(self) -> bool:
        return self.answered and not self.ready

    @property
    def reading(self) -> Reading:
        return Reading(self.child.name, self._size, self._of)

    def require_alive(self) -> None:
        if not self.child.alive():
            raise self.child.has_ended()

    def require_moving(self, now: float, still_at_most: timedelta) -> None:
        if self.ready or now - self._moved < still_at_most.total_seconds():
            return
        at = f" at entry {self._size:,} of {self._of:,}" if self.answered else ""
        why = f" ({self._why})" if self._why else ""
        raise UnavailableError(
            f"{self.child.name!r} has not moved for {still_at_most.total_seconds():g} s{at}{why};"
            " all processes are stopped",
            name=ErrorName.NOT_STARTED,
            hint=f"its log: {self.child.log}",
        )

    def look(self, now: Callable[[], float]) -> Started | None:
        """Ask it how far it is, if that is due; say when it has just become ready."""
        if self.ready or now() < self._next or not (self.child.folder / "address").exists():
            return None
        try:
            with Peer(self.child.folder, name=self.child.name, within=_ANSWER_WITHIN) as each:
                said = each.get("/healthz").json()
            # Somebody may stop it at this very moment, and it takes its address with it.
            address = (self.child.folder / "address").read_text("ascii").strip()
        except (BreakglassError, OSError) as error:
            self._why = str(error)
        else:
            self._hear(said, now())
        self._next = now() + self._look_every
        self._look_every = min(self._look_every * 1.5, _LOOK_SELDOM_S)
        if not self.ready:
            return None
        took = timedelta(seconds=now() - self._added)
        return Started(self.child.name, self.child.process.pid, address, took)

    def _hear(self, said: dict[str, Any], now: float) -> None:
        size = int(said.get("size", 0))
        if not self.answered or size != self._size:
            self._moved = now
        # Witness, archiver and ledger follow nobody: they are ready when they answer.
        self.answered, self.ready = True, bool(said.get("current", True))
        self._size, self._of = size, int(said.get("of", size))
        self._why = str(said.get("ledger", ""))
