"""What the fold does not keep and reviews need: who was asked, what gates said, what rang.

A grant's history goes when the grant leaves the fold. What people look at for longer stays: one
line a bypass and a grant without gates, what gate reviews decided, and the passages of each gate as
one count a day.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from breakglass.canonical import Json
from breakglass.errors import MalformedError
from breakglass.node.memory_projection import MemoryProjection
from breakglass.records import all_kinds as kinds
from breakglass.records.encoding.whole_form import text_form, written_once
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State
from breakglass.records.grant import Path
from breakglass.records.kinds.alert import Delivery
from breakglass.records.kinds.answered import Reply
from breakglass.records.kinds.asked import Factors
from breakglass.records.kinds.standing import Occasion
from breakglass.records.statement import Why, parse_request
from breakglass.records.trust import Trust

HEARD_KEPT = timedelta(days=30)  # longer than anything that an outbox could ring again


class Bundle(bytes):
    """A policy bundle's bytes, up to 6 MiB: written once, however many grants were under it."""

    def form(self) -> Json:
        """Return the bytes in base64."""
        return base64.b64encode(self).decode()

    @classmethod
    def read_form(cls, form: Json) -> Bundle:
        """Read what ``form`` returned.

        Raises:
            MalformedError: no base64.
        """
        try:
            return cls(base64.b64decode(text_form(form), validate=True))
        except binascii.Error as error:
            raise MalformedError("a bundle: no base64") from error


NO_BUNDLE = Bundle()


@dataclass(frozen=True)
class AskedThen:
    """What a broker wrote of an ask, without the words that were signed."""

    path: Path
    from_: str
    factors: Factors


@dataclass(frozen=True)
class AnsweredThen:
    """What became of an ask: the answer, and how many pages were delivered before it."""

    reply: Reply
    pages: int


@dataclass(frozen=True)
class IncidentThen:
    """An incident as it stood when the glass was broken, as far as a person had signed it.

    ``vouched`` is false where nobody had; ``claimed`` is what the broker alone says beside that.
    """

    incident: str
    severity: str
    title: str
    self_declared: bool
    open: bool
    vouched: bool = True
    claimed: str = ""

    @property
    def standing(self) -> str:
        """What a reader must know of it: whose word it is; empty where nothing is to be said."""
        if not self.vouched:
            return "the broker's word alone, which counts for nothing"
        told = "self-declared" if self.self_declared else ""
        claimed = f"the broker alone says {self.claimed}" if self.claimed else ""
        return "; ".join(each for each in (told, claimed) if each)


@written_once
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
class GatelessThen:
    """One grant of a glass that opens no gate: nothing else counts how often it is broken."""

    grant: str
    at: datetime
    glass: str
    who: str
    incident: str
    path: Path


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


@dataclass(frozen=True)
class GrantHistory:
    """What the records say of one grant beside its ``GrantState``; a change makes another one.

    ``bundle`` and ``trust`` are those in force when the glass was broken, ``why`` what its breaker
    signed, ``witnessed`` when the intent's head was cosigned: long after the intent's own time, at
    the custodians' door.
    """

    grant: str
    bundle: Bundle = NO_BUNDLE
    trust: Trust | None = None
    asked: AskedThen | None = None
    asked_at: datetime | None = None
    answers: tuple[AnsweredThen, ...] = ()
    incident: IncidentThen | None = None
    witnessed: datetime | None = None
    why: Why | None = None
    minted: kinds.Minted | None = None
    dead: kinds.Dead | None = None
    bypasses: tuple[BypassThen, ...] = ()
    surveys: tuple[kinds.Standing, ...] = ()


@dataclass
class History:
    """All of it, by grant, gate, or gate and day.

    ``heard`` are the (channel, key) of deliveries that the ledger knows, with when it was told.
    ``unfinished`` are grants that some record must still follow. ``bundle`` is the one in force,
    ``day`` the last one on which the fold's own time entered another. ``surveys`` are the newest of
    each target and the one before it; ``surveyed`` are the grants that became usable behind a first
    one, and since when they are over: a look at what each left is due then.
    """

    grants: dict[str, GrantHistory] = field(default_factory=dict)
    bypasses: dict[str, list[BypassThen]] = field(default_factory=dict)
    tallies: dict[tuple[str, date], Tally] = field(default_factory=dict)
    gate_reviews: list[GateReviewThen] = field(default_factory=list)
    gateless: list[GatelessThen] = field(default_factory=list)
    heard: dict[tuple[str, str], datetime] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    cards_index: int = -1
    bundle: Bundle = NO_BUNDLE
    day: date | None = None
    surveys: dict[str, tuple[kinds.Standing, ...]] = field(default_factory=dict)
    surveyed: dict[str, datetime | None] = field(default_factory=dict)


class HistoryProjection(MemoryProjection[History]):
    """A projection; read under the view's lock."""

    def __init__(self) -> None:
        super().__init__("history", History)

    def of(self, grant: str) -> GrantHistory:
        """Return a grant's history, empty if nothing was said of it."""
        return self.kept.grants.get(grant) or GrantHistory(grant)

    def take(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take the next entry."""
        if judged.record is not None and judged.holds:
            self._take(judged.record.body, judged, entry, state)
        self._let_go(state)

    def _take(self, body: object, judged: Judged, entry: Entry, state: State) -> None:
        assert judged.record is not None
        kept, at = self.kept, judged.record.envelope.at
        match body:
            case kinds.Policy():
                kept.bundle = Bundle(state.governance.bundle)
            case kinds.Asked():
                asked = AskedThen(body.path, body.from_, body.factors)
                self._change(body.grant, asked=asked, asked_at=at)
            case kinds.Answered():
                answer = AnsweredThen(body.reply, len(body.pages))
                self._change(body.grant, answers=(*self.of(body.grant).answers, answer))
            case kinds.Intent():
                kept.unfinished.add(body.grant)
                if not body.gates:
                    then = GatelessThen(
                        body.grant, at, body.glass, body.who, body.incident, body.path
                    )
                    kept.gateless.append(then)
                self._change(
                    body.grant,
                    incident=incident_then(state, body.incident),
                    bundle=kept.bundle,
                    trust=state.governance.trust,
                    witnessed=max(entry.cosigned.values(), default=None),
                    why=parse_request(body.statements[0].text).reason,
                )
            case kinds.Minted():
                self._change(body.grant, minted=body)
            case kinds.Usable():
                if state.grants.by_id[body.grant].minter in kept.surveys:
                    kept.surveyed[body.grant] = None
            case kinds.Dead():
                self._change(body.grant, dead=body)
                kept.unfinished.discard(body.grant)
                if body.grant in kept.surveyed:
                    kept.surveyed[body.grant] = state.witnessed or at
            case kinds.Standing():
                kept.surveys[body.target] = (body, *kept.surveys.get(body.target, ())[:1])
                for grant in body.grant:
                    self._change(grant, surveys=(*self.of(grant).surveys, body))
                    if body.occasion is Occasion.ENDED:
                        kept.surveyed.pop(grant, None)
            case kinds.Ended() if state.grants.by_id[body.grant].minted_at is None:
                kept.unfinished.discard(body.grant)
            case kinds.Bypassed():
                bypass = self._bypass(body, judged.index, at, state)
                self._change(body.grant, bypasses=(*self.of(body.grant).bypasses, bypass))
                kept.bypasses.setdefault(body.gate, []).append(bypass)
            case kinds.Passages():
                key = (body.gate, body.start.astimezone(UTC).date())
                kept.tallies[key] = kept.tallies.get(key, Tally(*key)).plus(body)
            case kinds.GateReviewed():
                ident = judged.record.envelope.id
                kept.gate_reviews.append(GateReviewThen(judged.index, ident, at, body))
            case kinds.Alert() if body.delivery is Delivery.DELIVERED:
                kept.heard[body.channel, f"{body.subject}/{body.index}"] = state.witnessed or at
            case kinds.Cards():
                kept.cards_index = judged.index
            case _:
                pass

    def _change(self, grant: str, **changes: Any) -> None:
        self.kept.grants[grant] = replace(self.of(grant), **changes)

    def _bypass(self, body: kinds.Bypassed, index: int, at: datetime, state: State) -> BypassThen:
        grant = state.grants.by_id[body.grant]
        return BypassThen(
            index,
            at,
            body.gate,
            body.grant,
            body.run,
            body.state.value,
            body.detail,
            grant.path is Path.DRILL,
            grant.who,
            grant.incident,
            self.of(body.grant).why,
            grant.path is Path.MACHINE,
        )

    def _let_go(self, state: State) -> None:
        """Drop what the fold has dropped; when its own time enters another day, as it does."""
        now, kept = state.witnessed, self.kept
        if now is None or now.date() == kept.day:
            return
        kept.day = now.date()
        here, asked = state.grants.by_id, state.grants.asked
        for name in [each for each in kept.grants if each not in here and each not in asked]:
            del kept.grants[name]
            kept.unfinished.discard(name)
            kept.surveyed.pop(name, None)
        kept.heard = {key: at for key, at in kept.heard.items() if now - at <= HEARD_KEPT}


def incident_then(state: State, incident: str) -> IncidentThen | None:
    """Return an incident as it stands now, as far as a person signed it; none if it is not here."""
    found = state.incidents.by_id.get(incident)
    if found is None:
        return None
    then, claimed = found.vouched, ""
    if then is not None and (then.severity, then.open) != (found.severity, found.open):
        claimed = f"{found.severity}, {'open' if found.open else 'closed'}"
    shown = then or found
    return IncidentThen(
        shown.incident,
        shown.severity,
        shown.title,
        shown.self_declared,
        shown.open,
        then is not None,
        claimed,
    )
