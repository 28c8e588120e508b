"""What a source of on-call lists says, and the contract of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

PEOPLE_AT_MOST = 500  # of one record


@dataclass(frozen=True)
class OnCall:
    """Who is on call, by whatever names the source has, and when it said so."""

    names: tuple[str, ...]
    taken_at: datetime


class RosterSource(Protocol):
    """One kind of source: ``file``, ``pagerduty``."""

    def read(self, which: str) -> OnCall:
        """Return who is on call by the list called ``which``; bounded, and again is harmless.

        What is returned was said whole by the source: half a list raises.

        Raises:
            BreakglassError: no answer, or one that cannot be read; nothing is known then.
        """
