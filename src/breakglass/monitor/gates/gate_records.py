"""What the ledger says of gates, as the plain mappings that the deviance room reads.

Each bypass is joined with the person, incident and reason of the intent that opened it; the tallies
come summed by day. Nothing here judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from breakglass.clock import format_time
from breakglass.monitor.history_projection import (
    BypassThen,
    GatelessThen,
    GateReviewThen,
    HistoryProjection,
    Tally,
)
from breakglass.records.grant import Path
from breakglass.verdicts.history import midnight


@dataclass(frozen=True)
class GateRecords:
    """A copy of what was recorded of all gates, taken while the follower stood still."""

    bypasses: tuple[BypassThen, ...]
    tallies: tuple[Tally, ...]
    reviews: tuple[GateReviewThen, ...]
    gateless: tuple[GatelessThen, ...] = ()

    @property
    def latest(self) -> datetime | None:
        """Time of the newest bypass, review or grant; ``None`` before there is one."""
        times = [each.at for each in self.bypasses] + [each.at for each in self.reviews]
        times += [each.at for each in self.gateless]
        return max(times, default=None)

    @property
    def gates(self) -> frozenset[str]:
        """Return the names of all gates that were ever heard of."""
        return frozenset(
            [each.gate for each in self.bypasses] + [each.gate for each in self.tallies]
        )

    def told(self) -> Iterator[dict[str, Any]]:
        """Yield one mapping for each bypass, day of passages and review; see ``from_records``."""
        yield from map(_bypassed, self.bypasses)
        yield from map(_passages, self.tallies)
        yield from map(_reviewed, self.reviews)
        yield from map(_broken, self.gateless)


def gate_records(chronicle: HistoryProjection) -> GateRecords:
    """Copy what the records say of gates; called under the view's lock, and quick."""
    kept = chronicle.kept
    bypasses = tuple(each for gate in kept.bypasses.values() for each in gate)
    return GateRecords(
        bypasses, tuple(kept.tallies.values()), tuple(kept.gate_reviews), tuple(kept.gateless)
    )


def _bypassed(then: BypassThen) -> dict[str, Any]:
    return {
        "kind": "bypassed",
        "id": f"entry-{then.index}",
        "time": format_time(then.at),
        "gate": then.gate,
        "person": then.who,
        "incident": then.incident,
        "reason": then.why.text if then.why else "",
        "reason_code": then.why.code if then.why else "",
        "drill": then.drill,
        "machine": then.machine,
    }


def _broken(then: GatelessThen) -> dict[str, Any]:
    return {
        "kind": "broken",
        "id": then.grant,
        "time": format_time(then.at),
        "gate": then.glass,
        "person": then.who,
        "incident": then.incident,
        "drill": then.path is Path.DRILL,
        "machine": then.path is Path.MACHINE,
    }


def _passages(tally: Tally) -> dict[str, Any]:
    return {
        "kind": "passages",
        "id": f"{tally.gate}/{tally.day}",
        "gate": tally.gate,
        "start": format_time(midnight(tally.day)),
        "passed": tally.passed,
        "blocked": tally.blocked,
        "could_not_evaluate": tally.could_not_evaluate,
        "bypassed": tally.bypassed,
        "sanctioned": tally.sanctioned,
    }


def _reviewed(then: GateReviewThen) -> dict[str, Any]:
    body = then.body
    return {
        "kind": "gate_reviewed",
        "id": then.id,
        "at": format_time(then.at),
        "gate": body.gate,
        "verdict": body.verdict.value,
        "decision": body.decision,
        "by": body.by,
        "look_again": format_time(body.look_again),
    }
