"""A process's own view of the ledger: every entry followed, checked and folded, in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Peer
from breakglass.node.first_trust import first_trust
from breakglass.node.projection import Projection
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged, apply, attachments_read
from breakglass.records.fold.state import State
from breakglass.records.record import Outer, parse_outer
from breakglass.records.trust import Trust
from breakglass.replica.follower import FollowedEntry, Follower
from breakglass.tlog.policy import TlogPolicy

_KEPT = 4096  # judgements kept for those who wait for their own; older ones are in the state

OnJudged = Callable[[Judged, Entry, State], None]


class Replica:
    """Follows one ledger and folds it; safe under threads.

    The state is folded again from the first entry at every start, from the follower's cache or,
    where that was deleted, from the ledger: the same entries, the same state.

    Args:
        ledger: whom to follow.
        trust: the pinned trust file: its genesis names the log, and its witnesses prove heads
            until the fold has a trust file of its own.
        folder: the cache; may be deleted while nothing runs.
        projections: take every entry; see there.
        on_judged: likewise, for what has no form of its own yet.
        trouble: told once if following stops for good.
    """

    def __init__(
        self,
        ledger: Peer,
        trust: Trust,
        folder: Path,
        *,
        projections: Sequence[Projection] = (),
        on_judged: OnJudged | None = None,
        trouble: Callable[[Exception], None] = lambda error: None,
        poll: timedelta = timedelta(seconds=20),
    ) -> None:
        self._pinned = trust
        self._first: Trust | None = None
        self._state = State(trust.genesis)
        self._lock = threading.RLock()
        self._projections = tuple(projections)
        self._on_judged = on_judged
        self._recent: dict[int, Judged] = {}
        self._order: deque[int] = deque()
        self._closing = threading.Event()
        self._follower = Follower(
            ledger, self._policy, folder, self._deliver, trouble=trouble, poll=poll
        )

    def start(self) -> Replica:
        """Begin to follow; returns at once."""
        self._follower.start()
        return self

    def close(self) -> None:
        """Stop; after this nothing is folded any more."""
        self._closing.set()
        self._follower.close()

    @contextmanager
    def reading(self) -> Iterator[State]:
        """Hold the state still while it is read; nobody else may change it, ever."""
        with self._lock:
            yield self._state

    def wait_for(self, index: int, within: timedelta) -> Judged:
        """Return what the fold made of entry ``index``, once it has.

        Raises:
            UnavailableError: not within that time; or the entry is long past.
            UnprovenError: the ledger showed something inconsistent; following has stopped.
        """
        self._follower.wait_for(index, within)
        with self._lock:
            found = self._recent.get(index)
        if found is None:
            raise UnavailableError(
                f"entry {index} was judged too long ago", name=ErrorName.NOT_FOLLOWED
            )
        return found

    def wait_current(self, within: timedelta) -> bool:
        """Wait until what the cache holds is folded; say whether it is."""
        return self._follower.wait_replayed(within)

    @property
    def size(self) -> int:
        """How many entries are folded."""
        return self._follower.size

    @property
    def known(self) -> int:
        """How many entries there are to fold, as far as known: in the cache or in the ledger."""
        return self._follower.known

    def heard(self, size: int) -> None:
        """Take note of how many entries the ledger says it holds; for ``known`` alone."""
        self._follower.heard(size)

    @property
    def away(self) -> UnavailableError | None:
        """Why the ledger cannot be followed at this moment; ``None`` when it can."""
        return self._follower.away

    def entries(self, start: int = 0) -> Iterator[FollowedEntry]:
        """Read the followed entries again, from the cache."""
        return self._follower.entries(start)

    def attachment(self, digest: str) -> bytes:
        """Return an attachment's bytes, checked; see ``Follower.attachment``."""
        return self._follower.attachment(digest)

    def trust(self) -> Trust:
        """Return the trust file in force: the fold's, or the pinned one before there is any."""
        with self._lock:
            return self._state.governance.trust or self._pinned

    def last_at(self, submitter: str) -> datetime | None:
        """Return the time of a submitter's last record in time, by its key's label."""
        with self._lock:
            chain = self._state.submitters.by_key.get(submitter)
            return chain.last_at if chain else None

    def _policy(self) -> TlogPolicy:
        with self._lock:
            if self._state.governance.trust is not None or self._pinned.version == 1:
                return self.trust().tlog
        if self._first is None:
            self._first = self._first_trust()
        return self._first.tlog

    def _first_trust(self) -> Trust:
        """Ask for the log's beginning, which a later version than the first cannot prove.

        Raises:
            UnavailableError: the ledger is away, or shows another beginning than the pinned one.
        """
        try:
            notes = self._follower.unproven(2)
            return first_trust(self._pinned.genesis, notes, self._follower.attachment)
        except UnavailableError:
            raise
        except BreakglassError as error:
            raise UnavailableError(f"the log's beginning: {error}", name=error.name) from error

    def _deliver(self, followed: FollowedEntry) -> None:
        try:
            outer = parse_outer(followed.note)
        except BreakglassError:
            outer = None  # the fold will say what is wrong with it
        attachments = self._attachments(followed, outer) if outer else {}
        entry = Entry(followed.index, followed.note, followed.cosigned, attachments)
        with self._lock:
            judged = apply(self._state, entry, outer)
            self._keep(judged)
            for each in self._projections:
                each.take(judged, entry, self._state)
            if self._on_judged is not None:
                self._on_judged(judged, entry, self._state)

    def _attachments(self, followed: FollowedEntry, outer: Outer) -> dict[str, bytes]:
        """Fetch what the fold must read; waits as long as the ledger is away.

        Going on without would make this party's state differ from everybody else's.
        """
        with self._lock:
            wanted = attachments_read(self._state, outer)
        return {named.digest: self._fetched(followed, named.digest) for named in wanted}

    def _fetched(self, followed: FollowedEntry, digest: str) -> bytes:
        while True:
            try:
                return followed.attachment(digest)
            except UnavailableError:
                if self._closing.wait(0.2):
                    raise

    def _keep(self, judged: Judged) -> None:
        self._recent[judged.index] = judged
        self._order.append(judged.index)
        if len(self._order) > _KEPT:
            del self._recent[self._order.popleft()]
