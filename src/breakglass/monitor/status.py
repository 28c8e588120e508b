"""How a monitor stands, in one answer: what it believes, what it hears of others, what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from breakglass.clock import format_time
from breakglass.monitor.alerts.outbox import ChannelView
from breakglass.strict_json import view

if TYPE_CHECKING:
    from breakglass.monitor.app import Monitor


@dataclass(frozen=True)
class PulseView:
    """When the last pulse was recorded, or empty; and why the next one was not."""

    last: str
    trouble: str


@dataclass(frozen=True)
class HeadView:
    """The head that a party showed last, in entries, or why it showed none."""

    size: int
    error: str


@dataclass(frozen=True)
class WrongView:
    """Records that nobody may write, decisions that do not hold, and records that are overdue."""

    forbidden: tuple[str, ...]
    unjustified: Mapping[str, str]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Status:
    """See ``docs/reference/processes.md``."""

    size: int
    live: bool
    broken: str
    evidence: tuple[str, ...]
    ledger: str
    pulse: PulseView
    clock_behind_s: float
    channels: Mapping[str, ChannelView]
    heads: Mapping[str, HeadView]
    heads_kept: int
    void: int
    wrong: WrongView
    overdue_reviews: int
    chronicle: str


def status_of(monitor: Monitor) -> Status:
    """Return how a monitor stands now."""
    following, pulsing = monitor.following, monitor.pulsing
    away = monitor.view.away
    with monitor.view.reading() as folded:
        size, void = folded.size, folded.void.count
        chronicle = following.chronicle.digest()
        forbidden, unjustified = (
            tuple(following.backlog.kept.forbidden),
            dict(following.unjustified),
        )
    return Status(
        size=size,
        live=following.live,
        broken=monitor.broken,
        evidence=tuple(monitor.kept.evidence),
        ledger=str(away) if away else "",
        pulse=PulseView(format_time(pulsing.last) if pulsing.last else "", pulsing.trouble),
        clock_behind_s=round(monitor.time.offset.total_seconds(), 1),
        channels=monitor.ringing.summary(),
        heads={name: view(HeadView, seen) for name, seen in monitor.comparing.seen.items()},
        heads_kept=monitor.kept.count,
        void=void,
        wrong=WrongView(forbidden, unjustified, dict(monitor.looking.overdue)),
        overdue_reviews=monitor.reviews.overdue(),
        chronicle=chronicle,
    )
