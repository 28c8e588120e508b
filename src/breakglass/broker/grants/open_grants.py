"""Which grants still need something of us, kept up as the ledger is folded; never searched for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from breakglass.node.memory_projection import MemoryProjection
from breakglass.node.stops import Stop, Stops
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kinds.alert import Alert, Delivery
from breakglass.records.kinds.all_suspended import AllSuspended
from breakglass.records.kinds.ended import Ended
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.minted import Minted
from breakglass.records.kinds.suspended import Suspended

# Longer than the reaper listens, and both clocks' skew; then nobody asks any more.
UNHEARD_KEPT = timedelta(minutes=10)


@dataclass
class Open:
    """``open`` and ``unheard`` grants, in their order, with the time of the intent."""

    open: dict[str, datetime] = field(default_factory=dict)
    unheard: dict[str, datetime] = field(default_factory=dict)
    stops: Stops = field(default_factory=Stops)


class OpenGrants(MemoryProjection[Open]):
    """A projection; safe under threads.

    A grant is *open* to us while nothing was minted and it has not ended, and *unheard* until an
    alert about it was delivered, or was so long ago that nobody asks.
    """

    def __init__(self) -> None:
        super().__init__("open_grants", Open)

    def take(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take the next entry."""
        if judged.record is None or not judged.holds:
            return
        body, at = judged.record.body, judged.record.envelope.at
        with self._lock:
            match body:
                case Intent():
                    self._listen_no_longer(state)
                    self.kept.open[body.grant] = self.kept.unheard[body.grant] = at
                case Minted() | Ended():
                    self.kept.open.pop(body.grant, None)
                case Alert() if body.delivery is Delivery.DELIVERED:
                    self.kept.unheard.pop(body.about, None)
                case Suspended():
                    self.kept.stops.take(body, at)
                case AllSuspended():
                    self.kept.stops.take_all(state.governance)
                case _:
                    pass

    def open(self) -> list[str]:
        """Return the open grants."""
        with self._lock:
            return sorted(self.kept.open)

    def unheard(self) -> list[str]:
        """Return the unheard grants."""
        with self._lock:
            return sorted(self.kept.unheard)

    def stop_of(self, grant: GrantState) -> Stop | None:
        """Return the word that stops a grant, if any does."""
        with self._lock:
            return self.kept.stops.of(grant.grant, grant.who, grant.glass, grant.index)

    def _listen_no_longer(self, state: State) -> None:
        now = state.witnessed
        if now is not None:
            unheard = self.kept.unheard.items()
            self.kept.unheard = {name: at for name, at in unheard if now - at <= UNHEARD_KEPT}
