"""A copy for the monitor of what a person handed in, so that a broker cannot drop it unseen.

A stolen broker that loses an approver's yes makes them look silent. The monitor, which is another
party, waits for the record and alerts ``statement_withheld`` if it does not come.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from breakglass.cli.client import Client
from breakglass.errors import BreakglassError

_WITHIN = timedelta(seconds=2)  # it is told behind everything else, and nobody waits for it longer


def leave_copy(client: Client, signed: dict[str, Any]) -> bool:
    """Leave a signed statement with the monitor; says whether it has it.

    Best effort, and bounded: a monitor that is away keeps nobody from anything.
    """
    try:
        kept = client.tell_monitor("/copies", {"statement": signed}, _WITHIN)
    except BreakglassError:
        return False
    return kept.get("kept") is True
