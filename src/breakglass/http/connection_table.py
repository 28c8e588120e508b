"""Which connections a process keeps when more come than it has places for.

A place that is needed is taken from whoever keeps us waiting: first from connections that never
sent a request, then from those that were answered once, last from those whose signature was
accepted; of each the one that has waited longest. One whose request is at work is never closed.

Everything here runs on the event loop's thread. Decision: docs/decisions/http-2-connections.md.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import IntEnum

STRANGER = "stranger"
"""In the state of a request: whether its connection has shown no accepted signature yet."""

log = logging.getLogger("breakglass")
_TOLD_EVERY_S = 60.0


@dataclass(frozen=True)
class ConnectionLimits:
    """The table ``[serving.limits]``: what strangers may take of a process.

    A tenth of the places is for connections that have shown a signature which was accepted.
    """

    connections: int = 1000  # at once; half of the file limit at most
    per_peer: int = 750  # of them from one address
    head_within: timedelta = timedelta(seconds=5)  # the TLS handshake, then each request's head
    body_within: timedelta = timedelta(seconds=15)  # and more, by the rate below
    body_bytes_a_second: int = 64 * 1024
    unread_at_most: timedelta = timedelta(seconds=30)  # an answer of which nothing is taken

    def __post_init__(self) -> None:
        if self.connections < 1 or self.per_peer < 1 or self.body_bytes_a_second < 1:
            raise ValueError("'limits': connections, per_peer and the rate are 1 at least")

    @property
    def reserved(self) -> int:
        """Places that only connections with an accepted signature may hold."""
        return self.connections // 10

    def fitted(self, files: int) -> ConnectionLimits:
        """Return limits under which ``files`` descriptors suffice: half are for our own use."""
        most = max(1, min(self.connections, files // 2))
        return replace(self, connections=most, per_peer=min(self.per_peer, max(1, most * 3 // 4)))


class Standing(IntEnum):
    """What a connection has shown so far; the lower goes first."""

    SILENT = 0  # no request was ever answered
    ANSWERED = 1  # anybody can have an answer
    PROVEN = 2  # something it sent was accepted, which takes an accepted signature


class ServedConnection:
    """One connection that somebody opened to us.

    Args:
        peer: the address it comes from, without the port.
        close: ends it at once; may be called twice.
        unsent: bytes of our answers that the peer has not taken yet.
    """

    def __init__(self, peer: str, close: Callable[[], None], unsent: Callable[[], int]) -> None:
        self.peer = peer
        self.close = close
        self.unsent = unsent
        self.standing = Standing.SILENT
        self.until: float | None = None  # when the peer must have done its part
        self.stuck: tuple[int, float] = (0, 0.0)  # bytes unsent, and since when so many


class ConnectionTable:
    """All connections of a process, and who has to go.

    Args:
        limits: fitted to the file limit.
        now: a monotonic time, in seconds.
    """

    def __init__(self, limits: ConnectionLimits, now: Callable[[], float]) -> None:
        self.limits = limits
        self._now = now
        self._all: set[ServedConnection] = set()
        self._of_peer: Counter[str] = Counter()
        self._of_standing: Counter[Standing] = Counter()
        # Those that keep us waiting, the longest first; what is not here is at work.
        self._waiting: dict[Standing, dict[ServedConnection, None]] = {
            each: {} for each in Standing
        }
        self._closed, self._refused, self._told_at = 0, 0, 0.0

    def __len__(self) -> int:
        return len(self._all)

    def admit(self, new: ServedConnection) -> bool:
        """Give a new connection a place, and the time for its head; false: there is none."""
        if not self._has_place(new.peer):
            self._refused += 1
            return False
        self._all.add(new)
        self._of_peer[new.peer] += 1
        self._of_standing[new.standing] += 1
        self.waiting(new, self.limits.head_within.total_seconds())
        return True

    def _has_place(self, peer: str) -> bool:
        """Make room if need be, by closing one that keeps us waiting."""
        limits = self.limits
        if self._of_peer[peer] >= limits.per_peer:
            return self._close_one(
                each for each in self._by_age(Standing.PROVEN) if each.peer == peer
            )
        if len(self._all) >= limits.connections:
            return self._close_one(self._by_age(Standing.PROVEN))
        if self._unproven() >= limits.connections - limits.reserved:
            return self._close_one(self._by_age(Standing.ANSWERED))
        return True

    def _unproven(self) -> int:
        return len(self._all) - self._of_standing[Standing.PROVEN]

    def strangers_at_work(self) -> int:
        """Return how many that have shown no accepted signature have a request at work."""
        waiting = len(self._waiting[Standing.SILENT]) + len(self._waiting[Standing.ANSWERED])
        return self._unproven() - waiting

    def leave(self, gone: ServedConnection) -> None:
        """Forget a connection; doing so twice does nothing."""
        if gone in self._all:
            self._all.remove(gone)
            self._of_standing[gone.standing] -= 1
            self._of_peer[gone.peer] -= 1
            if not self._of_peer[gone.peer]:
                del self._of_peer[gone.peer]
        self._waiting[gone.standing].pop(gone, None)

    def waiting(self, on: ServedConnection, within_s: float | None) -> None:
        """Note that it is the peer's turn, for so many seconds if any are named."""
        if on in self._all:
            on.until = None if within_s is None else self._now() + within_s
            self._waiting[on.standing].pop(on, None)
            self._waiting[on.standing][on] = None

    def working(self, on: ServedConnection) -> None:
        """Note that it is our turn: from now on it is not closed."""
        on.until = None
        self._waiting[on.standing].pop(on, None)

    def heard(self, on: ServedConnection) -> None:
        """Note bytes of a peer that was idle: a head has begun, and has to end."""
        if on.until is None and on in self._waiting[on.standing]:
            on.until = self._now() + self.limits.head_within.total_seconds()

    def answered(self, on: ServedConnection, standing: Standing) -> None:
        """Note that a request was answered; what a connection has shown it does not lose."""
        self.working(on)
        if on in self._all:
            self._of_standing[on.standing] -= 1
            on.standing = max(on.standing, standing)
            self._of_standing[on.standing] += 1
            self.waiting(on, None)

    def sweep(self) -> None:
        """Close those whose time is up; called every second or so."""
        now = self._now()
        for each in list(self._all):
            if (each.until is not None and each.until <= now) or self._takes_nothing(each, now):
                self._close(each)
        if self._closed + self._refused and now - self._told_at >= _TOLD_EVERY_S:
            log.warning(
                "%d connections that kept us waiting were closed, %d were refused; %d are open",
                self._closed,
                self._refused,
                len(self._all),
            )
            self._closed, self._refused, self._told_at = 0, 0, now

    def _takes_nothing(self, each: ServedConnection, now: float) -> bool:
        unsent = each.unsent()
        if not unsent or unsent != each.stuck[0]:
            each.stuck = (unsent, now)
            return False
        return now - each.stuck[1] >= self.limits.unread_at_most.total_seconds()

    def _by_age(self, up_to: Standing) -> Iterator[ServedConnection]:
        for standing in Standing:
            if standing <= up_to:
                yield from self._waiting[standing]

    def _close_one(self, candidates: Iterator[ServedConnection]) -> bool:
        found = next(candidates, None)
        if found is not None:
            self._close(found)
        return found is not None

    def _close(self, one: ServedConnection) -> None:
        self._closed += 1
        self.leave(one)  # its place is free now, the descriptor a moment later
        one.close()
