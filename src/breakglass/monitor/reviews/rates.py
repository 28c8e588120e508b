"""How often each gate was bypassed with glass: the last line of every review.

A plain count, as people read it. What it means is for ``deviance`` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.monitor.history_projection import BypassThen

WINDOW = timedelta(days=90)


@dataclass(frozen=True)
class Rate:
    """Grants that went round one gate in the last 90 days, and in the 90 days before."""

    gate: str
    now: int
    before: int

    def __str__(self) -> str:
        watch = " ← watch" if self.now > self.before else ""
        days = WINDOW.days
        return (
            f"{self.gate} gate now {self.now} break-glass / {days}d"
            f" (was {self.before} / {days}d){watch}"
        )


def rate_of(gate: str, bypasses: Sequence[BypassThen], as_of: datetime) -> Rate:
    """Count grants, not runs: one night's three runs are one use of glass. Drills never count."""
    middle = as_of - WINDOW
    counted = [each for each in bypasses if not each.drill]
    # Not cut at ``as_of``: a gate whose clock runs a little ahead is counted all the same.
    now = {each.grant for each in counted if each.at > middle}
    before = {each.grant for each in counted if middle - WINDOW < each.at <= middle}
    return Rate(gate, len(now), len(before))
