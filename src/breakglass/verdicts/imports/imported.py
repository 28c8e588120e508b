"""What an import found: everything a history folder needs, and what its owner should be told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime

from breakglass.verdicts.history import Bypass

LONGEST_REASON = 180  # characters
MOST_TOLD = 5  # of one kind of note; the others are counted


@dataclass(frozen=True, slots=True)
class Hit:
    """One sign that was found: at which commit or row, of which gate, and the line it stands on."""

    where: str
    gate: str
    line: str


@dataclass
class Imported:
    """Everything that a history folder needs; ``people`` holds changes per quarter and person."""

    events: list[Bypass] = field(default_factory=list)
    passages: dict[str, dict[date, float]] = field(default_factory=dict)
    people: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    as_of: datetime | None = None
    left_out: int = 0
    hits: list[Hit] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)  # per sign, as it is written
    notes: list[str] = field(default_factory=list)  # told to the owner, one line each
    names: set[str] = field(default_factory=set)  # of people, as found; to be hidden in reasons

    def tell(self, kind: str, cases: list[str]) -> None:
        """Note several cases of one kind in one line."""
        if cases:
            shown = "; ".join(cases[:MOST_TOLD])
            more = f"; and {len(cases) - MOST_TOLD} more" if len(cases) > MOST_TOLD else ""
            self.notes.append(f"{kind}: {shown}{more}")
