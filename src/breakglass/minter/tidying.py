"""Tidying behind dead grants: on threads of its own, so that it holds up nobody's end.

A grant is dead when its login and its sessions are proven gone. What its account has made is
looked at afterwards, once, and told in ``dead``; what could not be taken away is tried again by
each sweep.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from breakglass.errors import BreakglassError
from breakglass.minter.grant_store import GrantStore, Stage
from breakglass.minter.minting import At
from breakglass.minter.outcome_records import OutcomeRecords
from breakglass.minter.platforms.platform import Account, Platform
from breakglass.node.grant_locks import GrantLocks
from breakglass.records.encoding.text_types import one_line

log = logging.getLogger("breakglass.minter")
_THREADS = 2
_BATCH = 200
_WAITING_AT_MOST = 200


class Tidying:
    """See the module; safe under threads."""

    def __init__(
        self,
        table: GrantStore,
        platform: Platform,
        locks: GrantLocks,
        saying: OutcomeRecords,
        at: At,
    ) -> None:
        self._table = table
        self._platform = platform
        self._locks = locks
        self._saying = saying
        self._at = at
        self._busy: set[str] = set()
        self._busy_lock = threading.Lock()
        self._workers = ThreadPoolExecutor(_THREADS, thread_name_prefix="tidying")
        # What still stands is asked for by whoever has the target: no record waits behind it.
        self._again_worker = ThreadPoolExecutor(1, thread_name_prefix="tidying-again")

    def close(self) -> None:
        """Stop; what is half done goes on at the next start."""
        for each in (self._workers, self._again_worker):
            each.shutdown(wait=False, cancel_futures=True)

    def hand_out(self) -> None:
        """Set the workers to every dead grant that was not tidied yet."""
        for grant in self._table.untidied(_BATCH):
            self.soon(grant)

    def soon(self, grant: str) -> None:
        """Set the workers to one grant; harmless if it is not dead, or tidied already."""
        self._submit(self._workers, grant, partial(self._first, grant))

    def again(self, handle: str, *, cut: bool) -> None:
        """Set the workers to an account that was cut and still stands.

        ``cut``: cut it again first, where no token can have it made anew: a target that was
        restored, or failed over to a replica that lagged, may have brought it back.

        Of accounts that stay for good only some wait at a time, so that a sweep never ends up with
        more work than it had.
        """
        with self._busy_lock:
            if len(self._busy) >= _WAITING_AT_MOST:
                return
        self._submit(self._again_worker, handle, partial(self._again, handle, cut))

    def _first(self, grant: str) -> None:
        row = self._table.find(grant)
        if row is None or row.stage is not Stage.DEAD or row.left_behind is not None:
            return
        try:
            # (1) Tidy, without the grant's lock, which other grants share. Nobody else acts on one
            #     that is dead. A crash from here on comes back to (1); what is gone is told by
            #     nobody then, but stands in our log.
            left = self._platform.tidy(row.account)
        except BreakglassError as error:
            # Dead is dead: that it is not tidied must not keep the proof back.
            left = (one_line(f"account {row.claim.handle!r} is not tidied yet: {error}"),)
        self._at("tidied")
        with self._locks.of(grant):
            # (2) What stays, on disk. From here only the telling is left, and a restart does it.
            self._table.tidied(grant, left)
            self._at("left")
            # (3) Tell ``dead``, with all of it.
            self._saying.say(grant)
            self._at("told dead")

    def _again(self, handle: str, cut: bool) -> None:
        if cut:
            self._platform.cut(Account(handle))
        left = self._platform.tidy(Account(handle))
        if left:
            log.info("ending: %s still stands, without login or right: %s", handle, left[0])

    def _submit(self, worker: ThreadPoolExecutor, name: str, doing: Callable[[], None]) -> None:
        with self._busy_lock:
            if name in self._busy:
                return
            self._busy.add(name)
        worker.submit(self._guarded, name, doing)

    def _guarded(self, name: str, doing: Callable[[], None]) -> None:
        try:
            doing()
        except BreakglassError as error:
            log.warning("tidying %s: %s", name, error)
        except Exception:
            log.exception("tidying %s: an error inside; the next sweep tries again", name)
        finally:
            with self._busy_lock:
                self._busy.discard(name)
