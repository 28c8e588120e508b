"""State facts: a kind becomes a record of ours, numbered, signed and sent by the outbox."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.clock import Clock, to_milliseconds
from breakglass.records.encoding.text_types import ZERO_DIGEST, one_line
from breakglass.records.kinds.gap import Gap
from breakglass.records.record import Attachment, Envelope, Kind, record_text
from breakglass.submit.outbox import Draft, Outbox, Receipt
from breakglass.submit.outbox import Gap as Outage


@dataclass(frozen=True)
class Fact:
    """Something that a process states; ``id`` is unique among all that it ever states."""

    id: str
    body: Kind
    attachments: tuple[bytes, ...] = ()


class Submitter:
    """One process's voice in one log; safe under threads.

    Args:
        outbox: the process's one writer.
        log: the log's origin, which every record names.
        clock: the process's own.
        last_at: the time of our last record that holds, as our view of the ledger has it; also
            after a restart nothing is dated before it. Never asked while the outbox is held.
    """

    def __init__(
        self,
        outbox: Outbox,
        log: str,
        clock: Clock,
        last_at: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        self._outbox = outbox
        self._log = log
        self._clock = clock
        self._last_at = last_at
        self._lock = threading.Lock()
        self._latest: datetime | None = None

    def append(self, facts: Sequence[Fact], within: timedelta) -> list[Receipt]:
        """Record facts and wait for their receipts; see ``Outbox.append``.

        Raises:
            UnavailableError: ``not_sent`` (nothing will be recorded) or ``unanswered`` (it may
                be).
            BreakglassError: the ledger refused the first that it would not take.
        """
        self._not_before(self._last_at())
        return self._outbox.append([self._drafting(fact) for fact in facts], within)

    def post(self, *facts: Fact) -> None:
        """Keep facts on disk and send them when the ledger takes them; see ``Outbox.post``.

        Raises:
            MalformedError: one cannot be written; nothing was kept.
            UnavailableError: the disk refused; nothing was kept.
        """
        self._not_before(self._last_at())
        self._outbox.post(*map(self._drafting, facts))

    @property
    def full(self) -> bool:
        """Whether so many facts wait that nothing new may begin."""
        return self._outbox.full

    def _drafting(self, fact: Fact) -> _Drafting:
        return _Drafting(self, fact)

    def _not_before(self, at: datetime | None) -> None:
        with self._lock:
            if at is not None:
                self._latest = max(at, self._latest) if self._latest else at

    def now(self) -> datetime:
        """Return the time for the next record: our clock's, but never back."""
        with self._lock:
            now = to_milliseconds(self._clock.now())
            self._latest = max(now, self._latest) if self._latest else now
            return self._latest


@dataclass(frozen=True)
class _Drafting:
    """Makes the draft when the outbox has fixed its place, so that times follow the order."""

    stating: Submitter
    fact: Fact

    def __call__(self) -> Draft:
        fact = self.fact
        envelope = Envelope(self.stating._log, fact.id, self.stating.now(), 0, ZERO_DIGEST)
        named = tuple(Attachment.of(data) for data in fact.attachments)
        return Draft(fact.id, record_text(envelope, fact.body, named), fact.attachments)


def gap_draft(log: str) -> _GapDraft:
    """Return what an outbox needs to tell of an outage in this log."""
    return _GapDraft(log)


@dataclass(frozen=True)
class _GapDraft:
    log: str

    def __call__(self, outage: Outage) -> Draft:
        ident = f"gap/{outage.first_seq}"
        start, end = to_milliseconds(outage.start), to_milliseconds(outage.end)
        body = Gap(start, end, one_line(outage.cause), outage.first_seq, outage.last_seq)
        return Draft(ident, record_text(Envelope(self.log, ident, start, 0, ZERO_DIGEST), body))
