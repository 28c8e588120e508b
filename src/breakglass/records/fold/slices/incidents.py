"""The incidents, as the records tell them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from breakglass.canonical import Json
from breakglass.clock import format_maybe, format_time
from breakglass.records.fold.slices.overlay import Overlay


@dataclass(frozen=True)
class IncidentWord:
    """What ``who`` signed of an incident: the last word that a person said of it."""

    severity: str
    title: str
    open: bool
    who: str


@dataclass(frozen=True)
class IncidentState:
    """An incident as the records tell it; ``open`` says whether it still runs.

    ``closed_at`` is when it was witnessed that it closed, ``word`` what a person last signed of it.
    """

    incident: str
    severity: str
    title: str
    self_declared: bool
    open: bool
    opened_at: datetime
    closed_at: datetime | None = None
    word: IncidentWord | None = None

    @property
    def vouched(self) -> IncidentState | None:
        """The incident as decisions may count it: as far as a person signed it.

        What a broker says beside that is the broker's own word, whatever it attached: no source's
        message can be checked yet, so nothing makes an incident one from outside.
        """
        if self.word is None:
            return None
        said = self.word
        return replace(
            self, severity=said.severity, title=said.title, open=said.open, self_declared=True
        )


@dataclass
class Incidents:
    """Each incident by its id, those that closed within the last month too."""

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
                    "title": each.title,
                    "open": each.open,
                    "self_declared": each.self_declared,
                    "opened": format_time(each.opened_at),
                    "closed": format_maybe(each.closed_at),
                    "word": f"{each.word.who} {each.word.severity} {each.word.open}"
                    if each.word
                    else "",
                }
                for name, each in self.by_id.items()
            }
        }
