"""What waits in an outbox: drafts, who waits for them, and how patiently they are sent."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.submit.append_batch import Receipt
from breakglass.submit.record_header import NOTE_BYTES_AT_MOST, read_numbering
from breakglass.submit.spool import Draft, Spooled

Drafting = Draft | Callable[[], Draft]
"""A draft, or what makes it: called when its place in the queue is fixed, so that no other note
of a later time comes before it."""


@dataclass(frozen=True)
class OutboxLimits:
    """How much is kept, and how patiently it is sent."""

    notes_at_most: int = 10_000
    age_at_most: timedelta = timedelta(hours=24)
    late_after: timedelta = timedelta(seconds=100)  # below the 120 s after which a note needs a gap
    answer_within: timedelta = timedelta(seconds=3)  # one attempt; the ledger's own bound is 1 s
    retry_at_most: timedelta = timedelta(seconds=5)
    gather: timedelta = timedelta(milliseconds=200)  # a posted note waits so long for company


@dataclass(frozen=True)
class Gap:
    """A logging outage that is over, for the ``gap`` record that precedes the late notes.

    Its ``at`` may be neither after ``start`` (the late notes' times would go back) nor before the
    submitter's last recorded note: ``start`` itself is right.
    """

    start: datetime
    end: datetime
    cause: str
    first_seq: int
    last_seq: int


@dataclass
class Item:
    """A draft in the queue: of a waiting caller (``call``), of the spool, or a gap (neither)."""

    draft: Draft
    call: Call | None = None
    spooled: Spooled | None = None


@dataclass
class Call:
    """One ``append``: its receipts so far, and whether any of it was ever sent."""

    wanted: int
    receipts: list[Receipt] = field(default_factory=list)
    sent: bool = False
    done: Future[list[Receipt]] = field(default_factory=Future)


def give(item: Item, receipt: Receipt) -> None:
    """Give a receipt to the caller who waits for it; the last one ends the wait."""
    if item.call is None:
        return
    item.call.receipts.append(receipt)
    if len(item.call.receipts) == item.call.wanted and not item.call.done.done():
        item.call.done.set_result(item.call.receipts)


def made(drafting: Drafting) -> Draft:
    """Make the draft, and refuse here what could only jam the queue.

    Raises:
        MalformedError: no record's text, or ``too_large``.
    """
    draft = drafting if isinstance(drafting, Draft) else drafting()
    if read_numbering(draft.text).id != draft.id:
        raise MalformedError(f"draft {draft.id!r}: its text names another id")
    if len(draft.text.encode()) > NOTE_BYTES_AT_MOST:
        raise MalformedError(
            f"record {draft.id!r} is over {NOTE_BYTES_AT_MOST} bytes", name=ErrorName.TOO_LARGE
        )
    return draft
