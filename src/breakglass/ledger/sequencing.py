"""The sequencer: the one thread that orders, commits, has witnessed, and answers.

No receipt is given, and no entry shown, before its cosigned head is durable: every follower and
every receipt sees the same cosignature times.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, UnavailableError
from breakglass.http.routes import StatusError
from breakglass.ledger.admission import Run
from breakglass.ledger.cosigner import AheadError, CosignTarget
from breakglass.ledger.feed import Feed, Published
from breakglass.ledger.journal import Commit, ForkedError, Head, Journal, JournalError
from breakglass.ledger.journal_tiles import JournalTiles
from breakglass.ledger.merkle_frontier import GrowingTree
from breakglass.ledger.sequence_check import Accepted, Batch, Ordering, Waiting
from breakglass.ledger.witness_pool import WitnessPool
from breakglass.submit.record_header import NOTES_AT_MOST
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from breakglass.tlog.hashing import EMPTY_ROOT, leaf_hash
from breakglass.tlog.note import Signer
from breakglass.tlog.proof import TlogProof
from breakglass.tlog.tiles import inclusion_from_tiles, root_from_tiles

log = logging.getLogger("breakglass.ledger")
_UNSEEN_BYTES = 8 * 1024 * 1024  # committed without a quorum; beyond it, commits wait too
_FIRST_RETRY = 0.02
HOLD = timedelta(seconds=0.5)  # with the outbox's own 0.2 s, what a posted record may be late by


class Sequencer:
    """Takes runs, one commit at a time.

    Args:
        journal: written by nobody else.
        signers: the log's key, whose name is the origin; and the next one, if there is one.
        panel: has heads cosigned.
        feed: shows commits.
        ask_within: for all cosigners, in parallel.
        retry_at_most: the longest rest between tries for a missing quorum.
        pool_notes: how many may wait.
        hold: how long a posted run waits for company; see ``submit``.
        held_at_most: how many runs may, before they are company enough.
        reached: told the number of each step; tests crash there.
    """

    def __init__(
        self,
        journal: Journal,
        signers: Sequence[Signer],
        panel: WitnessPool,
        feed: Feed,
        *,
        ask_within: timedelta,
        retry_at_most: timedelta,
        pool_notes: int,
        hold: timedelta = HOLD,
        held_at_most: int = 16,
        reached: Callable[[int], None] = lambda step: None,
    ) -> None:
        self._journal = journal
        self._signers = tuple(signers)
        self._origin = self._signers[0].name
        self._panel = panel
        self._feed = feed
        self._ask_within = ask_within
        self._retry_at_most = retry_at_most.total_seconds()
        self._pool_notes = pool_notes
        self._hold = hold.total_seconds()
        self._held_at_most = held_at_most
        self._reached = reached
        self.suspect: Callable[[], None] = lambda: None  # does not return if another took over
        self.trouble = ""  # why the last commit failed, until one succeeds
        self._pool: deque[Waiting] = deque()
        self._pooled = 0
        self._changed = threading.Condition()
        self._closed = False
        self._stopped: BreakglassError | None = None
        self._tiles = JournalTiles(journal)
        self._thread = threading.Thread(target=self._sequence, name="sequencer", daemon=True)

    def start(self) -> None:
        """Recover from the journal, look out for a fork, and begin.

        Raises:
            MisconfiguredError: the journal cannot be read or contradicts itself, or a witness or
                the archiver knows more of this log than it: it was rolled back.
        """
        try:
            self._recover()
        except JournalError as error:
            raise MisconfiguredError(
                f"{error}; not started",
                name=ErrorName.JOURNAL,
                hint="look at the disk, then run: breakglass ledger fsck FOLDER; a damaged journal"
                " is replaced by a copy or from the archive, never repaired",
            ) from error
        try:
            self._guarded = self._panel.confirm(self._leads_to, self._ask_within)
        except AheadError as error:
            raise MisconfiguredError(
                f"{error}; not started", name=ErrorName.ROLLED_BACK, hint=error.hint
            ) from error
        self._thread.start()

    def submit(self, run: Run, *, posted: bool = False) -> Waiting:
        """Put a run into the pool; ``done`` of the answer is set when its commit is witnessed.

        A posted run, which stands on its sender's disk and which nobody waits for, is held until
        another one comes that is not posted, and ``hold`` at most: each commit costs every
        witness its work. While a quorum is missing nothing is held.

        Raises:
            StatusError: ``pool_full``, 429; nothing was taken.
            BreakglassError: the ledger has stopped.
        """
        waiting = Waiting(run, posted)
        with self._changed:
            if self._stopped is not None:
                raise self._stopped
            if self._closed:
                raise UnavailableError(
                    "ledger is stopping; nothing was recorded", name=ErrorName.STOPPING
                )
            if self._pooled + len(run.notes) > self._pool_notes:
                error = UnavailableError(
                    f"{self._pooled} notes wait already, {self._pool_notes} at most; nothing of"
                    " this was recorded",
                    name=ErrorName.POOL_FULL,
                )
                raise StatusError(error, 429)
            self._pool.append(waiting)
            self._pooled += len(run.notes)
            self._changed.notify()
        return waiting

    @property
    def stopped(self) -> BreakglassError | None:
        """Why nothing is recorded any more, if so."""
        return self._stopped

    def close(self) -> None:
        """Stop taking, and end the thread; who still waits is told."""
        with self._changed:
            self._closed = True
            left, self._pool = list(self._pool), deque()
            self._changed.notify_all()
        for waiting in left:
            _fail(waiting, UnavailableError("ledger is stopping", name=ErrorName.STOPPING))
        self._panel.close()
        if self._thread.is_alive():
            self._thread.join(self._ask_within.total_seconds() + 0.3)

    def _recover(self) -> None:
        """Read everything from the journal; what memory held before counts for nothing."""
        head = self._journal.newest()
        size = head.size if head else 0
        self._tree = GrowingTree(self._tiles, size)
        root = parse_checkpoint(head.signed)[0].root if head else EMPTY_ROOT
        if self._tree.root() != root:
            raise MisconfiguredError(
                f"journal of {self._origin!r} does not lead to its own head of size {size}"
                "; not started",
                name=ErrorName.JOURNAL_DAMAGED,
                hint="never repair history: restore a copy, or rebuild from the archive",
            )
        self._head = head
        self._ordering = Ordering(self._journal)
        self._unseen = 0
        self._healthy = True
        # A head that a crash left without its cosignatures is brought to the witnesses again.
        self._target = self._target_again(head) if head and head.cosigned is None else None

    def _target_again(self, head: Head) -> CosignTarget:
        self._unseen = sum(map(len, self._journal.notes(self._feed.size, head.size)))
        before = self._size_before(head)
        proof = tuple(self._tree.consistency(before))
        return CosignTarget(head, before, proof, tuple(self._journal.notes(before, head.size)))

    def _size_before(self, head: Head) -> int:
        """Return the size of the head before this one; a commit holds 256 entries at most."""
        size = max(0, head.size - NOTES_AT_MOST - 1)
        before = 0
        while (after := self._journal.head_after(size)) and after.size < head.size:
            size = before = after.size
        return before

    def _leads_to(self, known: Checkpoint) -> bool:
        size = self._head.size if self._head else 0
        if known.size > size:
            return False
        return root_from_tiles(self._tiles, known.size) == known.root

    def _sequence(self) -> None:
        rest = _FIRST_RETRY
        while (runs := self._taken(rest)) is not None:
            try:
                quorum = self._step(runs)
            except (ForkedError, AheadError) as error:
                self.suspect()  # if a standby took over, that is why, and no alarm
                # Somebody else writes our log. Going on would sign a second history.
                self._stop(runs, error)
                return
            except JournalError as error:
                # Whether the commit counts is unknown: forget everything and read again.
                log.error("%s; reading the journal again", error)
                self.trouble = str(error)
                self._fail_all(runs, _unknown(error))
                self.suspect()
                self._healthy = quorum = False
            except Exception:  # the edge of a thread: nothing is answered as recorded
                log.error("sequencer: an error inside; reading the journal again", exc_info=True)
                inside = UnavailableError(
                    "an error inside; it may yet be recorded", name=ErrorName.INTERNAL
                )
                self._fail_all(runs, inside)
                self._healthy = quorum = False
            finally:
                # (7) Wake the followers, behind the answers: somebody waits for those, and the
                #     followers' own work would take the interpreter first. A crash before this
                #     cuts their lines; they ask again and find what is shown.
                self._feed.wake()
            rest = _FIRST_RETRY if quorum else min(rest * 2, self._retry_at_most)

    def _taken(self, rest: float) -> list[Waiting] | None:
        """Wait for runs, up to 256 notes; while a quorum is missing not longer than ``rest``."""
        with self._changed:
            pending = self._target is not None or not self._healthy
            self._changed.wait_for(lambda: self._pool or self._closed, rest if pending else None)
            if self._pool and not pending:
                # Posted runs wait in memory alone. A crash leaves the journal as it was; their
                # senders have them on disk, and repeat.
                left = self._pool[0].came + self._hold - time.monotonic()
                self._changed.wait_for(self._due, max(left, 0.0))
            if self._closed:
                return None
            taken: list[Waiting] = []
            notes = 0
            while self._pool and notes + len(self._pool[0].run.notes) <= NOTES_AT_MOST:
                waiting = self._pool.popleft()
                notes += len(waiting.run.notes)
                taken.append(waiting)
            self._pooled -= notes
            return taken

    def _due(self) -> bool:
        return (
            self._closed
            or self._pooled >= NOTES_AT_MOST
            or len(self._pool) > self._held_at_most
            or not all(waiting.posted for waiting in self._pool)
        )

    def _step(self, runs: Sequence[Waiting]) -> bool:
        """One commit, or one more try for a missing quorum; says if nothing is left undone."""
        if not self._healthy:
            self._recover()
        if not self._guarded:
            self._guarded = self._panel.confirm(self._leads_to, self._ask_within)
        # With so much unseen nothing more is ordered, and the quorum is asked all the same: it
        # alone makes room, also after a restart, which counts the unseen bytes again.
        behind = self._target if self._unseen > _UNSEEN_BYTES else None
        if not self._guarded or (behind is not None and not self._have_cosigned(behind)):
            why = UnavailableError(
                f"no quorum of cosigners ({self._whom()}); nothing of this was recorded",
                name=ErrorName.UNWITNESSED,
            )
            self._fail_all(runs, why)
            return False
        # (1) Order: ids, seq and prev against all that came before. Memory only; a crash here
        #     leaves the journal as it was, and the senders repeat.
        batch = self._ordering.order(runs, self._tree.size)
        self._reached(1)
        if batch.entries:
            self._commit(batch)
        # (4) Witnesses and archiver, in parallel, bounded. A crash here leaves a head that some
        #     have cosigned and nobody was shown; a restart asks again.
        if self._target is not None and not self._have_cosigned(self._target):
            self._fail_all(runs, self._unwitnessed())
            return False
        # (6) Answer. A crash before or here loses answers only: the same bytes get the same ones.
        for waiting in runs:
            self._answer(waiting)
        self._reached(6)
        return True

    def _commit(self, batch: Batch) -> None:
        before = self._head
        size = batch.before
        # (2) Grow the tree and sign the head, in memory. It never leaves this process unless (3)
        #     succeeds, so a crash or a failure here signs no second history.
        full = self._tree.extend(leaf_hash(entry.note) for entry in batch.entries)
        checkpoint = Checkpoint(self._origin, self._tree.size, self._tree.root())
        head = Head(checkpoint.size, sign_checkpoint(checkpoint, *self._signers).encoded())
        self._reached(2)
        # (3) Entries, tiles and head in one transaction, if the head before is still ours. After
        #     it a restart finds them, and takes up at (4).
        self._journal.commit(
            Commit(size, before.signed if before else b"", batch.entries, full, head)
        )
        self._reached(3)
        self.trouble = ""
        self._head = head
        self._unseen += sum(len(entry.note) for entry in batch.entries)
        notes = tuple(entry.note for entry in batch.entries)
        self._target = CosignTarget(head, size, tuple(self._tree.consistency(size)), notes)
        self._tree.forget()

    def _have_cosigned(self, target: CosignTarget) -> bool:
        cosigned = self._panel.gather(target, self._ask_within)
        self._reached(4)
        if cosigned is None:
            return False
        # (5) The final form of this head, on disk before anybody sees it. A crash before leaves
        #     an unseen head, which gets other cosignatures; after it, these are what all see.
        cosigned = self._journal.cosign(target.head.size, cosigned)
        self._reached(5)
        head = Head(target.head.size, target.head.signed, cosigned)
        first = self._feed.size
        notes: Sequence[bytes] = target.notes
        if first != target.before:
            notes = self._journal.notes(first, head.size)
        self._head, self._target, self._unseen = head, None, 0
        self._feed.show(Published(first, head, notes))
        return True

    def _answer(self, waiting: Waiting) -> None:
        if not waiting.indices and waiting.refusal is not None:
            _fail(waiting, waiting.refusal)
            return
        proofs = tuple(map(self._proof, waiting.indices))
        waiting.done.set_result(Accepted(tuple(waiting.indices), proofs, waiting.refusal))

    def _proof(self, index: int) -> bytes:
        """Prove an entry against its own commit's head, the first cosigned one that holds it."""
        head = self._head
        if head is not None and head.cosigned and index >= self._feed.newest_first:
            return TlogProof(index, tuple(self._tree.inclusion(index)), head.cosigned).encoded()
        return proof_of(self._journal, self._tiles, index)

    def _unwitnessed(self) -> UnavailableError:
        return UnavailableError(
            f"recorded, and no receipt: the quorum is missing ({self._whom()})",
            name=ErrorName.UNWITNESSED,
            hint="repeat the same bytes; the receipt follows when the quorum is met",
        )

    def _whom(self) -> str:
        lacking = self._panel.lacking()
        said = "; ".join(f"{name}: {why}" for name, why in lacking.items())
        return said[:500] or "all were asked"

    def _fail_all(self, runs: Sequence[Waiting], error: BreakglassError) -> None:
        for waiting in runs:
            if waiting.refusal is not None and not waiting.indices:
                _fail(waiting, waiting.refusal)
            else:
                _fail(waiting, error)

    def _stop(self, runs: Sequence[Waiting], error: BreakglassError) -> None:
        log.critical("ledger stopped recording for good: %s", error)
        self._stopped = StatusError(
            MisconfiguredError(f"{error}; nothing is recorded any more", name=error.name), 500
        )
        with self._changed:
            left, self._pool = [*runs, *self._pool], deque()
        self._fail_all(left, self._stopped)


def proof_of(journal: Journal, tiles: JournalTiles, index: int) -> bytes:
    """Make the tlog-proof of an entry against the head of its own commit, from the journal.

    Raises:
        UnavailableError: ``unwitnessed``: no cosigned head holds the entry yet.
    """
    head = journal.cosigned_after(index)
    if head is None or head.cosigned is None:
        raise UnavailableError(
            f"no witnessed head holds entry {index} yet", name=ErrorName.UNWITNESSED
        )
    path = inclusion_from_tiles(tiles, index, head.size)
    return TlogProof(index, tuple(path), head.cosigned).encoded()


def _unknown(error: JournalError) -> JournalError:
    return JournalError(
        f"{error}; no receipt, and it may or may not be recorded",
        hint="repeat the same bytes until they are answered: they count once; and look at the"
        " ledger's disk",
    )


def _fail(waiting: Waiting, error: BreakglassError) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(error)
