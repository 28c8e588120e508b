"""The broker's routes: bytes in, one story called, JSON out; nothing is decided here."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi import FastAPI

from breakglass.broker.door.door_request import Countersigned, DoorRequests, TokenBody
from breakglass.broker.door.door_return import DoorReturn
from breakglass.broker.governance.activation import Activation, PolicyBody, TrustBody
from breakglass.broker.governance.suspension import Suspending
from breakglass.broker.grants.breaking import Breaking
from breakglass.broker.grants.early_end import DoneBody, EndingEarly
from breakglass.broker.grants.grant_views import (
    glasses_json,
    grant_json,
    granted_json,
    incidents_json,
    token_json,
)
from breakglass.broker.grants.request import BreakBody, break_request
from breakglass.broker.grants.tokens import Tokens, standing
from breakglass.broker.incidents.declarations import Declarations, StatementBody
from breakglass.broker.minters import Minters
from breakglass.broker.policies import Policies
from breakglass.clock import Clock
from breakglass.errors import MalformedError, RefusedError
from breakglass.http.routes import Handler, Request, Response, json_response, route
from breakglass.node.catch_up import CatchingUp
from breakglass.node.replica import Replica
from breakglass.records.encoding.strict_json import read_body
from breakglass.records.kinds import KeyHandedOver
from breakglass.token.token import BYTES_AT_MOST

_STATEMENT_BYTES = 64 * 1024
_POLICY_BYTES = 8 * 1024 * 1024
_CURRENT_WITHIN = timedelta(seconds=2)


@dataclass(frozen=True)
class Stories:
    """What the routes call."""

    view: Replica
    catching_up: CatchingUp
    policies: Policies
    tokens: Tokens
    minters: Minters
    breaking: Breaking
    ending: EndingEarly
    declaring: Declarations
    stopping: Suspending
    activating: Activation
    doors: DoorRequests
    returning: DoorReturn
    clock: Clock


def application(stories: Stories) -> FastAPI:
    """Make the application. Its routes are plain functions; each request runs in a thread."""
    app = FastAPI(title="breakglass broker", openapi_url=None)
    doors = _Doors(stories)
    table: list[tuple[str, str, Handler, int]] = [
        ("GET", "/glasses", doors.glasses, 0),
        ("POST", "/break", doors.break_glass, _STATEMENT_BYTES),
        ("POST", "/incidents", doors.declare, _STATEMENT_BYTES),
        ("GET", "/incidents", doors.incidents, 0),
        ("POST", "/done", doors.done, _STATEMENT_BYTES),
        ("POST", "/kill", doors.kill, _STATEMENT_BYTES),
        ("GET", "/grants", doors.grants, 0),
        ("GET", "/grants/{grant}", doors.grant, 0),
        ("GET", "/grants/{grant}/token", doors.token, 0),
        ("GET", "/grants/{grant}/credential", doors.credential, 0),
        ("POST", "/policy", doors.policy, _POLICY_BYTES),
        ("POST", "/trust", doors.trust, _POLICY_BYTES),
        ("GET", "/doors", doors.custodians_doors, 0),
        ("GET", "/doors/{grant}", doors.custodians_door, 0),
        ("POST", "/keys", doors.key, _STATEMENT_BYTES),
        ("GET", "/state", doors.state, 0),
        ("GET", "/healthz", doors.health, 0),
    ]
    # Without a ledger there is nothing to be current with.
    doorway: list[tuple[str, Handler]] = [
        ("/doors", doors.ask_custodians),
        ("/doors/{grant}", doors.signed_by_custodians),
        ("/doors/{grant}/mint", doors.mint_by_door),
    ]
    # Our own route form: the body is read strictly by us, capped before it is read whole.
    app.router.routes.extend(
        route(
            method,
            path,
            doors.when_current(handler) if method == "POST" else handler,
            body_at_most=most,
        )
        for method, path, handler, most in table
    )
    app.router.routes.extend(
        route("POST", path, handler, body_at_most=2 * BYTES_AT_MOST) for path, handler in doorway
    )
    return app


@dataclass(frozen=True)
class _Doors:
    stories: Stories

    def when_current(self, handler: Handler) -> Handler:
        """Return a handler that decides nothing before we have read what the ledger holds."""

        def waiting(asked: Request) -> Response:
            self.stories.catching_up.require(_CURRENT_WITHIN)
            # Nothing that we record now may come between a door and the moment it was used in.
            self.stories.returning.first()
            return handler(asked)

        return waiting

    def glasses(self, asked: Request) -> Response:
        with self.stories.view.reading() as state:
            try:
                policy = self.stories.policies.in_force(state)
            except RefusedError:
                policy = None  # there is none yet, and so no glass
            return json_response(glasses_json(state, policy))

    def break_glass(self, asked: Request) -> Response:
        request = break_request(read_body(BreakBody, asked.body))
        return json_response(granted_json(self.stories.breaking.break_glass(request)))

    def declare(self, asked: Request) -> Response:
        return json_response(self.stories.declaring.declare(read_body(StatementBody, asked.body)))

    def incidents(self, asked: Request) -> Response:
        with self.stories.view.reading() as state:
            return json_response(incidents_json(state))

    def done(self, asked: Request) -> Response:
        return json_response(self.stories.ending.done(read_body(DoneBody, asked.body)))

    def kill(self, asked: Request) -> Response:
        return json_response(self.stories.stopping.kill(read_body(StatementBody, asked.body)))

    def grants(self, asked: Request) -> Response:
        now = self.stories.clock.now()
        with self.stories.view.reading() as state:
            found = [grant_json(each, now) for each in state.grants.values()]
        return json_response({"grants": sorted(found, key=lambda each: -each["index"])})

    def grant(self, asked: Request) -> Response:
        with self.stories.view.reading() as state:
            grant = standing(state.grants, asked.path["grant"])
            return json_response(grant_json(grant, self.stories.clock.now()))

    def token(self, asked: Request) -> Response:
        with self.stories.view.reading() as state:
            grant = standing(state.grants, asked.path["grant"])
        return json_response(token_json(self.stories.tokens.token(grant)))

    def credential(self, asked: Request) -> Response:
        with self.stories.view.reading() as state:
            grant = standing(state.grants, asked.path["grant"])
        minter = grant.intent.minter
        if not minter:
            raise RefusedError(
                f"grant {grant.intent.grant!r} has no credential; its token is all of it",
                name="no_credential",
            )
        return json_response(self.stories.minters.credential(minter, grant.intent.grant))

    def policy(self, asked: Request) -> Response:
        body = read_body(PolicyBody, asked.body)
        try:
            bundle = base64.b64decode(body.bundle, validate=True)
        except (binascii.Error, ValueError) as error:
            raise MalformedError("request.bundle: base64 is broken", name="bad_base64") from error
        return json_response(self.stories.activating.policy(body, bundle))

    def key(self, asked: Request) -> Response:
        body = read_body(KeyHandedOver, asked.body)
        return json_response(self.stories.activating.key(body))

    def trust(self, asked: Request) -> Response:
        return json_response(self.stories.activating.trust(read_body(TrustBody, asked.body)))

    def ask_custodians(self, asked: Request) -> Response:
        request = break_request(read_body(BreakBody, asked.body))
        return json_response(self.stories.doors.ask(request))

    def signed_by_custodians(self, asked: Request) -> Response:
        body = read_body(Countersigned, asked.body)
        request = break_request(BreakBody(body.statement, None))
        if request.grant != asked.path["grant"]:
            raise MalformedError("the statement is of another grant", name="wrong_grant")
        return json_response(self.stories.doors.complete(request, body.countersigned))

    def mint_by_door(self, asked: Request) -> Response:
        body = read_body(TokenBody, asked.body)
        return json_response(self.stories.doors.mint(asked.path["grant"], body.token))

    def custodians_doors(self, asked: Request) -> Response:
        return json_response(self.stories.doors.listing())

    def custodians_door(self, asked: Request) -> Response:
        return json_response(self.stories.doors.find(asked.path["grant"]))

    def state(self, asked: Request) -> Response:
        with self.stories.view.reading() as state:
            summary: dict[str, Any] = state.summary()
            found = {"size": state.size, "digest": state.digest(), "summary": summary}
            return json_response(found)

    def health(self, asked: Request) -> Response:
        with self.stories.view.reading() as state:
            ready = state.trust is not None and self.stories.catching_up.current
        away = self.stories.view.away
        return json_response(
            {"ok": ready, "size": self.stories.view.size, "ledger": str(away) if away else ""}
        )
