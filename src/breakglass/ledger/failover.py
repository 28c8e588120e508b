"""One of two ledgers over one journal: stands by, follows, takes over, opens; or leaves.

The story of both: at its start a ledger takes the lease if it is free, and stands by if not. One
that stands by serves all reads and answers appends with 503 ``standby``. One whose lease was taken
ends its process: its memory is of another time, and a start is the one way to read everything.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from datetime import timedelta

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.ledger.feed import Feed, Published
from breakglass.ledger.journal import JournalError
from breakglass.ledger.lease import Lease
from breakglass.ledger.postgres_journal import FencedError, PostgresJournal

log = logging.getLogger("breakglass.ledger")
_OPEN_WITHIN = timedelta(seconds=20)
_COMMITS_PER_LOOK = 32


def leave(error: BreakglassError) -> None:
    """End this process at once, with the error's exit code. Every step bears a crash."""
    log.critical("leaves: %s%s", error, f"; {error.hint}" if error.hint else "")
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(error.exit_code)


class Failover:
    """Holds, or waits for, the lease; on a thread of its own.

    Args:
        lease: ours alone.
        journal: told the term in which we write.
        feed: kept up to date while we stand by.
        open_: starts the sequencer: recovers from the journal, and asks the witnesses and the
            archiver for what they know. Called once, when the lease is ours.
        look_every: between beats, or looks.
        leave: does not return, except in tests.
    """

    def __init__(
        self,
        lease: Lease,
        journal: PostgresJournal,
        feed: Feed,
        open_: Callable[[], None],
        *,
        look_every: timedelta,
        leave: Callable[[BreakglassError], None] = leave,
    ) -> None:
        self._lease = lease
        self._journal = journal
        self._feed = feed
        self._open = open_
        self._look_every = look_every.total_seconds()
        self._leave = leave
        self._active = False
        self._opening = False
        self._trouble = ""
        self._error: BreakglassError | None = None
        self._started = False
        self._settled = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._live, name="lease", daemon=True)

    def start(self) -> None:
        """Take the lease and open, if it is free; otherwise stand by. Returns when that is so.

        Raises:
            BreakglassError: we may not open: the journal was rolled back, say.
        """
        self._thread.start()
        self._settled.wait(_OPEN_WITHIN.total_seconds())
        if self._error is not None:
            raise self._error
        self._started = True

    @property
    def active(self) -> bool:
        """Whether appends are taken here."""
        return self._active

    def refuse_unless_active(self) -> None:
        """Let an append pass only into the ledger that is open.

        Raises:
            UnavailableError: ``standby``; nothing of the request was looked at.
        """
        if self._active:
            return
        holder = self._lease.holder
        if holder is None:
            what, hint = "is taking over", "the same bytes again, in a moment"
        else:
            what, hint = "stands by", f"the same bytes to {holder.address or 'the other address'}"
        raise UnavailableError(
            f"this ledger {what}; nothing of this was recorded", name=ErrorName.STANDBY, hint=hint
        )

    def said(self) -> dict[str, object]:
        """Say which of the two we are, for ``/healthz``."""
        holder = self._lease.holder
        if self._active or holder is None:
            return {"role": "active" if self._active else "opening", "term": self._lease.term}
        return {"role": "standby", "term": holder.term, "active": holder.address}

    def check(self) -> None:
        """Leave if another one has taken over; returns if not, or if nobody can tell.

        For the sequencer, when a commit or a witness says that somebody else was here.
        """
        try:
            self._lease.check()
        except FencedError as error:
            self._leave(error)
        except JournalError as error:
            log.error("whether the lease is still ours is unknown: %s", error)

    def close(self) -> None:
        """Let go of the lease; the other one takes it at its next look."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(1)
        self._lease.close()

    def _live(self) -> None:
        ours = False
        while not self._closed.is_set():
            try:
                if ours:
                    self._lease.beat()
                elif self._lease.taken():
                    ours = True
                    self._take_over()
                else:
                    self._follow(_COMMITS_PER_LOOK)
                    if self._lease.holder and self._lease.holder.locker:
                        self._settled.set()  # somebody else has it
                self._tell("")
            except FencedError as error:
                self._leave(error)
                return
            except JournalError as error:
                self._tell(str(error))
            except Exception as error:  # the edge of a thread: a holder that is not sure leaves
                log.critical("lease: an error inside", exc_info=True)
                self._leave(JournalError(f"an error inside: {type(error).__name__}"))
                return
            self._closed.wait(self._look_every)

    def _take_over(self) -> None:
        # The beat goes on meanwhile: asking the witnesses may take a second.
        self._journal.term = self._lease.term
        threading.Thread(target=self._opened, name="opening", daemon=True).start()

    def _opened(self) -> None:
        try:
            # (1) What the last one had witnessed, shown here too.
            while self._follow(_COMMITS_PER_LOOK):
                pass
            # (2) The journal anew, and what witnesses and archiver know. Appends get 503 until it
            #     is done; a crash lets go of the lease.
            self._open()
        except BreakglassError as error:
            self._error = error
            self._settled.set()
            if self._started:
                self._leave(error)
            return
        # (3) Open.
        self._active = True
        if self._started:
            log.warning("this ledger has taken over, in term %d", self._lease.term)
        self._settled.set()

    def _follow(self, commits: int) -> bool:
        """Show commits that the active one has had witnessed; says if there may be more."""
        for _ in range(commits):
            first = self._feed.size
            head = self._journal.cosigned_after(first)
            if head is None:
                return False
            self._feed.publish(Published(first, head, self._journal.notes(first, head.size)))
        return True

    def _tell(self, trouble: str) -> None:
        if trouble and not self._trouble:
            log.error("lease: %s", trouble)
        elif self._trouble and not trouble:
            log.warning("lease: the journal answers again")
        self._trouble = trouble
