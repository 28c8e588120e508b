"""What the ledger says of gates, as the plain mappings that the deviance room reads.

Each bypass is joined with the person, incident and reason of the intent that opened it; the tallies
come summed by day. Nothing here judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from breakglass.clock import format_time
from breakglass.monitor.history_projection import (
    BypassThen,
    GateReviewThen,
    HistoryProjection,
    Tally,
)
from breakglass.records.fold.state import State
from breakglass.records.grant import Path
from breakglass.records.kinds.intent import Intent
from breakglass.records.statement import Why, parse_request
from breakglass.verdicts.history import midnight


@dataclass(frozen=True)
class GateRecords:
    """A copy of what was recorded of all gates, taken while the follower stood still."""

    bypasses: tuple[BypassThen, ...]
    intents: dict[str, Intent]
    tallies: tuple[Tally, ...]
    reviews: tuple[GateReviewThen, ...]
    gateless: tuple[tuple[datetime, Intent], ...] = ()  # grants whose glass opens no gate

    @property
    def latest(self) -> datetime | None:
        """Time of the newest bypass, review or grant; ``None`` before there is one."""
        times = [each.at for each in self.bypasses] + [each.at for each in self.reviews]
        times += [at for at, _ in self.gateless]
        return max(times, default=None)

    @property
    def gates(self) -> frozenset[str]:
        """Return the names of all gates that were ever heard of."""
        return frozenset(
            [each.gate for each in self.bypasses] + [each.gate for each in self.tallies]
        )

    def told(self) -> Iterator[dict[str, Any]]:
        """Yield one mapping for each bypass, day of passages and review; see ``from_records``."""
        yield from (_bypassed(each, self.intents[each.grant]) for each in self.bypasses)
        yield from map(_passages, self.tallies)
        yield from map(_reviewed, self.reviews)
        yield from (_broken(at, intent) for at, intent in self.gateless)


def gate_records(chronicle: HistoryProjection, state: State) -> GateRecords:
    """Copy what the records say of gates; called under the view's lock, and quick."""
    bypasses = tuple(each for gate in chronicle.bypasses.values() for each in gate)
    intents = {each.grant: state.grants.by_id[each.grant].intent for each in bypasses}
    tallies = tuple(chronicle.tallies.values())
    grants = state.grants.by_id.values()
    gateless = tuple((each.at, each.intent) for each in grants if not each.intent.gates)
    return GateRecords(bypasses, intents, tallies, tuple(chronicle.gate_reviews), gateless)


def _bypassed(then: BypassThen, intent: Intent) -> dict[str, Any]:
    why = _why(intent.statements[0].text)
    return {
        "kind": "bypassed",
        "id": f"entry-{then.index}",
        "time": format_time(then.at),
        "gate": then.gate,
        "person": intent.who,
        "incident": intent.incident,
        "reason": why.text,
        "reason_code": why.code,
        "drill": then.drill,
        "machine": intent.path is Path.MACHINE,
    }


def _broken(at: datetime, intent: Intent) -> dict[str, Any]:
    return {
        "kind": "broken",
        "id": intent.grant,
        "time": format_time(at),
        "gate": intent.glass,
        "person": intent.who,
        "incident": intent.incident,
        "drill": intent.path is Path.DRILL,
        "machine": intent.path is Path.MACHINE,
    }


@lru_cache(maxsize=65_536)
def _why(text: str) -> Why:
    # The fold has read and checked this statement; one grant may open its gates many times.
    return parse_request(text).reason


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
