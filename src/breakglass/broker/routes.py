"""The broker's routes: one story called for each; nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from breakglass.broker.door.door_request import (
    AskedDoorView,
    Countersigned,
    DoorRequests,
    DoorsView,
    DoorView,
    TokenBody,
)
from breakglass.broker.door.door_return import DoorReturn
from breakglass.broker.governance.activation import (
    Activated,
    Activation,
    HandedOver,
    PolicyBody,
    TrustBody,
)
from breakglass.broker.governance.suspension import Stopped, Suspending
from breakglass.broker.grants.breaking import Breaking
from breakglass.broker.grants.early_end import DoneBody, EndingEarly
from breakglass.broker.grants.grant_views import (
    CardsView,
    Glasses,
    GrantedView,
    Grants,
    GrantView,
    Incidents,
    TokenView,
    cards_of,
    glasses_of,
    grant_view,
    granted_view,
    incidents_of,
)
from breakglass.broker.grants.request import BreakBody, break_request
from breakglass.broker.grants.tokens import Tokens, standing
from breakglass.broker.incidents.declarations import Declarations, Declared, StatementBody
from breakglass.broker.minters import Minters
from breakglass.broker.organisation import JoinView, Organisation
from breakglass.broker.policies import Policies
from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError
from breakglass.http.routes import Given, Nobody, Request, Route, Taken, get, nobody, post
from breakglass.node.catch_up import CatchingUp
from breakglass.node.replica import Replica
from breakglass.node.views import Health, StateView, health, state_view
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.kinds.key import KeyHandedOver
from breakglass.token.token import BYTES_AT_MOST

_STATEMENT_BYTES = 64 * 1024
_POLICY_BYTES = 9 * 1024 * 1024  # a bundle of 6 MiB in base64, 100 cards
_TRUST_BYTES = 2 * 1024 * 1024
_TOKEN_BYTES = 2 * BYTES_AT_MOST
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
    organisation: Organisation


def routes(stories: Stories) -> list[Route]:
    """Return the table. No route asks who somebody is: whatever acts, people signed themselves."""
    act, show = stories, _Readings(stories)

    def break_glass(body: BreakBody) -> GrantedView:
        return granted_view(act.breaking.break_glass(break_request(body)))

    readings = [
        get("/glasses", nobody, show.glasses, Glasses),
        get("/cards", nobody, show.cards, CardsView),
        get("/incidents", nobody, show.incidents, Incidents),
        get("/grants", nobody, show.grants, Grants),
        get("/grants/{grant}", nobody, show.grant, GrantView),
        get("/grants/{grant}/token", nobody, show.token, TokenView),
        get("/grants/{grant}/credential", nobody, show.credential, dict),
        get("/doors", nobody, lambda who, asked: act.doors.listing(), DoorsView),
        get("/doors/{grant}", nobody, show.door, DoorView),
        get("/join", nobody, lambda who, asked: act.organisation.join_view(), JoinView),
        get("/minters", nobody, lambda who, asked: act.minters.addresses(), dict),
        get("/state", nobody, lambda who, asked: state_view(act.view), StateView),
        get("/healthz", nobody, show.health, Health),
    ]
    acts = [
        _said("/break", BreakBody, break_glass, GrantedView),
        _said("/incidents", StatementBody, act.declaring.declare, Declared),
        _said("/done", DoneBody, act.ending.done, dict),
        _said("/kill", StatementBody, act.stopping.kill, Stopped),
        _said("/keys", KeyHandedOver, act.activating.key, HandedOver),
        _said("/policy", PolicyBody, act.activating.policy, Activated, _POLICY_BYTES),
        _said("/trust", TrustBody, act.activating.trust, Activated, _TRUST_BYTES),
    ]
    return [*readings, *(_when_current(stories, each) for each in acts), *_door_routes(act.doors)]


def _door_routes(doors: DoorRequests) -> list[Route]:
    # Without a ledger there is nothing to be current with.
    def ask(body: BreakBody) -> AskedDoorView:
        return doors.ask(break_request(body))

    def complete(who: Nobody, asked: Request[Countersigned]) -> DoorView:
        request = break_request(BreakBody(asked.body.statement, None))
        if request.grant != asked.path["grant"]:
            raise MalformedError("the statement is of another grant", name=ErrorName.WRONG_GRANT)
        return doors.complete(request, asked.body.countersigned)

    def mint(who: Nobody, asked: Request[TokenBody]) -> dict[str, Any]:
        return doors.mint(asked.path["grant"], asked.body.token)

    return [
        _said("/doors", BreakBody, ask, AskedDoorView, _TOKEN_BYTES),
        post("/doors/{grant}", nobody, Countersigned, complete, DoorView, _TOKEN_BYTES),
        post("/doors/{grant}/mint", nobody, TokenBody, mint, dict, _TOKEN_BYTES),
    ]


def _said(
    path: str,
    takes: type[Taken],
    act: Callable[[Taken], Given],
    gives: type[Given],
    at_most: int = _STATEMENT_BYTES,
) -> Route:
    """Make a route for what people signed themselves: the story asks who they are."""
    return post(path, nobody, takes, lambda who, asked: act(asked.body), gives, at_most)


def _when_current(stories: Stories, route: Route) -> Route:
    """Return a route that decides nothing before we have read what the ledger holds."""

    def waiting(who: Any, asked: Request[Any]) -> Any:
        stories.catching_up.require(_CURRENT_WITHIN)
        # Nothing that we record now may come between a door and the moment it was used in.
        stories.returning.first()
        return route.handler(who, asked)

    return replace(route, handler=waiting)


@dataclass(frozen=True)
class _Readings:
    """What is shown of the folded state."""

    stories: Stories

    def glasses(self, who: Nobody, asked: Request[None]) -> Glasses:
        with self.stories.view.reading() as state:
            try:
                policy = self.stories.policies.in_force(state)
            except RefusedError:
                policy = None  # there is none yet, and so no glass
            return glasses_of(state, policy)

    def cards(self, who: Nobody, asked: Request[None]) -> CardsView:
        with self.stories.view.reading() as state:
            return cards_of(state)

    def incidents(self, who: Nobody, asked: Request[None]) -> Incidents:
        with self.stories.view.reading() as state:
            return incidents_of(state)

    def grants(self, who: Nobody, asked: Request[None]) -> Grants:
        now = self.stories.clock.now()
        with self.stories.view.reading() as state:
            newest = sorted(state.grants.by_id.values(), key=lambda each: -each.index)
        return Grants(tuple(grant_view(each, now) for each in newest))

    def grant(self, who: Nobody, asked: Request[None]) -> GrantView:
        return grant_view(self._standing(asked), self.stories.clock.now())

    def token(self, who: Nobody, asked: Request[None]) -> TokenView:
        return TokenView(self.stories.tokens.token(self._standing(asked)).encoded())

    def credential(self, who: Nobody, asked: Request[None]) -> dict[str, Any]:
        grant = self._standing(asked)
        if not grant.minter:
            raise RefusedError(
                f"grant {grant.grant!r} opens gates only: it has a token and no credential",
                name=ErrorName.NO_CREDENTIAL,
            )
        return self.stories.minters.credential(grant.minter, grant.grant)

    def door(self, who: Nobody, asked: Request[None]) -> DoorView:
        return self.stories.doors.find(asked.path["grant"])

    def health(self, who: Nobody, asked: Request[None]) -> Health:
        current = self.stories.catching_up.current
        return health(self.stories.view, current, current and self._trusted())

    def _trusted(self) -> bool:
        with self.stories.view.reading() as state:
            return state.governance.trust is not None

    def _standing(self, asked: Request[None]) -> GrantState:
        with self.stories.view.reading() as state:
            return standing(state.grants.by_id, asked.path["grant"])
