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


@dataclass(frozen=True)
class RosterState:
    """Who was on call in one group: ``people`` by the policy's names, ``taken_at`` at the source.

    ``seen`` is when the record was witnessed.
    """

    people: tuple[str, ...]
    source: str
    taken_at: datetime
    seen: datetime
    index: int


@dataclass
class Monitor:
    """``alerts`` counts messages by delivery; ``attested`` is the last look, by subject.

    ``rosters`` gives the newest roster of a group and the one before it, the newest first.
    """

    pulse_at: datetime | None = None
    alerts: dict[str, int] = field(default_factory=dict)
    attested: dict[tuple[str, str], AttestedState] = field(default_factory=dict)
    rosters: dict[str, tuple[RosterState, ...]] = field(default_factory=dict)

    def trial(self) -> Monitor:
        """Return a thin copy that changes alone."""
        return replace(
            self,
            alerts=dict(self.alerts),
            attested=dict(self.attested),
            rosters=dict(self.rosters),
        )

    def summary(self) -> dict[str, Json]:
        """Return this part of the state as plain JSON."""
        return {
            "pulse": format_maybe(self.pulse_at),
            "alerts": dict(self.alerts),
            "attested": {
                f"{subject} {about}": f"{each.index} {each.outcome} {format_time(each.looked)}"
                for (subject, about), each in self.attested.items()
            },
            "rosters": {
                group: [
                    f"{each.index} {each.source} {format_time(each.taken_at)}"
                    f" {format_time(each.seen)} {' '.join(each.people)}"
                    for each in kept
                ]
                for group, kept in self.rosters.items()
            },
        }
