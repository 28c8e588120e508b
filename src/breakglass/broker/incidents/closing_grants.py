"""Which grants end because their incident was closed, and when: as minters will find it too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from breakglass.broker.policies import Policies
from breakglass.policy.early_ends import ends_with_incident
from breakglass.policy.grant_life import NO_LIFE
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State


@dataclass(frozen=True)
class GrantEnd:
    """A grant that ends with an incident, ``at`` a time that may have come."""

    grant: str
    who: str
    glass: str
    at: datetime


@dataclass(frozen=True)
class ClosingGrants:
    """Asks the policy in force; keeps nothing."""

    policies: Policies

    def end_of(self, grant: GrantState, state: State) -> datetime | None:
        """Return when a grant ends with its incident, by the witnesses' time; ``None``: not.

        Raises:
            BreakglassError: the policy in force cannot be read.
        """
        incident = state.incidents.by_id.get(grant.incident) if grant.incident else None
        if incident is None or incident.open:
            return None
        glass = self.policies.in_force(state).bundle.glasses.get(grant.glass)
        return ends_with_incident(glass.life if glass else NO_LIFE, grant, incident)

    def of(self, incident: str, state: State, now: datetime) -> tuple[GrantEnd, ...]:
        """Return the grants that a close of this incident ends, the first of them first."""
        found = [
            GrantEnd(each.grant, each.who, each.glass, min(when, each.not_after))
            for each in state.grants.by_id.running.values()
            if each.incident == incident
            and each.live(now)
            and (when := self.end_of(each, state)) is not None
        ]
        return tuple(sorted(found, key=lambda each: (each.at, each.grant)))
