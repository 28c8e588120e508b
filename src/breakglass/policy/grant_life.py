"""How grants of one glass end before their time, and how long one may follow another.

These stand on no card: they only ever take away, so a gate or minter that does not know them gives
what the card says and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from breakglass.policy import yaml_fields
from breakglass.policy.yaml_nodes import Node
from breakglass.records.platforms import LONGEST

IDLE_AT_LEAST = timedelta(minutes=1)  # less would end what waits for its holder's next thought
EXTENDED_AT_MOST = timedelta(days=7)
FIELDS = ("ends_with_incident", "idle", "extend")


@dataclass(frozen=True)
class GrantLife:
    """What a glass says of the lives of its grants.

    Attributes:
        with_incident: a grant ends when the incident that it names is closed.
        idle: a grant ends when it was not used for so long; none: it does not.
        together: so long uninterrupted grants of one person last at most, where approved asks
            follow one another; none: each is decided for itself.
    """

    with_incident: bool = False
    idle: timedelta | None = None
    together: timedelta | None = None


NO_LIFE = GrantLife()


def parse_life(at: Mapping[str, Node]) -> GrantLife:
    """Read the three fields of a glass, each of which may be left out.

    Raises:
        MalformedError: with the place.
    """
    together = None
    if "extend" in at:
        extend = yaml_fields.fields(at["extend"], "extend", need=("at_most",))
        together = yaml_fields.span(extend["at_most"], timedelta(minutes=1), EXTENDED_AT_MOST)
    return GrantLife(
        yaml_fields.flag(at["ends_with_incident"]) if "ends_with_incident" in at else False,
        yaml_fields.span(at["idle"], IDLE_AT_LEAST, LONGEST) if "idle" in at else None,
        together,
    )
