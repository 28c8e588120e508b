"""What the policy in force says of the lives of grants: the one thing that a minter reads in it.

Cards say what may be given and to whom, and a minter believes no policy for that. A bundle can only
take away sooner (docs/decisions/minter-6-a-bundle-only-takes-away.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from breakglass.errors import BreakglassError
from breakglass.node.replica import Replica
from breakglass.policy.early_ends import ends_with_incident, lives_of
from breakglass.policy.grant_life import NO_LIFE, GrantLife
from breakglass.process.alert_channel import AlertChannel
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.slices.incidents import IncidentState


class PolicyLives:
    """Reads each bundle once, outside any lock; safe under threads."""

    def __init__(self, name: str, view: Replica, bell: AlertChannel) -> None:
        self._name = name
        self._view = view
        self._bell = bell
        self._unread = b""  # the bundle that could not be read, so that nobody reads it again

    def idle(self) -> Mapping[str, timedelta]:
        """Return the glasses whose grants end when they were not used, and for how long."""
        return {glass: each.idle for glass, each in self._now().items() if each.idle is not None}

    def ends(self, grant: GrantState, incident: IncidentState | None) -> datetime | None:
        """Return when a grant ends because its incident was closed; ``None``: it does not."""
        return ends_with_incident(self._now().get(grant.glass, NO_LIFE), grant, incident)

    def _now(self) -> Mapping[str, GrantLife]:
        """Return what the bundle in force says, by glass; nothing if it cannot be read.

        Then grants end as their cards say, and no sooner; somebody is rung, once for each bundle.
        """
        with self._view.reading() as state:
            bundle = state.governance.bundle
        if not bundle or bundle == self._unread:
            return {}
        try:
            return lives_of(bundle)
        except BreakglassError as error:
            self._unread = bundle
            self._bell.ring(
                "policy_unread",
                self._name,
                "this minter cannot read the policy in force, so it ends no grant with its"
                " incident or for lying idle; its release may be older than the policy:"
                f" {error}",
            )
            return {}
