"""The review record: the fields of SOURCE.md's example, in its order, as text for people.

What only a person can answer says ``open``; what no record tells says ``not recorded``. Nothing
is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from breakglass.clock import format_time

OPEN = "open"
NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class ReviewRecord:
    """One review, pre-filled. Its field names are the keys, but for ``appropriate``."""

    incident: str
    severity: str
    broke_glass: str
    role_assumed: str
    session: str
    window: str
    why_glass: str
    actions_taken: tuple[str, ...]
    gate_bypassed: str
    appropriate: str
    audit_verified: str
    follow_ups: tuple[str, ...]
    reviewer: str
    bypass_rate: str

    def items(self) -> tuple[tuple[str, str | tuple[str, ...]], ...]:
        """Return keys and values in order; SOURCE.md spells one key with a question mark."""
        return tuple(
            (
                "appropriate?" if field.name == "appropriate" else field.name,
                getattr(self, field.name),
            )
            for field in fields(self)
        )


@dataclass(frozen=True)
class Review:
    """A review with what it takes to list, sort and open it."""

    grant: str
    glass: str
    who: str
    index: int
    opened: datetime
    due: datetime
    overdue: bool
    drill: bool
    record: ReviewRecord

    @property
    def title(self) -> str:
        """What the heading names: the incident, or the grant where there was none."""
        named = self.grant if self.record.incident.startswith("none") else self.record.incident
        return f"{named} (drill)" if self.drill else named

    def summary(self) -> dict[str, Any]:
        """Return one line of the list, as JSON."""
        return {
            "grant": self.grant,
            "glass": self.glass,
            "who": self.who,
            "incident": self.record.incident,
            "index": self.index,
            "opened": format_time(self.opened),
            "due": format_time(self.due),
            "overdue": self.overdue,
            "drill": self.drill,
        }

    def json(self) -> dict[str, Any]:
        """Return the whole review, as JSON."""
        record: Mapping[str, Any] = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in self.record.items()
        }
        return {**self.summary(), "record": record}
