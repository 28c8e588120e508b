"""What the monitor answers over HTTP (docs/reference/processes.md).

Nothing here changes it but what a person signed: a gate review, what they say of their own
channels, and copies of what they handed in at a broker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from breakglass.http.routes import (
    Nobody,
    Request,
    Response,
    Route,
    get,
    json_response,
    nobody,
    post,
    text_response,
)
from breakglass.monitor.alerts.outbox import MessageView
from breakglass.monitor.gates.gate_reviews import GateReviewView, ReviewedBody
from breakglass.monitor.gates.gate_status import GatesView, HistoryView
from breakglass.monitor.people.copies import CopyBody, KeptView
from breakglass.monitor.people.own_channels import MeBody, MeView
from breakglass.monitor.reviews.record import Review, ReviewLine, ReviewView
from breakglass.monitor.reviews.review_yaml import yaml_text
from breakglass.monitor.status import Status, status_of
from breakglass.node.readers import KnownReader, PersonReading, reads_review, refused
from breakglass.node.views import StateView, state_view
from breakglass.records import kind_sets
from breakglass.strict_json import view

if TYPE_CHECKING:
    from breakglass.monitor.app import Monitor

_STATEMENT_BYTES = 64 * 1024


@dataclass(frozen=True)
class Reviews:
    """Every open review, the first due first, and how many are overdue."""

    reviews: tuple[ReviewLine, ...]
    overdue: int


@dataclass(frozen=True)
class Alarms:
    """The newest messages of all channels, newest first."""

    alarms: tuple[MessageView, ...]


@dataclass(frozen=True)
class Health:
    """How far it has read the ledger: ``size`` entries ``of`` those known; ``current`` once live.

    ``broken`` is why this monitor trusts the ledger no more, or empty; then the status is 503.
    ``kinds`` is the newest set of kinds that it knows, ``keys`` are those for which requests to it
    are signed.
    """

    ok: bool
    size: int
    of: int
    current: bool
    broken: str
    kinds: int
    keys: tuple[str, ...]


def routes(monitor: Monitor) -> list[Route]:
    """Return the table over one monitor."""
    who = monitor.readers

    def reviews(who: KnownReader, asked: Request[None]) -> Reviews:
        shown = monitor.reviews.listed(lambda state, grant: reads_review(state, who, grant))
        lines = tuple(view(ReviewLine, each, each.record) for each in shown)
        return Reviews(lines, sum(each.overdue for each in shown))

    def read_review(who: KnownReader, grant: str) -> Review:
        with monitor.view.reading() as state:
            found = state.grants.by_id.get(grant)
            if found is not None and not reads_review(state, who, found):
                raise refused(f"the review of {grant!r}")
        return monitor.reviews.one(grant)

    def review(who: KnownReader, asked: Request[None]) -> ReviewView:
        found = read_review(who, asked.path["grant"])
        record = dict(found.record.items())
        return view(ReviewView, found, found.record, record=record, yaml=yaml_text(found))

    def review_yaml(who: KnownReader, asked: Request[None]) -> Response:
        return text_response(yaml_text(read_review(who, asked.path["grant"])))

    def gate_reviewed(who: Nobody, asked: Request[ReviewedBody]) -> GateReviewView:
        return monitor.gate_reviewing.review(asked.path["gate"], asked.body)

    def alarms(who: KnownReader, asked: Request[None]) -> Alarms:
        most = max(1, min(asked.number("most", 200), 1000))
        return Alarms(tuple(monitor.ringing.listing(most)))

    def gates(who: KnownReader, asked: Request[None]) -> GatesView:
        return monitor.gates.listed()

    def history(who: KnownReader, asked: Request[None]) -> HistoryView:
        return monitor.gates.exported()

    def state(who: KnownReader, asked: Request[None]) -> StateView:
        return state_view(monitor.view)

    def status(who: KnownReader, asked: Request[None]) -> Status:
        return status_of(monitor)

    def healthz(who: Nobody, asked: Request[None]) -> Response:
        broken = monitor.broken
        size, known = monitor.view.size, monitor.view.known
        # It goes live without the last entries where a ledger keeps it waiting.
        current = monitor.following.live and size >= known
        return json_response(
            Health(
                not broken,
                size,
                known,
                current,
                broken,
                kind_sets.NEWEST,
                monitor.process.check.keys,
            ),
            503 if broken else 200,
        )

    def say_me(who: Nobody, asked: Request[MeBody]) -> MeView:
        return monitor.me.take(asked.body)

    def me(who: KnownReader, asked: Request[None]) -> MeView:
        if not isinstance(who, PersonReading):
            raise refused("what belongs to a person")
        return monitor.me.shown(who.who)

    def copy(who: Nobody, asked: Request[CopyBody]) -> KeptView:
        return monitor.copies.take(asked.body)

    return [
        get("/reviews", who.known, reviews, Reviews),
        get("/reviews/{grant}", who.known, review, ReviewView),
        get("/reviews/{grant}/yaml", who.known, review_yaml, Response),
        get("/gates", who.known, gates, GatesView),
        get("/gates/history", who.known, history, HistoryView),
        post(
            "/gates/{gate}/reviewed",
            nobody,
            ReviewedBody,
            gate_reviewed,
            GateReviewView,
            _STATEMENT_BYTES,
        ),
        get("/me", who.known, me, MeView),
        post("/me", nobody, MeBody, say_me, MeView, _STATEMENT_BYTES),
        post("/copies", nobody, CopyBody, copy, KeptView, _STATEMENT_BYTES),
        get("/alarms", who.reads_all, alarms, Alarms),
        get("/state", who.all_or_trusted, state, StateView),
        get("/status", who.known, status, Status),
        get("/healthz", nobody, healthz, Response),
    ]
