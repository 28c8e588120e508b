"""Who is stopped, each with the signed word that says so: what a grant is ended on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from breakglass.records.fold.slices.governance import ALL, Governance
from breakglass.records.kinds.suspended import Suspended
from breakglass.records.signing.signature import Signature


@dataclass(frozen=True)
class Stop:
    """Somebody's signed word that stops a person, a glass or a grant, in force."""

    statement: Signature
    at: datetime


@dataclass
class Stops:
    """Those in force, by what they stop and its name; kept up as the ledger is folded.

    ``all_stop`` is the last time at which everything was stopped, at which entry, whether that was
    lifted since or not: it is no more than a grant's later life that a lift frees.
    """

    by_name: dict[tuple[str, str], Stop] = field(default_factory=dict)
    all_stop: Stop | None = None
    all_index: int = -1

    def take(self, body: Suspended, at: datetime) -> None:
        """Take a record that holds."""
        key = (body.target.value, body.name)
        if body.active:
            self.by_name[key] = Stop(body.statement, at)
        else:
            self.by_name.pop(key, None)

    def take_all(self, governance: Governance) -> None:
        """Take what the fold made of a record that stops everything, or lets it go."""
        stop = governance.all_stop
        if ALL not in governance.suspended or stop is None:
            self.by_name.pop(ALL, None)
            return
        self.all_stop, self.all_index = Stop(stop.statement, stop.at), stop.index
        self.by_name[ALL] = self.all_stop

    def of(self, grant: str, who: str, glass: str, index: int) -> Stop | None:
        """Return the word that stops a grant, if any does.

        ``index`` is the entry of its intent; below zero where none stands in the log yet: that one
        is stopped with everything only as long as that is so.
        """
        named = (ALL, ("grant", grant), ("person", who), ("glass", glass))
        found = next((self.by_name[each] for each in named if each in self.by_name), None)
        before = 0 <= index < self.all_index
        return found or (self.all_stop if before else None)
