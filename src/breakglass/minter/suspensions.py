"""What the minter keeps in mind of the ledger beside the fold: stops, starts to come, freshness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from breakglass.minter.grant_store import Claim
from breakglass.node.memory_projection import MemoryProjection
from breakglass.node.stops import Stop, Stops
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kinds.all_suspended import AllSuspended
from breakglass.records.kinds.cards import Cards
from breakglass.records.kinds.dead import Dead
from breakglass.records.kinds.ended import Ended
from breakglass.records.kinds.incident import Incident
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.minted import Minted
from breakglass.records.kinds.suspended import Suspended
from breakglass.records.trust import Role


@dataclass
class Heard:
    """``newest`` is the latest time of any witness, ``open`` what we minted and is not dead.

    ``passed`` is the latest time that most cosigners of one entry had reached: neither one witness
    that is ahead nor one that is behind moves it. ``scheduled`` are our grants that were put off
    and are neither minted nor over, in their order.
    """

    newest: datetime | None = None
    passed: datetime | None = None
    stops: Stops = field(default_factory=Stops)
    open: dict[str, Claim] = field(default_factory=dict)
    scheduled: dict[str, datetime] = field(default_factory=dict)


class Suspensions(MemoryProjection[Heard]):
    """A projection; safe under threads.

    Args:
        minter: our name.
        wake: called when something was said that may end a grant.
    """

    def __init__(self, minter: str, wake: Callable[[], None]) -> None:
        super().__init__("suspensions", Heard)
        self._own = Role("minter", minter)
        self._wake = wake

    def take(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take the next entry."""
        with self._lock:
            self.kept.newest = max(
                filter(None, (self.kept.newest, *entry.cosigned.values())), default=None
            )
            if entry.cosigned:
                self.kept.passed = max(filter(None, (self.kept.passed, entry.witnessed)))
            if judged.record is None or not judged.holds:
                return
            woken = self._take(judged.record.body, judged.record.envelope.at, judged.role, state)
        if woken:
            self._wake()

    @property
    def newest(self) -> datetime | None:
        """The latest time at which any witness signed a head that we follow."""
        with self._lock:
            return self.kept.newest

    @property
    def passed(self) -> datetime | None:
        """The latest time that most witnesses of a head had reached when they signed it."""
        with self._lock:
            return self.kept.passed

    def stop_of(self, claim: Claim) -> Stop | None:
        """Return the word that stops this grant, if any does."""
        with self._lock:
            return self.kept.stops.of(claim.grant, claim.who, claim.glass, claim.index)

    def unfinished(self) -> list[Claim]:
        """Return what the ledger says that we minted and have not proven dead."""
        with self._lock:
            return list(self.kept.open.values())

    def scheduled(self) -> list[str]:
        """Return the grants that wait for their start."""
        with self._lock:
            return list(self.kept.scheduled)

    def _take(self, body: Any, at: datetime, role: Role | None, state: State) -> bool:
        match body:
            case Suspended():
                self.kept.stops.take(body, at)
                return True
            case AllSuspended():
                self.kept.stops.take_all(state.governance)
                return True
            case Intent() if body.minter == self._own.name:
                if state.grants.by_id[body.grant].scheduled:
                    self.kept.scheduled[body.grant] = body.not_before
            case Minted() if role == self._own:
                self.kept.scheduled.pop(body.grant, None)
                self.kept.open[body.grant] = claim_of(state.grants.by_id[body.grant])
            case Dead() if role == self._own:
                self.kept.open.pop(body.grant, None)
            case Ended():
                self.kept.scheduled.pop(body.grant, None)
                return role != self._own
            case Incident() | Cards():
                return True
            case _:
                pass
        return False


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
