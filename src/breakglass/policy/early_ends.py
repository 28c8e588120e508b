"""When a grant ends before its time, by the policy in force: for whoever ends grants.

The one thing that a minter takes from a bundle. It can only shorten what the card gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache

from breakglass.policy.bundle import unpack_bundle
from breakglass.policy.grant_life import GrantLife
from breakglass.policy.parse import parse_bundle
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.slices.incidents import IncidentState

CLOSED_FOR = timedelta(minutes=10)
"""How long the holder is warned: whoever closes an incident cuts no repair in its middle."""


@lru_cache(maxsize=2)
def lives_of(bundle: bytes) -> Mapping[str, GrantLife]:
    """Return what a packed bundle says of the lives of its grants, by glass; read once for each.

    Raises:
        MalformedError: it cannot be read.
    """
    return {name: each.life for name, each in parse_bundle(unpack_bundle(bundle)).glasses.items()}


def ends_with_incident(
    life: GrantLife, grant: GrantState, incident: IncidentState | None
) -> datetime | None:
    """Return when a grant ends because its incident was closed; ``None``: it does not.

    At once if its holder closed it, else ``CLOSED_FOR`` later. Only a person's signed word closes
    and opens for this: a broker's own word ends no repair, and keeps none running either. Whoever
    declares the incident open again within that time keeps the grant, since this is asked anew.

    Args:
        life: of the grant's glass, by the policy in force.
        grant: neither ended nor stopped.
        incident: the one that it names, as folded; none if it left the fold long ago.

    Source: the time is the witnesses', so that one clock that runs ahead ends nothing.
    """
    if not life.with_incident or not grant.incident or incident is None:
        return None
    word, at = incident.word, incident.closed_at
    if incident.open or at is None or word is None or word.open:
        return None
    # Nothing is granted of a closed incident, so this close came behind the grant.
    return at if word.who == grant.who else at + CLOSED_FOR
