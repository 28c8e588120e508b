"""The newest survey of each target: how much privileged access stands there without a grant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from breakglass.canonical import Json
from breakglass.clock import format_time


@dataclass(frozen=True)
class SurveyState:
    """One survey: ``standing`` counts by category, ``digest`` of the inventory behind it.

    ``unknown`` are the categories that could not be read whole; ``seen`` is when it was witnessed.
    """

    standing: Mapping[str, int]
    unknown: tuple[str, ...]
    digest: str
    taken_at: datetime
    seen: datetime
    index: int

    @property
    def total(self) -> int:
        """Return how many things stand, of every category."""
        return sum(self.standing.values())


@dataclass
class Surveys:
    """``newest`` by the target's name."""

    newest: dict[str, SurveyState] = field(default_factory=dict)

    def trial(self) -> Surveys:
        """Return a thin copy that changes alone."""
        return Surveys(dict(self.newest))

    def summary(self) -> dict[str, Json]:
        """Return this part of the state as plain JSON; nothing before set 3 had anything here."""
        if not self.newest:
            return {}
        return {"surveys": {target: _survey(each) for target, each in self.newest.items()}}


def _survey(survey: SurveyState) -> Mapping[str, Json]:
    return {
        "index": survey.index,
        "taken": format_time(survey.taken_at),
        "seen": format_time(survey.seen),
        "digest": survey.digest,
        "standing": dict(survey.standing),
        "unknown": list(survey.unknown),
    }
