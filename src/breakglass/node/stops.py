"""Who is stopped, each with the signed word that says so: what a grant is ended on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from breakglass.records.kinds.suspended import Suspended
from breakglass.records.signing.signature import Signature


@dataclass(frozen=True)
class Stop:
    """Somebody's signed word that stops a person, a glass or a grant, in force."""

    statement: Signature
    at: datetime


@dataclass
class Stops:
    """Those in force, by what they stop and its name; kept up as the ledger is folded."""

    by_name: dict[tuple[str, str], Stop] = field(default_factory=dict)

    def take(self, body: Suspended, at: datetime) -> None:
        """Take a record that holds."""
        key = (body.target.value, body.name)
        if body.active:
            self.by_name[key] = Stop(body.statement, at)
        else:
            self.by_name.pop(key, None)

    def of(self, grant: str, who: str, glass: str) -> Stop | None:
        """Return the word that stops a grant, if any does."""
        named = (("grant", grant), ("person", who), ("glass", glass))
        return next((self.by_name[each] for each in named if each in self.by_name), None)
