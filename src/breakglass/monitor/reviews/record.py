"""The review record: the fields of SOURCE.md's example, in its order, as text for people.

What only a person can answer says ``open``; what no record tells says ``not recorded``. Nothing
is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

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


@dataclass(frozen=True)
class ReviewLine:
    """One line of the list of open reviews."""

    grant: str
    glass: str
    who: str
    incident: str
    index: int
    opened: datetime
    due: datetime
    overdue: bool
    drill: bool


@dataclass(frozen=True)
class ReviewView(ReviewLine):
    """A whole review: the record by its keys, and as the text that people fill in."""

    record: Mapping[str, str | tuple[str, ...]]
    yaml: str
