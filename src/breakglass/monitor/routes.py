"""What the monitor answers over HTTP (docs/reference/processes.md).

Nothing here changes it but one call: what a gate review decided, signed by a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.responses import Response as StarletteResponse

from breakglass.clock import format_time
from breakglass.http.routes import Request, Response, json_response, route
from breakglass.monitor.gates.gate_reviews import ReviewedBody
from breakglass.monitor.reviews.review_yaml import yaml_text
from breakglass.strict_json import read_body

if TYPE_CHECKING:
    from breakglass.monitor.app import Monitor

_STATEMENT_BYTES = 64 * 1024


def make_app(monitor: Monitor) -> FastAPI:
    """Return the routes over one monitor."""
    app = FastAPI(title="breakglass monitor", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/reviews")
    def reviews() -> dict[str, Any]:
        found = monitor.reviews.listed()
        return {
            "reviews": [review.summary() for review in found],
            "overdue": sum(review.overdue for review in found),
        }

    @app.get("/reviews/{grant}")
    def review(grant: str) -> dict[str, Any]:
        found = monitor.reviews.one(grant)
        return {**found.json(), "yaml": yaml_text(found)}

    @app.get("/reviews/{grant}/yaml")
    def review_yaml(grant: str) -> StarletteResponse:
        return PlainTextResponse(yaml_text(monitor.reviews.one(grant)))

    @app.get("/gates")
    def gates() -> dict[str, Any]:
        return monitor.gates.listed()

    @app.get("/gates/history")
    def gates_history() -> dict[str, Any]:
        return monitor.gates.exported()

    def gate_reviewed(asked: Request) -> Response:
        body = read_body(ReviewedBody, asked.body)
        return json_response(monitor.gate_reviewing.review(asked.path["gate"], body))

    # Our own route form: the body is read strictly by us, capped before it is read whole.
    path = "/gates/{gate}/reviewed"
    app.router.routes.append(route("POST", path, gate_reviewed, body_at_most=_STATEMENT_BYTES))

    @app.get("/alarms")
    def alarms(most: int = 200) -> dict[str, Any]:
        return {"alarms": monitor.ringing.listing(max(1, min(most, 1000)))}

    @app.get("/state")
    def state() -> dict[str, Any]:
        with monitor.view.reading() as folded:
            return {"size": folded.size, "digest": folded.digest(), "summary": folded.summary()}

    @app.get("/status")
    def status() -> dict[str, Any]:
        return _status(monitor)

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        broken = monitor.broken
        value = {"ok": not broken, "size": monitor.view.size, "broken": broken}
        return JSONResponse(value, 503 if broken else 200)

    return app


def _status(monitor: Monitor) -> dict[str, Any]:
    following, pulsing = monitor.following, monitor.pulsing
    away = monitor.view.away
    with monitor.view.reading() as folded:
        size, void = folded.size, len(folded.void)
        chronicle = following.chronicle.digest()
        forbidden, unjustified = list(following.found.forbidden), dict(following.found.unjustified)
    return {
        "size": size,
        "live": following.live,
        "broken": monitor.broken,
        "evidence": list(monitor.kept.evidence),
        "ledger": str(away) if away else "",
        "pulse": {
            "last": format_time(pulsing.last) if pulsing.last else "",
            "trouble": pulsing.trouble,
        },
        "clock_behind_s": round(monitor.time.offset.total_seconds(), 1),
        "channels": monitor.ringing.summary(),
        "heads": {
            name: {"size": seen.size, "error": seen.error}
            for name, seen in monitor.comparing.seen.items()
        },
        "heads_kept": monitor.kept.count,
        "void": void,
        "wrong": {
            "forbidden": forbidden,
            "unjustified": unjustified,
            "missing": dict(monitor.looking.overdue),
        },
        "overdue_reviews": monitor.reviews.overdue(),
        "chronicle": chronicle,
    }
