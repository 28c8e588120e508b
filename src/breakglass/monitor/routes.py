"""What the monitor answers over HTTP (docs/reference/processes.md).

Nothing here changes it but one call: what a gate review decided, signed by a person.
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
from breakglass.monitor.reviews.record import ReviewLine, ReviewView
from breakglass.monitor.reviews.review_yaml import yaml_text
from breakglass.monitor.status import Status, status_of
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
    ``kinds`` is the newest set of kinds that it knows.
    """

    ok: bool
    size: int
    of: int
    current: bool
    broken: str
    kinds: int


def routes(monitor: Monitor) -> list[Route]:
    """Return the table over one monitor."""

    def reviews(who: Nobody, asked: Request[None]) -> Reviews:
        found = monitor.reviews.listed()
        lines = tuple(view(ReviewLine, each, each.record) for each in found)
        return Reviews(lines, sum(each.overdue for each in found))

    def review(who: Nobody, asked: Request[None]) -> ReviewView:
        found = monitor.reviews.one(asked.path["grant"])
        record = dict(found.record.items())
        return view(ReviewView, found, found.record, record=record, yaml=yaml_text(found))

    def review_yaml(who: Nobody, asked: Request[None]) -> Response:
        return text_response(yaml_text(monitor.reviews.one(asked.path["grant"])))

    def gate_reviewed(who: Nobody, asked: Request[ReviewedBody]) -> GateReviewView:
        return monitor.gate_reviewing.review(asked.path["gate"], asked.body)

    def alarms(who: Nobody, asked: Request[None]) -> Alarms:
        most = max(1, min(asked.number("most", 200), 1000))
        return Alarms(tuple(monitor.ringing.listing(most)))

    def healthz(who: Nobody, asked: Request[None]) -> Response:
        broken = monitor.broken
        size, known = monitor.view.size, monitor.view.known
        # It goes live without the last entries where a ledger keeps it waiting.
        current = monitor.following.live and size >= known
        return json_response(
            Health(not broken, size, known, current, broken, kind_sets.NEWEST),
            503 if broken else 200,
        )

    return [
        get("/reviews", nobody, reviews, Reviews),
        get("/reviews/{grant}", nobody, review, ReviewView),
        get("/reviews/{grant}/yaml", nobody, review_yaml, Response),
        get("/gates", nobody, lambda who, asked: monitor.gates.listed(), GatesView),
        get("/gates/history", nobody, lambda who, asked: monitor.gates.exported(), HistoryView),
        post(
            "/gates/{gate}/reviewed",
            nobody,
            ReviewedBody,
            gate_reviewed,
            GateReviewView,
            _STATEMENT_BYTES,
        ),
        get("/alarms", nobody, alarms, Alarms),
        get("/state", nobody, lambda who, asked: state_view(monitor.view), StateView),
        get("/status", nobody, lambda who, asked: status_of(monitor), Status),
        get("/healthz", nobody, healthz, Response),
    ]
