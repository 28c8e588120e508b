"""Where each submitter's chain of records stands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from breakglass.canonical import Json
from breakglass.clock import format_maybe, format_time
from breakglass.records.encoding.text_types import ZERO_DIGEST

if TYPE_CHECKING:
    from breakglass.records.kinds.gap import Gap


@dataclass
class SubmitterState:
    """Where one submitter's chain stands, and which of its records may come late.

    ``last_at`` is the latest time of its records that were in time: one that was not (a clock
    that jumped ahead for a moment) must not hold up those that follow.
    """

    next_seq: int = 0
    prev: str = ZERO_DIGEST
    last_at: datetime | None = None
    late: Gap | None = None


@dataclass
class Submitters:
    """The chains by key label, ``name+hex8``, as the ledger counts.

    A key that replaces another begins a chain of its own.
    """

    by_key: dict[str, SubmitterState] = field(default_factory=dict)

    def copied(self) -> Submitters:
        """Return a copy of every chain."""
        return Submitters({name: replace(each) for name, each in self.by_key.items()})

    def trial(self, label: str) -> Submitters:
        """Return a thin copy with the chain of one key label alone."""
        return Submitters({label: replace(self.by_key.get(label, SubmitterState()))})

    def summary(self) -> dict[str, Json]:
        """Return this part of the state as plain JSON."""
        return {
            "submitters": {
                name: {
                    "next_seq": each.next_seq,
                    "prev": each.prev,
                    "last": format_maybe(each.last_at),
                    "late": _late(each.late),
                }
                for name, each in self.by_key.items()
            }
        }


def _late(gap: Gap | None) -> str:
    if gap is None:
        return ""
    return f"{gap.first_seq} {gap.last_seq} {format_time(gap.start)} {format_time(gap.end)}"
