"""The incidents, as the records tell them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from breakglass.canonical import Json
from breakglass.records.fold.slices.overlay import Overlay


@dataclass(frozen=True)
class IncidentState:
    """An incident as the records tell it; ``open`` says whether it still runs."""

    incident: str
    severity: str
    title: str
    self_declared: bool
    open: bool
    opened_at: datetime


@dataclass
class Incidents:
    """Each incident by its id, closed ones too."""

    by_id: dict[str, IncidentState] = field(default_factory=dict)

    def trial(self) -> Incidents:
        """Return a thin copy that changes alone."""
        return Incidents(Overlay(self.by_id))

    def summary(self) -> dict[str, Json]:
        """Return this part of the state as plain JSON."""
        return {
            "incidents": {
                name: {
                    "severity": each.severity,
                    "open": each.open,
                    "self_declared": each.self_declared,
                }
                for name, each in self.by_id.items()
            }
        }
