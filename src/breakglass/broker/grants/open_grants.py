"""Which grants still need something of us, kept up as the ledger is folded; never searched for."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kinds.ended import Ended
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.minted import Minted
from breakglass.records.kinds.suspended import Suspended
from breakglass.records.signing.signature import Signature


@dataclass(frozen=True)
class Stop:
    """Somebody's signed word that stops a person, a glass or a grant, in force."""

    statement: Signature
    at: datetime


class OpenGrants:
    """Hears every judged entry; safe under threads.

    A grant is *open* to us while nothing was minted and it has not ended, and *unheard* until an
    alarm about it was delivered or somebody has looked.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[str] = set()
        self._unheard: set[str] = set()
        self._stops: dict[tuple[str, str], Stop] = {}

    def judged(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take one entry; called by the view, under its lock."""
        if judged.record is None or not judged.holds:
            return
        body = judged.record.body
        with self._lock:
            if isinstance(body, Intent):
                self._open.add(body.grant)
                self._unheard.add(body.grant)
            elif isinstance(body, Minted | Ended):
                self._open.discard(body.grant)
            elif isinstance(body, Suspended) and body.active:
                stop = Stop(body.statement, judged.record.envelope.at)
                self._stops[body.target.value, body.name] = stop
            elif isinstance(body, Suspended):
                self._stops.pop((body.target.value, body.name), None)

    def open(self) -> list[str]:
        """Return the open grants."""
        with self._lock:
            return sorted(self._open)

    def unheard(self) -> list[str]:
        """Return the unheard grants."""
        with self._lock:
            return sorted(self._unheard)

    def heard(self, grant: str) -> None:
        """Take a grant from the unheard ones."""
        with self._lock:
            self._unheard.discard(grant)

    def stop_of(self, grant: GrantState) -> Stop | None:
        """Return the word that stops a grant, if any does."""
        named = (("grant", grant.grant), ("person", grant.who), ("glass", grant.glass))
        with self._lock:
            return next((self._stops[each] for each in named if each in self._stops), None)
