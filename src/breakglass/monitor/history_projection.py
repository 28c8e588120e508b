"""What the fold does not keep and reviews need: who was asked, what gates said, what rang.

Like the fold it is thrown away and made again from records; it changes by ``take`` alone, once
for each record that holds, in order.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from breakglass.canonical import Json, canonical
from breakglass.clock import format_time
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State
from breakglass.records.grant import Path
from breakglass.records.kinds.alert import Delivery
from breakglass.records.statement import Why, parse_request
from breakglass.records.trust import Trust


@dataclass(frozen=True)
class IncidentThen:
    """An incident as it stood when the glass was broken."""

    incident: str
    severity: str
    title: str
    self_declared: bool
    open: bool


@dataclass(frozen=True)
class BypassThen:
    """One bypass with what the gate said of itself, and who opened it for what."""

    index: int
    at: datetime
    gate: str
    grant: str
    run: str
    state: str
    detail: str
    drill: bool
    who: str = ""
    incident: str = ""
    why: Why | None = None
    machine: bool = False


@dataclass(frozen=True)
class Tally:
    """The passages of one gate whose windows began on one day, UTC, summed: counts of runs.

    By day, since a gate may tally every minute for years and nobody reads it finer.
    """

    gate: str
    day: date
    passed: int = 0
    blocked: int = 0
    could_not_evaluate: int = 0
    bypassed: int = 0
    sanctioned: int = 0

    def plus(self, body: kinds.Passages) -> Tally:
        """Return the tally with one more window in it."""
        return replace(
            self,
            passed=self.passed + body.passed,
            blocked=self.blocked + body.blocked,
            could_not_evaluate=self.could_not_evaluate + body.could_not_evaluate,
            bypassed=self.bypassed + body.bypassed,
            sanctioned=self.sanctioned + body.sanctioned,
        )


@dataclass(frozen=True)
class GateReviewThen:
    """What one gate review decided, and where the ledger says so."""

    index: int
    id: str
    at: datetime
    body: kinds.GateReviewed


@dataclass
class GrantHistory:
    """What the records say of one grant beside its ``GrantState``.

    ``bundle`` and ``trust`` are those in force when the glass was broken, ``why`` what its breaker
    signed.
    """

    grant: str
    bundle: bytes = b""
    trust: Trust | None = None
    asked: kinds.Asked | None = None
    asked_at: datetime | None = None
    answers: list[kinds.Answered] = field(default_factory=list)
    incident: IncidentThen | None = None
    witnessed: datetime | None = None
    why: Why | None = None
    minted: kinds.Minted | None = None
    dead: kinds.Dead | None = None
    bypasses: list[BypassThen] = field(default_factory=list)


@dataclass
class HistoryProjection:
    """See the module. ``heard`` holds (channel, key) of every delivery that the ledger knows."""

    grants: dict[str, GrantHistory] = field(default_factory=dict)
    bypasses: dict[str, list[BypassThen]] = field(default_factory=lambda: defaultdict(list))
    tallies: dict[tuple[str, date], Tally] = field(default_factory=dict)
    gate_reviews: list[GateReviewThen] = field(default_factory=list)
    heard: set[tuple[str, str]] = field(default_factory=set)
    unfinished: set[str] = field(default_factory=set)
    cards_index: int = -1

    def take(self, judged: Judged, state: State, witnessed: datetime | None = None) -> None:
        """Remember a record that holds; ``state`` is the fold with the record in it.

        ``witnessed`` is when its head was cosigned: long after its own time, at the custodians'
        door.
        """
        if judged.record is None or not judged.holds:
            return
        body, at = judged.record.body, judged.record.envelope.at
        match body:
            case kinds.Asked():
                history = self.of(body.grant)
                history.asked, history.asked_at = body, at
            case kinds.Answered():
                self.of(body.grant).answers.append(body)
            case kinds.Intent():
                history = self.of(body.grant)
                history.incident = _incident(state, body.incident)
                history.bundle, history.trust = state.governance.bundle, state.governance.trust
                history.witnessed = witnessed
                history.why = parse_request(body.statements[0].text).reason
                self.unfinished.add(body.grant)
            case kinds.Minted():
                self.of(body.grant).minted = body
            case kinds.Dead():
                self.of(body.grant).dead = body
                self.unfinished.discard(body.grant)
            case kinds.Ended() if state.grants.by_id[body.grant].minted_at is None:
                self.unfinished.discard(body.grant)
            case kinds.Bypassed():
                grant, history = state.grants.by_id[body.grant], self.of(body.grant)
                then = BypassThen(
                    judged.index,
                    at,
                    body.gate,
                    body.grant,
                    body.run,
                    body.state.value,
                    body.detail,
                    grant.path is Path.DRILL,
                    grant.who,
                    grant.incident,
                    history.why,
                    grant.path is Path.MACHINE,
                )
                history.bypasses.append(then)
                self.bypasses[body.gate].append(then)
            case kinds.Passages():
                key = (body.gate, body.start.astimezone(UTC).date())
                self.tallies[key] = self.tallies.get(key, Tally(*key)).plus(body)
            case kinds.GateReviewed():
                ident = judged.record.envelope.id
                self.gate_reviews.append(GateReviewThen(judged.index, ident, at, body))
            case kinds.Alert() if body.delivery is Delivery.DELIVERED:
                self.heard.add((body.channel, f"{body.subject}/{body.index}"))
            case kinds.Cards():
                self.cards_index = judged.index
            case _:
                pass

    def of(self, grant: str) -> GrantHistory:
        """Return a grant's history, empty if nothing was said of it."""
        return self.grants.setdefault(grant, GrantHistory(grant))

    def digest(self) -> str:
        """Return the SHA-256 of everything here, to compare with one made from the log again."""
        return hashlib.sha256(canonical(self._summary()).encode()).hexdigest()

    def _summary(self) -> dict[str, Json]:
        return {
            "grants": {grant: _history(each) for grant, each in self.grants.items()},
            "tallies": [
                f"{each.gate} {each.day} {each.passed} {each.blocked} {each.could_not_evaluate}"
                f" {each.bypassed} {each.sanctioned}"
                for each in self.tallies.values()
            ],
            "gate_reviews": [f"{each.index} {each.body.gate}" for each in self.gate_reviews],
            "heard": [" ".join(pair) for pair in sorted(self.heard)],
            "unfinished": sorted(self.unfinished),
            "cards": self.cards_index,
        }


def _incident(state: State, incident: str) -> IncidentThen | None:
    found = state.incidents.by_id.get(incident)
    if found is None:
        return None
    return IncidentThen(
        found.incident, found.severity, found.title, found.self_declared, found.open
    )


def _history(history: GrantHistory) -> dict[str, Json]:
    return {
        "asked": format_time(history.asked_at) if history.asked_at else "",
        "answers": len(history.answers),
        "incident": history.incident.title if history.incident else "",
        "handle": history.minted.handle if history.minted else "",
        "tail_ms": history.dead.tail_ms if history.dead else -1,
        "bypasses": [f"{each.index} {each.gate} {each.state}" for each in history.bypasses],
    }
