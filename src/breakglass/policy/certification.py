"""Groups that somebody has to look through again and again, and what an old look costs.

A group of last year's on-call is how people keep power that they should have lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum

from breakglass.policy import yaml_fields
from breakglass.policy.people import Group
from breakglass.policy.yaml_nodes import Node

SOON = timedelta(days=14)
"""So long before its end an operator is told of a certification."""


class Then(StrEnum):
    """What follows on a certification that is too old: words alone, or that the group is nobody."""

    ADVISE = "advise"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Certify:
    """Each group is certified anew within ``every``, counted from the end of the day it was."""

    every: timedelta
    then: Then

    def ends(self, group: Group) -> datetime | None:
        """Return the first instant at which a group's certification is too old; none: it has none.

        >>> from datetime import date
        >>> from breakglass.policy.people import Certified
        >>> group = Group("oncall", ("mira",), certified=Certified("sam", date(2026, 10, 1)))
        >>> str(Certify(timedelta(days=90), Then.REFUSE).ends(group))
        '2026-12-31 00:00:00+00:00'
        """
        if group.certified is None:
            return None
        return datetime.combine(group.certified.on, time(), UTC) + self.every + timedelta(days=1)


def parse_certify(node: Node) -> Certify:
    """Read ``certify:``."""
    at = yaml_fields.fields(node, "'certify'", need=("every", "then"))
    return Certify(
        yaml_fields.span(at["every"], timedelta(days=1), timedelta(days=731)),
        yaml_fields.choice(at["then"], Then),
    )


def stale_groups(
    certify: Certify | None, groups: Mapping[str, Group], now: datetime
) -> dict[str, datetime | None]:
    """Return the groups whose certification is too old at ``now``, with since when.

    One that nobody has ever certified is among them, with none.
    """
    if certify is None:
        return {}
    ends = {name: certify.ends(group) for name, group in groups.items()}
    return {name: end for name, end in ends.items() if end is None or now >= end}
