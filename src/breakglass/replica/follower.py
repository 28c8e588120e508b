"""Follows a ledger: every entry, in order, once its head is proven; resumable from a cache.

The cache is only that: deleting its folder and following again gives the same entries with the
same cosignature times.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import (
    BreakglassError,
    MalformedError,
    MisconfiguredError,
    UnavailableError,
    UnprovenError,
)
from breakglass.http.client import Peer
from breakglass.process.folder import make_folder, write_whole
from breakglass.replica.attachment_cache import AttachmentCache
from breakglass.replica.follower_cache import (
    FollowedCache,
    FollowedCommit,
)
from breakglass.replica.ledger_reads import read_ledger
from breakglass.replica.place import START, Place
from breakglass.tlog.checkpoint import check_log_signature, parse_checkpoint
from breakglass.tlog.edge import TreeEdge
from breakglass.tlog.merkle import leaf_hash
from breakglass.tlog.policy import TlogPolicy
from breakglass.tlog.proof import verify_head

log = logging.getLogger("breakglass.following")
_POLL_OF_SEVERAL = timedelta(seconds=1)
# What reading an answer of another form raises; of half characters, too, which JSON can name.
_NO_COMMITS = (KeyError, TypeError, AttributeError, UnicodeError)


@dataclass(frozen=True)
class FollowedEntry:
    """An entry whose head was proven under the policy of its time.

    Attributes:
        index: its place in the log.
        note: its bytes as stored.
        cosigned: the policy's names of the witnesses on its commit's head, with their times.
        head: that head, the cosigned checkpoint's bytes; the same for every follower.
        attachment: fetches bytes by their SHA-256 in hex, checked; ``UnavailableError`` if not.
    """

    index: int
    note: bytes
    cosigned: dict[str, datetime]
    head: bytes
    attachment: Callable[[str], bytes]


class Follower:
    """Follows one ledger on a thread of its own; safe under threads.

    ``deliver`` gets every entry exactly once per start, from the place that ``begin`` returned, in
    order, on the follower's thread or on one that offers a commit. If it raises, following stops
    with that error: a fold that missed an entry is worse than one that stands still.

    Args:
        ledger: whom to follow; a ``Peer`` of our own, closed with us.
        policy: asked for each commit, before its entries are delivered; so an owner that folds
            ``trust`` records gives the policy that was in force there, now and on every replay.
        folder: the cache; made if missing.
        deliver: takes each entry.
        begin: asked once, on the follower's thread, from where to deliver; ``START``, or a place
            of which ``cached`` is true. What needs no delivering is not hashed again either.
        reached: told each place once its last entry was delivered and before anybody who waits
            hears of it; if it raises, following stops.
        trouble: told once if following stops for good (``UnprovenError`` with ``evidence`` in
            its hint), and then ``wait_for`` raises the same.
        poll: how long one request waits at the ledger.
    """

    def __init__(
        self,
        ledger: Peer,
        policy: Callable[[], TlogPolicy],
        folder: Path,
        deliver: Callable[[FollowedEntry], None],
        *,
        begin: Callable[[], Place] = lambda: START,
        reached: Callable[[Place], None] = lambda place: None,
        trouble: Callable[[Exception], None] = lambda error: None,
        poll: timedelta = timedelta(seconds=20),
    ) -> None:
        self._ledger = ledger
        self._policy = policy
        self._folder = folder
        self._deliver = deliver
        self._trouble = trouble
        self._poll = poll
        self._changed = threading.Condition()
        self._turn = threading.Lock()  # held while a commit is proven, kept and delivered
        self._begin = begin
        self._reached = reached
        self._edge = TreeEdge()
        self._head = b""
        self._place = START
        self._delivered = 0
        self._closed = False
        self._stopped: Exception | None = None
        self._away: UnavailableError | None = None
        self._replayed = False
        self._attachments = AttachmentCache(folder, ledger)
        self._cache = FollowedCache(folder / "followed.sqlite")
        self._known = self._cache.size
        self._unkept: deque[FollowedCommit] = (
            deque()
        )  # proven, and the cache's disk did not take them
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    def start(self) -> Follower:
        """Begin: replay the cache, then follow."""
        self._thread.start()
        return self

    @property
    def size(self) -> int:
        """How many entries were delivered."""
        with self._changed:
            return self._delivered

    @property
    def known(self) -> int:
        """How many entries there are to deliver, as far as known; for progress alone.

        The most of what was delivered, what the cache held at the start, and what was ``heard``.
        """
        with self._changed:
            return max(self._delivered, self._known)

    @property
    def place(self) -> Place:
        """How far every entry was delivered; never in the middle of a commit."""
        with self._changed:
            return self._place

    def cached(self, place: Place) -> bool:
        """Say whether the cache holds the log up to a place, under the same head."""
        return self._cache.head(place.size) == place.head

    def sync(self) -> None:
        """Wait until what the cache holds is on disk, so that a place in it outlives a power cut.

        Raises:
            UnavailableError: the disk refuses, or has not taken what was followed.
        """
        if self._unkept:
            raise UnavailableError("the cache lacks what was followed", name=ErrorName.CACHE)
        self._cache.sync()

    def stop(self, error: Exception) -> None:
        """Stop following for good, as an error inside does; for an owner that finds one."""
        with self._changed:
            if self._closed or self._stopped is not None:
                return
            self._closed = True
        self._ledger.close()
        self._stop(error)

    def heard(self, size: int) -> None:
        """Take note of how many entries the ledger says it holds; nobody has to prove it."""
        with self._changed:
            self._known = max(self._known, size)

    @property
    def away(self) -> UnavailableError | None:
        """Why the ledger cannot be followed at this moment; ``None`` when it can."""
        with self._changed:
            return self._away

    def wait_for(self, index: int, within: timedelta) -> None:
        """Return once entry ``index`` was delivered.

        Raises:
            UnavailableError: not within that time.
            UnprovenError: following has stopped; see ``trouble``.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._delivered > index or self._stopped or self._closed,
                within.total_seconds(),
            )
            if self._delivered > index:
                return
            if self._stopped is not None:
                raise self._stopped
            why = f": {self._away}" if self._away else ""
            raise UnavailableError(
                f"entry {index} of {self._ledger.name} was not seen within"
                f" {within.total_seconds():g} s{why}",
                name=ErrorName.NOT_FOLLOWED,
            )

    def offer(self, shown: Any) -> None:
        """Take a commit that came with another answer of the ledger, if it is the next one.

        It is proven as one that was asked for, and delivered on the caller's thread. What is not
        the next one or not proven is ignored, as is all while another commit is under way: the
        follower asks for it.
        """
        try:
            first, head, notes = _commit(shown)
        except _NO_COMMITS:
            return
        if not self._turn.acquire(blocking=False):
            return
        try:
            if self._replayed and first == self._edge.size and not self._is_closed(0):
                self._advance(first, head, notes)
        except UnavailableError:
            return
        except Exception as error:  # noqa: BLE001  what would stop following stops it here too
            self._stop(error)
        finally:
            self._turn.release()

    @property
    def replayed(self) -> bool:
        """Whether what the cache held is delivered."""
        with self._changed:
            return self._replayed

    def wait_replayed(self, within: timedelta) -> bool:
        """Wait until the cache is replayed, so that ``size`` is at least what it was; say if so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._replayed, within.total_seconds())

    def entries(self, start: int = 0) -> Iterator[FollowedEntry]:
        """Read the followed entries again, from the cache."""
        unkept = list(self._unkept)  # before the cache is read: what moves there is in both
        cached = self._cache.commits(start)
        at = start
        for commit in itertools.chain(cached, unkept):
            if commit.first + len(commit.notes) <= at:
                continue
            at = commit.first + len(commit.notes)
            for index, note in enumerate(commit.notes, start=commit.first):
                if index >= start:
                    yield self._entry(index, note, commit)

    def unproven(self, count: int) -> list[bytes]:
        """Return the ledger's first entries as it shows them, with nothing checked.

        For an owner that knows them by other means, a pinned digest.

        Raises:
            UnavailableError: the ledger is away, or answers no commits.
        """
        notes: list[bytes] = []
        while len(notes) < count:
            answer = read_ledger(self._ledger, f"/entries?from={len(notes)}&wait=1").json()
            try:
                found = [_commit(each) for each in answer["commits"]]
            except _NO_COMMITS as error:
                raise self._nonsense() from error
            if not found:
                raise UnavailableError(
                    f"{self._ledger.name} shows no entry", name=ErrorName.NOT_BEGUN
                )
            notes += [note for _, _, some in found for note in some]
        return notes

    def attachment(self, digest: str) -> bytes:
        """Return an attachment's bytes; see ``AttachmentCache.read``."""
        return self._attachments.read(digest)

    def close(self) -> None:
        """Stop; returns when no entry will be delivered any more, or after 2 s."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._ledger.close()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(2)

    def _follow(self) -> None:
        try:
            self._go_to(self._begin())
            for commit in self._cache.commits(self._edge.size):
                if self._is_closed(0):
                    return
                self._take(commit, self._grown_again(commit))
            with self._changed:
                self._replayed = True
                self._changed.notify_all()
            rest = 0.0
            while not self._is_closed(rest):
                rest = self._follow_once(rest)
        except Exception as error:  # noqa: BLE001  the edge of a thread: stop, and say so
            if not self._is_closed(0):
                self._stop(error)

    def _go_to(self, place: Place) -> None:
        self._edge, self._head = place.edge.copy(), place.head
        with self._changed:
            self._place, self._delivered = place, place.size
            self._changed.notify_all()

    def _follow_once(self, rest: float) -> float:
        """Ask once; returns the seconds to rest before the next time."""
        try:
            start = self._edge.size
            for first, head, notes in self._asked(start):
                with self._turn:
                    if self._is_closed(0):
                        return 0.0
                    # What was offered while we asked is taken already.
                    if not start <= first < self._edge.size:
                        self._advance(first, head, notes)
        except UnavailableError as error:
            with self._changed:
                self._away = error
            return min(max(rest * 2, 0.05), 2.0)
        with self._changed:
            self._away = None
        return 0.0

    def _advance(self, first: int, head: bytes, notes: tuple[bytes, ...]) -> None:
        edge = self._grown(first, head, notes)
        self._take(FollowedCommit(first, head, notes, self._cosigners(head)), edge)

    def _asked(self, start: int) -> list[tuple[int, bytes, tuple[bytes, ...]]]:
        # With a standby to turn to, a ledger that is frozen must be noticed soon.
        wait = min(self._poll, _POLL_OF_SEVERAL) if self._ledger.several else self._poll
        margin = _POLL_OF_SEVERAL if self._ledger.several else timedelta(seconds=5)
        path = f"/entries?from={start}&wait={wait.total_seconds():g}"
        answer = read_ledger(self._ledger, path, wait + margin).json()
        try:
            return [_commit(each) for each in answer["commits"]]
        except _NO_COMMITS as error:
            raise self._nonsense() from error

    def _grown(self, first: int, head: bytes, notes: tuple[bytes, ...]) -> TreeEdge:
        """Check that the tree over all entries so far and these has the root that the log signed.

        So the head is consistent with every head before it, by construction.
        """
        try:
            checkpoint, note = parse_checkpoint(head)
            check_log_signature(checkpoint, note, [log.vkey for log in self._policy().logs])
        except (MalformedError, UnprovenError) as error:
            # Anybody can send bytes that the log did not sign: no evidence, only no answer.
            raise self._unproven(error) from error
        if first != self._edge.size or checkpoint.size != first + len(notes):
            raise UnavailableError(
                f"{self._ledger.name} served {len(notes)} entries from {first} under a head of"
                f" size {checkpoint.size}, wanted from {self._edge.size}",
                name=ErrorName.NONSENSE,
            )
        edge = self._edge.copy()
        edge.extend(map(leaf_hash, notes))
        if edge.root() != checkpoint.root:
            raise self._inconsistent(head)
        return edge

    def _grown_again(self, commit: FollowedCommit) -> TreeEdge:
        """Check a commit of the cache, whose signatures were checked before it was kept."""
        edge = self._edge.copy()
        edge.extend(map(leaf_hash, commit.notes))
        if (edge.size, edge.root()) != (commit.checkpoint.size, commit.checkpoint.root):
            raise MisconfiguredError(
                f"cache in {str(self._folder)!r} is damaged at entry {commit.first}",
                name=ErrorName.CACHE_DAMAGED,
                hint="delete the folder: it is read again from the ledger",
            )
        return edge

    def _cosigners(self, head: bytes) -> dict[str, datetime]:
        try:
            return verify_head(head, self._policy()).cosigners
        except (MalformedError, UnprovenError) as error:
            raise self._unproven(error) from error

    def _nonsense(self) -> UnavailableError:
        return UnavailableError(f"{self._ledger.name} answered no commits", name=ErrorName.NONSENSE)

    def _unproven(self, error: BreakglassError) -> UnavailableError:
        return UnavailableError(
            f"{self._ledger.name} served a head that is not proven: {error}", name=error.name
        )

    def _take(self, commit: FollowedCommit, edge: TreeEdge) -> None:
        """Keep one checked commit and deliver it."""
        # (1) Keep it. A crash before this asks the ledger again; after it, the cache replays.
        if self._replayed:
            self._keep(commit)
        self._edge, self._head = edge, commit.head
        # (2) Deliver all of it, also when we close: a place lies between two commits. A crash
        #     in between delivers again, from the place where the next start begins.
        for index, note in enumerate(commit.notes, start=commit.first):
            self._deliver(self._entry(index, note, commit))
        place = Place(edge, commit.head)
        self._reached(place)
        with self._changed:
            self._place, self._delivered = place, edge.size
            self._changed.notify_all()

    def _keep(self, commit: FollowedCommit) -> None:
        """Put a commit into the cache; a disk that is full keeps nobody from following."""
        self._unkept.append(commit)
        try:
            while self._unkept:
                self._cache.add(self._unkept[0])
                self._unkept.popleft()
        except UnavailableError as error:
            if len(self._unkept) == 1:
                log.error("%s; following goes on, a restart asks the ledger again", error)

    def _entry(self, index: int, note: bytes, commit: FollowedCommit) -> FollowedEntry:
        return FollowedEntry(index, note, commit.cosigned, commit.head, self.attachment)

    def _inconsistent(self, head: bytes) -> UnprovenError:
        name = hashlib.sha256(head).hexdigest()[:16]
        folder = self._folder / "evidence"
        hint = f"evidence: both heads are kept in {folder}; call whoever owns the ledger"
        try:
            make_folder(folder)
            write_whole(folder / f"{name}.ours", self._head)
            write_whole(folder / f"{name}.theirs", head)
        except OSError as error:
            hint = f"the evidence could not be kept: {error}; call whoever owns the ledger"
        return UnprovenError(
            f"{self._ledger.name} showed a head, signed by its key, that is not consistent with"
            f" its entries up to {self._edge.size}; following stopped",
            name=ErrorName.INCONSISTENT_HEAD,
            hint=hint,
        )

    def _stop(self, error: Exception) -> None:
        with self._changed:
            self._stopped = error
            self._changed.notify_all()
        if not isinstance(error, BreakglassError):
            log.error("following stopped by an error inside", exc_info=error)
        self._trouble(error)

    def _is_closed(self, rest: float) -> bool:
        with self._changed:
            if rest:
                self._changed.wait_for(lambda: self._closed, rest)
            return self._closed or self._stopped is not None


def _commit(each: Any) -> tuple[int, bytes, tuple[bytes, ...]]:
    first, head, entries = each["first"], each["head"], each["entries"]
    if not (isinstance(first, int) and isinstance(entries, list) and entries):
        raise TypeError
    return first, head.encode(), tuple(note.encode() for note in entries)
