"""What the monitor told: that it lives, what it rang, what it looked at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from breakglass.canonical import Json
from breakglass.clock import format_maybe, format_time


@dataclass(frozen=True)
class AttestedState:
    """The last look at something that the evidence rests on; ``looked`` by the looker's clock."""

    outcome: str
    looked: datetime
    index: int


@dataclass
class Monitor:
    """``alerts`` counts messages by delivery; ``attested`` is the last look, by subject."""

    pulse_at: datetime | None = None
    alerts: dict[str, int] = field(default_factory=dict)
    attested: dict[tuple[str, str], AttestedState] = field(default_factory=dict)

    def trial(self) -> Monitor:
        """Return a thin copy that changes alone."""
        return replace(self, alerts=dict(self.alerts), attested=dict(self.attested))

    def summary(self) -> dict[str, Json]:
        """Return this part of the state as plain JSON."""
        return {
            "pulse": format_maybe(self.pulse_at),
            "alerts": dict(self.alerts),
            "attested": {
                f"{subject} {about}": f"{each.index} {each.outcome} {format_time(each.looked)}"
                for (subject, about), each in self.attested.items()
            },
        }
