"""Closing grants that no minter ends: those without a credential, and those never minted.

A reconciler over the folded state: it keeps nothing, so a restart goes on where another stopped,
and two replicas that close the same grant are a quiet lost race.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

from breakglass.broker.catching_up import CatchingUp
from breakglass.broker.minters import Minters
from breakglass.broker.recording import Recording
from breakglass.clock import Clock
from breakglass.errors import BreakglassError
from breakglass.follow.stating import Fact
from breakglass.records.kinds.grants import Ended, EndedWhy
from breakglass.records.record import parse_record
from breakglass.records.state import GrantState

log = logging.getLogger("breakglass.broker")
_LOOK_EVERY = timedelta(seconds=1)
_OTHERS_AFTER = timedelta(minutes=2)  # another replica's grants are its own to close first
_ASK_AGAIN_AFTER = timedelta(seconds=20)


class Closing:
    """See the module; ``start`` begins."""

    def __init__(
        self,
        recording: Recording,
        minters: Minters,
        clock: Clock,
        recovery: timedelta,
        catching_up: CatchingUp,
    ) -> None:
        self._recording = recording
        self._minters = minters
        self._clock = clock
        self._recovery = recovery
        self._catching_up = catching_up
        self._closed = threading.Event()
        self._asked: dict[str, datetime] = {}
        self._settled: set[str] = set()
        self._own: dict[str, bool] = {}
        self._thread = threading.Thread(target=self._close_for_ever, name="closing", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop; what is open stays open until the next start."""
        self._closed.set()
        self._thread.join(1)

    def look(self) -> None:
        """Look once at every open grant."""
        now = self._clock.now()
        with self._recording.view.reading() as state:
            opened = [
                grant
                for name, grant in state.grants.items()
                if name not in self._settled and self._ours_to_close(name, grant)
            ]
        for grant in opened:
            if self._closed.is_set():
                return
            self._look_at(grant, now)

    def _ours_to_close(self, name: str, grant: GrantState) -> bool:
        if grant.ended is None and grant.minted_at is None:
            return True
        self._settled.add(name)  # ended, or its minter ends it: nothing more for us, ever
        self._own.pop(name, None)
        self._asked.pop(name, None)
        return False

    def _look_at(self, grant: GrantState, now: datetime) -> None:
        grace = timedelta(0) if self._stated_by_us(grant) else _OTHERS_AFTER
        intent = grant.intent
        if not intent.minter:
            if now > intent.not_after + grace:
                self._end(intent.grant, EndedWhy.EXPIRED)
        elif now > min(grant.at + self._recovery, intent.not_after) + grace:
            self._give_up(grant, now)

    def _give_up(self, grant: GrantState, now: datetime) -> None:
        """Close an intent that nothing came of, once its minter has promised that nothing will."""
        name = grant.intent.grant
        if now - self._asked.get(name, grant.at - _ASK_AGAIN_AFTER) < _ASK_AGAIN_AFTER:
            return
        self._asked[name] = now
        try:
            # (1) The minter's promise, on its disk. A crash behind it: we ask again.
            minted = self._minters.forgo(grant.intent.minter, name)
        except BreakglassError as error:
            log.info("grant %s stays open: %s", name, error)
            return
        if not minted:
            # (2) Only then is it written that nothing was minted.
            self._end(name, EndedWhy.NOT_MINTED)

    def _end(self, grant: str, why: EndedWhy) -> None:
        record_id = f"{grant}/ended"
        if self._recording.stated(record_id):
            return
        try:
            self._recording.append([Fact(record_id, Ended(grant, why, "", None))])
        except BreakglassError as error:
            log.info("end of %s not recorded yet: %s", grant, error)

    def _stated_by_us(self, grant: GrantState) -> bool:
        name = grant.intent.grant
        if name not in self._own:
            lines = parse_record(grant.note).note.lines
            self._own[name] = any(line.name == self._recording.key.name for line in lines)
        return self._own[name]

    def _close_for_ever(self) -> None:
        while not self._closed.wait(_LOOK_EVERY.total_seconds()):
            try:
                if self._catching_up.current:
                    self.look()
            except BreakglassError as error:
                log.warning("closing: %s", error)
            except Exception:
                log.exception("closing: an error inside; it goes on")
