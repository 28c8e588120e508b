"""The newest head's final form, fetched once the log is quiet.

A head's final cosignatures travel with the commit after it (``ledger/cosigner.py``). After the last
commit of an evening there is none: without this the archive would lack, until somebody writes
again, what the newest records need to be judged.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from functools import partial

from breakglass.archiver.cosigning import ArchiveCosigning
from breakglass.errors import BreakglassError
from breakglass.http.client import Peer

log = logging.getLogger("breakglass.archiver")
_QUIET = timedelta(seconds=1)  # a busy log brings its final heads itself
_RETRY_AT_MOST_S = 60.0


class FinalCheckpoint:
    """Asks the ledger for its checkpoint when nothing was archived for a second.

    Args:
        cosigning: keeps it, if it is the head that was archived last.
        ledger: whom to ask.
        quiet: how long nothing must have come.
    """

    def __init__(
        self, cosigning: ArchiveCosigning, ledger: Peer, quiet: timedelta = _QUIET
    ) -> None:
        self._cosigning = cosigning
        self._ledger = ledger
        self._quiet = quiet.total_seconds()
        self._changed = threading.Condition()
        self._stored = 1  # counts commits; a start counts as one: the last life may have missed it
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="finishing", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stored(self) -> None:
        """Hear that a commit was archived."""
        with self._changed:
            self._stored += 1
            self._changed.notify()

    def close(self) -> None:
        """Stop; a call under way is cut off."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._ledger.close()

    def _work(self) -> None:
        done = 0
        rest = self._quiet
        while (stored := self._waited(done, rest)) is not None:
            try:
                # A crash before or in here fetches again at the next start: what is kept already
                # is put again as the same bytes.
                finished = self._cosigning.keep_final(self._ledger.get("/checkpoint").body)
            except BreakglassError as error:
                log.debug("final head: %s", error)
                finished = False
            if finished:
                done, rest = stored, self._quiet
            else:
                rest = min(rest * 2, _RETRY_AT_MOST_S)

    def _waited(self, done: int, rest: float) -> int | None:
        """Wait for a commit, then until none came for ``rest`` seconds; returns their count."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._stored > done)
            while not self._closed:
                seen = self._stored
                if not self._changed.wait_for(partial(self._moved, seen), rest):
                    return seen
                rest = self._quiet  # whoever wrote just now can be asked again soon
            return None

    def _moved(self, seen: int) -> bool:
        return self._closed or self._stored != seen
