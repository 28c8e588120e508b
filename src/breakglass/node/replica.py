"""A process's own view of the ledger: every entry followed, checked and folded, in order."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from breakglass.clock import format_maybe
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Peer
from breakglass.node.first_trust import first_trust
from breakglass.node.following import Following
from breakglass.node.judged_mark import JudgedMark, require_judged_again
from breakglass.node.projection import Projection
from breakglass.node.snapshot import Noted, Still
from breakglass.node.snapshots import At, Snapshots
from breakglass.node.whole_fold import WholeFold
from breakglass.process.periodic import PeriodicTask
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged, apply, attachments_read
from breakglass.records.fold.state import State
from breakglass.records.fold.state_form import still_copy
from breakglass.records.record import Outer, parse_outer
from breakglass.records.trust import Trust
from breakglass.replica.follower import FollowedEntry, Follower
from breakglass.replica.place import START, Place
from breakglass.tlog.edge import TreeEdge
from breakglass.tlog.merkle import leaf_hash
from breakglass.tlog.policy import TlogPolicy
from breakglass.tlog.signer import SignerKey

_ATTACH = "\nattach sha256:"  # begins the line of a record that names an attachment
_DEFAULT = Following()
_MARK_EVERY = timedelta(seconds=1)
_LOOK_EVERY = timedelta(minutes=1)
_FIRST_WHOLE_FOLD = timedelta(minutes=10)  # a process that restarts daily folds whole too
_STILL_WITHIN = 2.0  # seconds; a commit is folded in less than a tenth of one
_KEPT = 4096  # judgements kept for those who wait for their own; older ones are in the state

OnJudged = Callable[[Judged, Entry, State], None]


class Replica:
    """Follows one ledger and folds it; safe under threads.

    A start takes the state from the snapshot and folds what came since, from the follower's cache
    and then from the ledger. Without a snapshot it folds from the first entry: the same entries,
    the same state.

    Args:
        ledger: whom to follow.
        trust: the pinned trust file: its genesis names the log, and its witnesses prove heads
            until the fold has a trust file of its own.
        folder: cache and snapshot; may be deleted while nothing runs.
        key: the process's own, which authenticates its snapshot; without one it keeps none.
        snapshot_every: a snapshot is written that often, if anything changed, and by ``close``.
        whole_fold_every: how often the whole log is folded anew, in a child, and compared.
        at: told each step of writing a snapshot; for tests alone.
        projections: take every entry; see there.
        on_judged: called behind them for every entry that is folded, for whoever acts on what
            happens now; what a snapshot covers it never hears of.
        trouble: told once if following stops for good.
    """

    def __init__(
        self,
        ledger: Peer,
        trust: Trust,
        folder: Path,
        *,
        key: SignerKey | None = None,
        projections: Sequence[Projection] = (),
        on_judged: OnJudged | None = None,
        trouble: Callable[[Exception], None] = lambda error: None,
        poll: timedelta = timedelta(seconds=20),
        snapshot_every: timedelta = _DEFAULT.snapshot_every,
        whole_fold_every: timedelta = _DEFAULT.whole_fold_every,
        at: At = lambda step: None,
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
        self._suspended: frozenset[tuple[str, str]] = frozenset()
        self._until_mark: TreeEdge | None = None
        self._follower = Follower(
            ledger,
            self._policy,
            folder,
            self._deliver,
            begin=self._begin,
            reached=self._reached,
            trouble=trouble,
            poll=poll,
        )
        self._snapshots: Snapshots | None = None
        if key is not None:
            names = [each.name for each in self._projections]
            self._snapshots = Snapshots(folder, key, trust.genesis, names, at)
        self._judged_before = self._snapshots.mark.newest.size if self._snapshots else 0
        self._snapshot_every = snapshot_every.total_seconds()
        self._snapshot_due = time.monotonic() + self._snapshot_every
        self._loops = (
            PeriodicTask("snapshot", _MARK_EVERY, self._keep_now_and_then),
            PeriodicTask("whole fold", min(_LOOK_EVERY, whole_fold_every), self._fold_whole),
        )
        self._whole = WholeFold(folder, trust.genesis, self.snapshot, self._differs)
        self._whole_fold_every = whole_fold_every.total_seconds()
        first = min(_FIRST_WHOLE_FOLD, whole_fold_every).total_seconds()
        self._whole_fold_due = time.monotonic() + first

    def start(self) -> Replica:
        """Begin to follow; returns at once."""
        self._follower.start()
        if self._snapshots is not None:
            for each in self._loops:
                each.start()
        return self

    def close(self) -> None:
        """Stop; after this nothing is folded any more, and the snapshot is of what was."""
        self._closing.set()
        self._follower.close()
        self._whole.close()
        for each in self._loops:
            each.close()
        self.snapshot()

    def snapshot(self) -> Noted | None:
        """Write a snapshot of the state as it is; return what it is of, or ``None`` if none is.

        None is written in the middle of a commit, or if the disk refuses.
        """
        if self._snapshots is None or not (still := self._still()):
            return None
        return self._snapshots.write(still, self._follower)

    def require_newest(self, withheld: str) -> None:
        """Check that all that this process has ever judged is in its state again.

        For whoever decides while the ledger is away, on what was followed last.

        Raises:
            UnavailableError: ``behind_judged``.
        """
        require_judged_again(self.judged_before, self.size, withheld)

    @property
    def judged_before(self) -> int:
        """How many entries had ever been judged when this process began, as far as is remembered.

        What it judges itself does not count: that is in its state, and a mark that moves with it
        would be ahead of the state for a moment at each commit.
        """
        return self._judged_before

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

    def offer(self, commit: Mapping[str, Any]) -> None:
        """Take a commit that came with a receipt; see ``Follower.offer``.

        One with attachments is left to the follower, which may wait for them as long as it takes.
        """
        entries = commit.get("entries")
        if isinstance(entries, list) and not any(_ATTACH in str(each) for each in entries):
            self._follower.offer(commit)

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

    def _begin(self) -> Place:
        """Take up the snapshot; on the follower's thread, before anything is delivered."""
        if self._snapshots is None:
            return START
        place = self._restored(self._snapshots)
        if place.size < self._snapshots.mark.newest.size:
            self._until_mark = place.edge.copy()
        return place

    def _restored(self, snapshots: Snapshots) -> Place:
        still = snapshots.read(self._follower)
        if still is None:
            return START
        with self._lock:
            try:
                for each in self._projections:
                    each.restore(still.projections[each.name], still.state)
            except BreakglassError as error:
                for each in self._projections:
                    each.forget()
                snapshots.discard(str(error), self._follower.known)
                return START
            self._state = still.state
        return still.place

    def _reached(self, place: Place) -> None:
        """Remember how far we have judged, before anybody hears of it."""
        if self._snapshots is None:
            return
        mark = self._snapshots.mark
        with self._lock:
            suspended = frozenset(self._state.governance.suspended)
            witnessed = format_maybe(self._state.witnessed)
        if place.size > mark.newest.size:
            root = place.edge.root().hex()
            newest = JudgedMark(self._pinned.genesis, place.size, root, witnessed)
            # Who was stopped stays stopped: the mark is on disk before this commit counts.
            mark.judged(newest, at_once=not suspended <= self._suspended)
        self._suspended = suspended

    def _keep_now_and_then(self) -> None:
        if self._snapshots is None:
            return
        self._snapshots.mark.keep()
        if time.monotonic() >= self._snapshot_due:
            self._snapshot_due = time.monotonic() + self._snapshot_every
            self.snapshot()

    def _fold_whole(self) -> None:
        if time.monotonic() < self._whole_fold_due or not self._follower.replayed:
            return
        every = self._whole_fold_every
        self._whole_fold_due = time.monotonic() + (every if self._whole.compare() else every / 24)

    def _differs(self, error: BreakglassError) -> None:
        """Hear that the log gives another state than ours: nothing more is decided on it."""
        if self._snapshots is not None:
            self._snapshots.discard(str(error), self._follower.known, for_good=True)
        self._follower.stop(error)

    def _still(self) -> Still | None:
        """Copy what a snapshot holds, while the fold stands between two commits."""
        until = time.monotonic() + _STILL_WITHIN
        while True:
            place = self._follower.place
            with self._lock:
                if place.size and place.size == self._state.size:
                    forms = {each.name: each.form() for each in self._projections}
                    return Still(place, still_copy(self._state), forms)
            if not place.size or self._closing.is_set() or time.monotonic() > until:
                return None
            time.sleep(0.0005)  # the next place is some entries away

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
        if self._until_mark is not None and self._snapshots is not None:
            self._until_mark.append(leaf_hash(entry.note))
            if self._until_mark.size >= self._snapshots.mark.newest.size:
                self._snapshots.mark.check(self._until_mark.size, self._until_mark.root())
                self._until_mark = None

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
