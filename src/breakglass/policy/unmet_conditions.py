"""What a bundle asks for and nobody can meet in this version, so that it is told before 03:00.

A policy in force is still compiled and decided by: it answers no. A new one is kept from taking
force, by ``policy check`` and ``policy sign``. A row goes when something can meet its condition.
"""

from __future__ import annotations

from collections.abc import Iterator

from breakglass.policy.conditions import IncidentFrom
from breakglass.policy.lint_finding import Desk, LintFinding
from breakglass.policy.parse import Bundle


def unmet_conditions(bundle: Bundle) -> Iterator[LintFinding]:
    """Yield an error for each glass that asks for an incident from outside.

    Nothing vouches for one yet: what a broker attaches is the broker's own word.
    """
    desk = Desk(bundle)
    for name, glass in bundle.glasses.items():
        if glass.when.incident_source is IncidentFrom.OUTSIDE:
            path = f"glasses.{name}.when"
            yield desk.error(
                path,
                "asks for an incident from outside; this version can check no source, so nobody"
                " could ever break this glass",
                "leave 'incident_source' out; a severe glass asks for a second person as it is",
            )
