"""One submitter's one writer: numbers, signs and sends its notes to the ledger, in order.

Two ways in. ``append`` waits for the receipt (intents); ``post`` keeps the note on disk and sends
it when it can (outcomes). Both go through one queue: ``seq``, ``prev`` and time may not go back.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice
from pathlib import Path

from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Peer, Reply
from breakglass.submit.append_batch import Receipt, Run, Sender, Unsent
from breakglass.submit.queue_items import Call, Drafting, Gap, Item, OutboxLimits, give, made
from breakglass.submit.record_header import NOTES_AT_MOST
from breakglass.submit.spool import Draft, Spool, Spooled
from breakglass.tlog.note import Signer

__all__ = ["Draft", "Drafting", "Gap", "Outbox", "OutboxLimits", "Receipt"]

log = logging.getLogger("breakglass.outbox")
_LONG_RUN = 64  # notes; signing this many takes as long as handing a request to a thread is worth


class Outbox:
    """The only writer of one submitter; safe under threads.

    Several callers' notes travel together in one request. A note that was sent and not answered
    is repeated with the same bytes, for ever, also after its caller gave up: whether it counts is
    then in the ledger, and nowhere else.
    """

    def __init__(
        self,
        ledger: Peer,
        signer: Signer,
        folder: Path,
        clock: Clock,
        *,
        gap: Callable[[Gap], Draft] | None = None,
        limits: OutboxLimits | None = None,
        stranger: Callable[[str], None] = lambda words: None,
        commits: bool = False,
        before_sending: Callable[[Peer], None] = lambda ledger: None,
    ) -> None:
        """Open the spool in ``folder`` (which exists) and start sending.

        Args:
            ledger: where to; a ``Peer`` of our own, closed with us.
            signer: the submitter's key.
            folder: holds ``spool.sqlite``.
            clock: for the age of spooled notes.
            gap: makes the ``gap`` record; without it late notes go without one.
            limits: as above.
            stranger: told, in words for people, when the ledger holds records under our key that
                we did not send; not for keys that several processes share, as a gate's runs do.
            commits: whether receipts of ``append`` bring the commits that hold them.
            before_sending: does what must be in the log before each run; while it raises
                ``UnavailableError`` nothing is sent.

        Raises:
            MisconfiguredError: the spool cannot be opened.
        """
        self._limits = limits or OutboxLimits()
        self._ledger = ledger
        self._sender = Sender(ledger, signer, self._limits.answer_within, stranger, commits)
        self._clock = clock
        self._gap = gap
        self._before_sending = before_sending
        self._spool = Spool(folder / "spool.sqlite")
        self._changed = threading.Condition()
        self._queue: deque[Item] = deque(
            Item(each.draft, None, each) for each in self._spool.waiting()
        )
        self._spooled: dict[int, datetime] = {
            each.spooled.position: each.spooled.posted_at for each in self._queue if each.spooled
        }
        self._under_way: list[Item] = []
        self._trouble: tuple[datetime, str] | None = (
            None  # since when, and why, nothing gets through
        )
        self._excused = 0  # the last position that a gap record covers
        self._closed = False
        self._hurry = False
        self._hurried = False  # whether somebody was in a hurry when this run was begun
        self._courier = ThreadPoolExecutor(1, "outbox-courier")
        self._thread = threading.Thread(target=self._send_for_ever, name="outbox", daemon=True)
        self._thread.start()

    def append(self, drafts: Sequence[Drafting], within: timedelta) -> list[Receipt]:
        """Record these notes (1 or more) and return their receipts, in order.

        If one is refused, those before it are recorded and those after it are not.

        Raises:
            MalformedError: a draft is no record's text, or too long; nothing was recorded.
            UnavailableError: ``not_sent``: the ledger was not reached, and these notes never will
                be recorded; ``unanswered``: they were sent, and may yet be.
            BreakglassError: the ledger's refusal, under its name (``id_taken``, …).
        """
        call = Call(len(drafts))
        with self._changed:
            self._refuse_if_closed()
            items = [Item(made(each), call) for each in drafts]
            self._queue.extend(items)
            self._hurry = True  # somebody waits: no resting between attempts now
            self._changed.notify_all()
        try:
            return call.done.result(within.total_seconds())
        except FutureTimeoutError:
            return self._given_up(call, within)

    def post(self, *draftings: Drafting) -> None:
        """Keep notes for sending: on disk when this returns, sent as soon as the ledger takes them.

        All or none, in one transaction, and one behind the other. A note whose id waits already
        is left as it is. Works beyond ``full`` too: what has happened must be told; it is new
        work that has to stop.

        Raises:
            MalformedError: a draft is no record's text, or too long; none is kept.
            UnavailableError: the disk refuses; none is kept.
        """
        with self._changed:
            self._refuse_if_closed()
            now = self._clock.now()  # before the note's own time: a gap's start precedes it
            for each in self._spool.add([made(drafting) for drafting in draftings], now):
                self._spooled[each.position] = each.posted_at
                self._queue.append(Item(each.draft, None, each))
            self._changed.notify_all()

    @property
    def full(self) -> bool:
        """Whether so much waits, or for so long, that its owner must stop minting."""
        with self._changed:
            oldest = next(iter(self._spooled.values()), None)
            return len(self._spooled) >= self._limits.notes_at_most or (
                oldest is not None and self._clock.now() - oldest >= self._limits.age_at_most
            )

    @property
    def waiting(self) -> int:
        """How many notes wait on disk."""
        with self._changed:
            return len(self._spooled)

    def refused(self) -> list[tuple[str, str, str]]:
        """Return id, error and message of posted notes that the ledger will never take."""
        return self._spool.refused()

    def flush(self, within: timedelta) -> bool:
        """Wait until nothing waits any more, at most so long; say whether that is so."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(
                lambda: not self._queue and not self._under_way, within.total_seconds()
            )

    def close(self) -> None:
        """Stop sending. Posted notes stay on disk; waiting callers get ``UnavailableError``."""
        with self._changed:
            self._closed = True
            left = [*self._under_way, *self._queue]
            self._changed.notify_all()
        for item in left:
            if item.call and not item.call.done.done():
                item.call.done.set_exception(
                    UnavailableError("outbox closed", name=ErrorName.UNANSWERED)
                )
        self._ledger.close()
        self._courier.shutdown(wait=False)
        self._thread.join(1)
        self._spool.close()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise UnavailableError(
                "outbox is closed; nothing was recorded", name=ErrorName.NOT_SENT
            )

    def _given_up(self, call: Call, within: timedelta) -> list[Receipt]:
        with self._changed:
            if call.done.done():  # in the very last moment
                return call.done.result()
            if not call.sent:
                self._queue = deque(item for item in self._queue if item.call is not call)
        why = f": {self._trouble[1]}" if self._trouble else ""
        if not call.sent:
            raise UnavailableError(
                f"ledger was not reached within {within.total_seconds():g} s; nothing was recorded"
                f"{why}",
                name=ErrorName.NOT_SENT,
            )
        raise UnavailableError(
            f"no receipt within {within.total_seconds():g} s; the notes may yet be recorded{why}",
            name=ErrorName.UNANSWERED,
        )

    def _send_for_ever(self) -> None:
        rest = 0.0
        while self._work_comes(rest):
            try:
                rest = 0.0 if self._send_once() else self._longer(rest)
            except UnavailableError as error:
                rest = self._longer(rest)
                with self._changed:
                    self._trouble = (self._trouble or (self._clock.now(),))[0], str(error)
            except Exception:  # the edge of a thread: notes are kept, and tried again
                log.error("outbox: an error inside; trying again", exc_info=True)
                rest = self._limits.retry_at_most.total_seconds()

    def _longer(self, rest: float) -> float:
        """Return a longer rest, in seconds; a short one while a caller waits for a receipt."""
        with self._changed:
            waited_for = self._waited_for()
        most = timedelta(seconds=0.2) if waited_for else self._limits.retry_at_most
        doubled = min(max(rest * 2, 0.05), most.total_seconds())
        return doubled * random.uniform(0.8, 1.2)  # so that many writers do not come in step

    def _waited_for(self) -> bool:
        return any(item.call for item in chain(self._under_way, self._queue))

    def _work_comes(self, rest: float) -> bool:
        """Wait for something to send, and for the rest to be over; false when closed."""
        with self._changed:
            if rest:
                self._changed.wait_for(lambda: self._closed or self._hurry, rest)
            self._changed.wait_for(lambda: self._closed or self._queue or self._under_way)
            if not rest and not self._under_way:
                # Posted notes are safe on disk and nobody waits for them: sent together they
                # cost the ledger and its witnesses one commit. A caller's note takes them along.
                self._changed.wait_for(
                    lambda: self._closed or self._hurry or len(self._queue) >= NOTES_AT_MOST,
                    self._limits.gather.total_seconds(),
                )
            self._hurried, self._hurry = self._hurry, False
            return not self._closed

    def _send_once(self) -> bool:
        """Send one run: what is unanswered again, else what waits. False: it was misnumbered."""
        # (1) Learn where we stand. After a start only the ledger knows.
        self._sender.know_place()
        # (2) Take what waits. Nothing is on disk: a crash leaves the spool as it was.
        if not self._under_way and not self._take():
            return True
        drafts = [item.draft for item in self._under_way]
        try:
            # (3) Attachments first: a note that names one unknown to the ledger is refused.
            self._sender.put([data for draft in drafts for data in draft.attachments])
            # (4) What must be in the log before these notes, of which none has been sent by now.
            self._before_sending(self._ledger)
            # (5) Number, sign, send. A crash or a lost answer from here leaves notes that the
            #     ledger may hold; their ids, or their bytes if we live on, make a repetition
            #     harmless.
            self._sender.sign(drafts)
            run = self._sender.settle(self._posted(len(drafts)))
        except UnavailableError:
            if not self._sender.unanswered:
                self._take_back()
            raise
        # (6) Tell the callers, and forget what was spooled.
        self._settle(run)
        return not isinstance(run.refusal, Unsent)

    def _posted(self, notes: int) -> Callable[[], Reply]:
        """Post the run. Behind a long one the next is signed while the ledger works on it.

        One run is under way at a time: two could be taken in the wrong order, and a refusal in
        the first would void the second.
        """
        with self._changed:
            # Also who stands behind this run waits for it.
            urgent = self._hurried or self._waited_for()
        post = partial(self._sender.post, urgent=urgent)
        if notes < _LONG_RUN:
            return post
        answer = self._courier.submit(post)
        answer.add_done_callback(lambda _: self._wake())
        signed = 0
        while not answer.done():
            following = self._following(answer, signed)
            self._sender.sign_ahead(following)
            signed = len(following)
        return answer.result

    def _following(self, answer: Future[Reply], known: int) -> list[Draft]:
        """Return what the next run would hold, once that is more than is known or there's none."""
        with self._changed:
            self._changed.wait_for(
                lambda: answer.done() or min(len(self._queue), NOTES_AT_MOST) > known
            )
            return [item.draft for item in islice(self._queue, NOTES_AT_MOST)]

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _take(self) -> bool:
        with self._changed:
            if self._queue:  # its caller may have given up
                self._put_gap_first()
            while self._queue and len(self._under_way) < NOTES_AT_MOST:
                item = self._queue.popleft()
                self._under_way.append(item)
                if item.call:
                    item.call.sent = True  # as far as its caller may know
            return bool(self._under_way)

    def _take_back(self) -> None:
        """Return a run that never left to the queue; its callers may still give up for good."""
        with self._changed:
            items, self._under_way = self._under_way, []
            self._sender.forget()
            for item in items:
                if item.call:
                    item.call.sent = bool(item.call.receipts)
            self._requeue(items)

    def _requeue(self, items: Sequence[Item]) -> None:
        """Put items back in front; a gap is dropped, and told again of the numbers as they come."""
        kept = [item for item in items if item.call or item.spooled]
        if len(kept) < len(items):
            self._excused = 0
        self._queue.extendleft(reversed(kept))

    def _put_gap_first(self) -> None:
        """Before late notes put the record of the outage that made them late."""
        now = self._clock.now()
        late = [
            item.spooled
            for item in self._queue
            if item.spooled
            and item.spooled.position > self._excused
            and now - item.spooled.posted_at > self._limits.late_after
        ]
        if not late or self._gap is None:
            return
        since, cause = self._trouble or (late[0].posted_at, "not running")
        first = self._sender.next_seq + 1  # the gap record itself comes before
        start = min(since, late[0].posted_at)
        told = Gap(start, now, cause, first, first + len(late) - 1)
        self._queue.appendleft(Item(self._gap(told)))
        self._excused = late[-1].position

    def _settle(self, run: Run) -> None:
        with self._changed:
            items, self._under_way = self._under_way, []
            taken, behind = items[: len(run.receipts)], items[len(run.receipts) :]
            gone = [item.spooled for item in taken if item.spooled]
            for item, receipt in zip(taken, run.receipts, strict=True):
                give(item, receipt)
            if behind and run.refusal and not isinstance(run.refusal, Unsent):
                gone += self._refused(behind.pop(0), run.refusal)
                behind = [item for item in behind if not (item.call and item.call.done.done())]
            # What stood behind a refused note is numbered and signed again.
            self._requeue(behind)
            for spooled in gone:
                self._spooled.pop(spooled.position, None)
            if gone:
                self._spool.remove([spooled.position for spooled in gone])
            self._trouble = None
            self._changed.notify_all()

    def _refused(self, item: Item, error: BreakglassError) -> list[Spooled]:
        """Act on a refusal; returns what need not be spooled any more."""
        if item.call:
            if not item.call.done.done():
                item.call.done.set_exception(error)
            self._queue = deque(each for each in self._queue if each.call is not item.call)
        # A posted id that is taken was sent before a crash: the ledger holds it.
        if item.spooled and error.name != ErrorName.ID_TAKEN:
            log.error("posted record %r refused for good: %s", item.draft.id, error)
            self._spool.set_aside(item.spooled, error.name, error.message)
        return [item.spooled] if item.spooled else []
