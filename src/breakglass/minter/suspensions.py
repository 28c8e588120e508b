"""What the minter keeps in mind of the ledger beside the fold: who was stopped, and how fresh."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from breakglass.minter.grant_store import Claim
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kinds.dead import Dead
from breakglass.records.kinds.ended import Ended
from breakglass.records.kinds.minted import Minted
from breakglass.records.kinds.suspended import Suspended
from breakglass.records.signing.signature import Signature
from breakglass.records.trust import Role


@dataclass(frozen=True)
class Stop:
    """Somebody's signed word that stops a person, a glass or a grant."""

    statement: Signature
    at: datetime


class Suspensions:
    """Hears every judged entry; safe under threads.

    Args:
        minter: our name.
        wake: called when something was said that may end a grant.
    """

    def __init__(self, minter: str, wake: Callable[[], None]) -> None:
        self._own = Role("minter", minter)
        self._minter = minter
        self._wake = wake
        self._lock = threading.Lock()
        self._newest: datetime | None = None
        self._stops: dict[tuple[str, str], Stop] = {}
        self._open: dict[str, Claim] = {}

    def judged(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take one entry; called by the view, under its lock."""
        with self._lock:
            newest = max(entry.cosigned.values(), default=None)
            if newest is not None and (self._newest is None or newest > self._newest):
                self._newest = newest
            if judged.record is None or not judged.holds:
                return
            woken = self._take(judged.record.body, judged.record.envelope.at, judged.role, state)
        if woken:
            self._wake()

    @property
    def newest(self) -> datetime | None:
        """The latest time at which any witness signed a head that we follow."""
        with self._lock:
            return self._newest

    def stop_of(self, claim: Claim) -> Stop | None:
        """Return the word that stops this grant, if any does."""
        named = (("grant", claim.grant), ("person", claim.who), ("glass", claim.glass))
        with self._lock:
            return next((self._stops[each] for each in named if each in self._stops), None)

    def unfinished(self) -> list[Claim]:
        """Return what the ledger says that we minted and have not proven dead."""
        with self._lock:
            return list(self._open.values())

    def _take(self, body: Any, at: datetime, role: Role | None, state: State) -> bool:
        if isinstance(body, Suspended):
            key = (body.target.value, body.name)
            if body.active:
                self._stops[key] = Stop(body.statement, at)
            else:
                self._stops.pop(key, None)
            return True
        if isinstance(body, Minted) and role == self._own:
            self._open[body.grant] = claim_of(state.grants.by_id[body.grant])
        elif isinstance(body, Dead) and role == self._own:
            self._open.pop(body.grant, None)
        return isinstance(body, Ended) and role != self._own


def claim_of(grant: GrantState) -> Claim:
    """Return a grant of the fold in this minter's words."""
    return Claim(
        grant.grant,
        grant.handle,
        grant.who,
        grant.glass,
        grant.incident,
        grant.index,
        grant.not_after,
    )
