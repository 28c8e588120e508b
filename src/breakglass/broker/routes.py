"""The broker's routes: bytes in, one story called, JSON out; nothing is decided here."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi import FastAPI

from breakglass.broker.doors.asking import DoorAsking, SignedNote, TokenBody
from breakglass.broker.doors.returning import DoorReturning
from breakglass.broker.governance.activating import Activating, PolicyBody, TrustBody
from breakglass.broker.governance.stopping import Stopping
from breakglass.broker.grants.breaking import Breaking
from breakglass.broker.grants.ending import DoneBody, EndingEarly
from breakglass.broker.grants.reporting import (
    glasses_json,
    grant_json,
    granted_json,
    incidents_json,
    token_json,
)
from breakglass.broker.grants.request import BreakBody, break_request
from breakglass.broker.grants.tokens import Tokens, standing
from breakglass.broker.incidents.declaring import Declaring, StatementBody
from breakglass.broker.minters import Minters
from breakglass.broker.policies import Policies
from breakglass.clock import Clock
from breakglass.errors import MalformedError, RefusedError
from breakglass.http.answering import Answer, Asked, Handler, json_answer, route
from breakglass.node.catching_up import CatchingUp
from breakglass.node.view import LedgerView
from breakglass.records.encoding.shape import read_body
from breakglass.records.kinds import KeyHandedOver
from breakglass.token.token import BYTES_AT_MOST

_STATEMENT_BYTES = 64 * 1024
_POLICY_BYTES = 8 * 1024 * 1024
_CURRENT_WITHIN = timedelta(seconds=2)


@dataclass(frozen=True)
class Stories:
    """What the routes call."""

    view: LedgerView
    catching_up: CatchingUp
    policies: Policies
    tokens: Tokens
    minters: Minters
    breaking: Breaking
    ending: EndingEarly
    declaring: Declaring
    stopping: Stopping
    activating: Activating
    doors: DoorAsking
    returning: DoorReturning
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

        def waiting(asked: Asked) -> Answer:
            self.stories.catching_up.require(_CURRENT_WITHIN)
            # Nothing that we record now may come between a door and the moment it was used in.
            self.stories.returning.first()
            return handler(asked)

        return waiting

    def glasses(self, asked: Asked) -> Answer:
        with self.stories.view.reading() as state:
            try:
                policy = self.stories.policies.in_force(state)
            except RefusedError:
                policy = None  # there is none yet, and so no glass
            return json_answer(glasses_json(state, policy))

    def break_glass(self, asked: Asked) -> Answer:
        request = break_request(read_body(BreakBody, asked.body))
        return json_answer(granted_json(self.stories.breaking.break_glass(request)))

    def declare(self, asked: Asked) -> Answer:
        return json_answer(self.stories.declaring.declare(read_body(StatementBody, asked.body)))

    def incidents(self, asked: Asked) -> Answer:
        with self.stories.view.reading() as state:
            return json_answer(incidents_json(state))

    def done(self, asked: Asked) -> Answer:
        return json_answer(self.stories.ending.done(read_body(DoneBody, asked.body)))

    def kill(self, asked: Asked) -> Answer:
        return json_answer(self.stories.stopping.kill(read_body(StatementBody, asked.body)))

    def grants(self, asked: Asked) -> Answer:
        now = self.stories.clock.now()
        with self.stories.view.reading() as state:
            found = [grant_json(each, now) for each in state.grants.values()]
        return json_answer({"grants": sorted(found, key=lambda each: -each["index"])})

    def grant(self, asked: Asked) -> Answer:
        with self.stories.view.reading() as state:
            grant = standing(state.grants, asked.path["grant"])
            return json_answer(grant_json(grant, self.stories.clock.now()))

    def token(self, asked: Asked) -> Answer:
        with self.stories.view.reading() as state:
            grant = standing(state.grants, asked.path["grant"])
        return json_answer(token_json(self.stories.tokens.token(grant)))

    def credential(self, asked: Asked) -> Answer:
        with self.stories.view.reading() as state:
            grant = standing(state.grants, asked.path["grant"])
        minter = grant.intent.minter
        if not minter:
            raise RefusedError(
                f"grant {grant.intent.grant!r} has no credential; its token is all of it",
                name="no_credential",
            )
        return json_answer(self.stories.minters.credential(minter, grant.intent.grant))

    def policy(self, asked: Asked) -> Answer:
        body = read_body(PolicyBody, asked.body)
        try:
            bundle = base64.b64decode(body.bundle, validate=True)
        except (binascii.Error, ValueError) as error:
            raise MalformedError("request.bundle: base64 is broken", name="bad_base64") from error
        return json_answer(self.stories.activating.policy(body, bundle))

    def key(self, asked: Asked) -> Answer:
        body = read_body(KeyHandedOver, asked.body)
        return json_answer(self.stories.activating.key(body))

    def trust(self, asked: Asked) -> Answer:
        return json_answer(self.stories.activating.trust(read_body(TrustBody, asked.body)))

    def ask_custodians(self, asked: Asked) -> Answer:
        request = break_request(read_body(BreakBody, asked.body))
        return json_answer(self.stories.doors.ask(request))

    def signed_by_custodians(self, asked: Asked) -> Answer:
        body = read_body(SignedNote, asked.body)
        return json_answer(self.stories.doors.sign(asked.path["grant"], body))

    def mint_by_door(self, asked: Asked) -> Answer:
        body = read_body(TokenBody, asked.body)
        return json_answer(self.stories.doors.mint(asked.path["grant"], body.token))

    def custodians_doors(self, asked: Asked) -> Answer:
        return json_answer(self.stories.doors.listing())

    def custodians_door(self, asked: Asked) -> Answer:
        return json_answer(self.stories.doors.find(asked.path["grant"]))

    def state(self, asked: Asked) -> Answer:
        with self.stories.view.reading() as state:
            summary: dict[str, Any] = state.summary()
            found = {"size": state.size, "digest": state.digest(), "summary": summary}
            return json_answer(found)

    def health(self, asked: Asked) -> Answer:
        with self.stories.view.reading() as state:
            ready = state.trust is not None and self.stories.catching_up.current
        away = self.stories.view.away
        return json_answer(
            {"ok": ready, "size": self.stories.view.size, "ledger": str(away) if away else ""}
        )
