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
from breakglass.broker.governance.activation import (
    Activated,
    Activation,
    HandedOver,
    PolicyBody,
    TrustBody,
)
from breakglass.broker.governance.suspension import Stopped, Suspending
from breakglass.broker.governance.suspensions import Suspensions, suspensions_of
from breakglass.broker.grants.answers import Answers
from breakglass.broker.grants.ask_views import AnswerView, AskView, RequestsView
from breakglass.broker.grants.asks import Asks
from breakglass.broker.grants.breaking import Breaking
from breakglass.broker.grants.early_end import DoneBody, EndingEarly
from breakglass.broker.grants.grant_views import (
    CardsView,
    Glasses,
    GrantedView,
    Grants,
    GrantView,
    Incidents,
    OwnGlasses,
    PolicyView,
    TokenView,
    cards_of,
    glasses_of,
    grant_view,
    granted_view,
    incidents_of,
    own_glasses_of,
    policy_of,
)
from breakglass.broker.grants.request import BreakBody, address_of, break_request
from breakglass.broker.grants.requests import Requests
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
from breakglass.node.readers import (
    GrantReader,
    KnownReader,
    PersonReading,
    Readers,
    on_glass,
    reads_all,
    reads_grant,
    refused,
)
from breakglass.node.replica import Replica
from breakglass.node.trust_files import TrustFiles, TrustFilesView
from breakglass.node.views import Health, StateView, health, state_view
from breakglass.policy.compile import CompiledPolicy
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
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
    asks: Asks
    answers: Answers
    requests: Requests
    ending: EndingEarly
    declaring: Declarations
    stopping: Suspending
    activating: Activation
    doors: DoorRequests
    bring_doors_in: Callable[[], None]
    trust_files: TrustFiles
    readers: Readers
    keys: tuple[str, ...]  # our own, for which requests to us are signed
    clock: Clock
    organisation: Organisation
    proxies: tuple[str, ...]  # whose word for where a request comes from is believed


def routes(stories: Stories) -> list[Route]:
    """Return the table. Whatever acts, people signed themselves; whoever reads says who they are.

    Open is what a client needs to write a statement, or to believe one: no session stands before
    a break.
    """
    act, show, who = stories, _Readings(stories), stories.readers

    def break_glass(who: Nobody, asked: Request[BreakBody]) -> GrantedView:
        address = address_of(asked, stories.proxies)
        return granted_view(act.breaking.break_glass(break_request(asked.body, address)))

    def ask(who: Nobody, asked: Request[BreakBody]) -> AskView:
        address = address_of(asked, stories.proxies)
        return act.requests.show(act.asks.ask(break_request(asked.body, address)))

    def answer(body: StatementBody) -> AnswerView:
        grant, index = act.answers.answer(body.statement)
        return AnswerView(grant, index, act.requests.show(grant))

    readings = [
        get("/glasses", nobody, show.glasses, Glasses),
        get("/cards", nobody, show.cards, CardsView),
        get("/policy", who.all_or_trusted, show.policy, PolicyView),
        get("/glasses/mine", who.known, show.own_glasses, OwnGlasses),
        get("/incidents", who.known, show.incidents, Incidents),
        get("/suspensions", who.known, show.suspensions, Suspensions),
        get("/grants", who.known, show.grants, Grants),
        get("/grants/{grant}", who.of_grant, show.grant, GrantView),
        get("/grants/{grant}/token", who.of_grant, show.token, TokenView),
        get("/grants/{grant}/credential", who.of_grant, show.credential, dict),
        get("/requests", who.person, act.requests.of_person, RequestsView),
        get("/requests/{grant}", who.of_request, act.requests.of_grant, AskView),
        get("/doors", who.known, show.doors, DoorsView),
        get("/doors/{grant}", who.of_grant, show.door, DoorView),
        get("/join", nobody, lambda who, asked: act.organisation.join_view(), JoinView),
        get("/minters", who.all_or_trusted, show.minters, dict),
        get("/state", who.all_or_trusted, show.state, StateView),
        get("/trust", nobody, show.trust, TrustFilesView),
        get("/healthz", nobody, show.health, Health),
    ]
    acts = [
        post("/break", nobody, BreakBody, break_glass, GrantedView, _STATEMENT_BYTES),
        post("/asks", nobody, BreakBody, ask, AskView, _STATEMENT_BYTES),
        _said("/answers", StatementBody, answer, AnswerView),
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
        stories.bring_doors_in()
        return route.handler(who, asked)

    return replace(route, handler=waiting)


@dataclass(frozen=True)
class _Readings:
    """What is shown of the folded state, and to whom."""

    stories: Stories

    def glasses(self, who: Nobody, asked: Request[None]) -> Glasses:
        with self.stories.view.reading() as state:
            return glasses_of(state, self._policy(state))

    def cards(self, who: Nobody, asked: Request[None]) -> CardsView:
        with self.stories.view.reading() as state:
            return cards_of(state)

    def policy(self, who: KnownReader, asked: Request[None]) -> PolicyView:
        with self.stories.view.reading() as state:
            return policy_of(state)

    def own_glasses(self, who: KnownReader, asked: Request[None]) -> OwnGlasses:
        with self.stories.view.reading() as state:
            shown = [
                name
                for name in state.governance.cards
                if reads_all(who)
                or (isinstance(who, PersonReading) and on_glass(state, who.who, name))
            ]
            return own_glasses_of(state, shown)

    def incidents(self, who: KnownReader, asked: Request[None]) -> Incidents:
        with self.stories.view.reading() as state:
            return incidents_of(state)

    def suspensions(self, who: KnownReader, asked: Request[None]) -> Suspensions:
        with self.stories.view.reading() as state:
            return suspensions_of(state, who, self.stories.clock.now())

    def grants(self, who: KnownReader, asked: Request[None]) -> Grants:
        now = self.stories.clock.now()
        with self.stories.view.reading() as state:
            shown = [each for each in state.grants.by_id.values() if reads_grant(state, who, each)]
        newest = sorted(shown, key=lambda each: -each.index)
        return Grants(tuple(grant_view(each, now) for each in newest))

    def grant(self, who: GrantReader, asked: Request[None]) -> GrantView:
        return grant_view(self._standing(who, asked), self.stories.clock.now())

    def token(self, who: GrantReader, asked: Request[None]) -> TokenView:
        return TokenView(self.stories.tokens.token(self._standing(who, asked)).encoded())

    def credential(self, who: GrantReader, asked: Request[None]) -> dict[str, Any]:
        grant = self._standing(who, asked)
        if not grant.minter:
            raise RefusedError(
                f"grant {grant.grant!r} opens gates only: it has a token and no credential",
                name=ErrorName.NO_CREDENTIAL,
            )
        return self.stories.minters.credential(grant.minter, grant.grant)

    def doors(self, who: KnownReader, asked: Request[None]) -> DoorsView:
        found = self.stories.doors.listing()
        with self.stories.view.reading() as state:
            return DoorsView(
                tuple(each for each in found.doors if _reads_door(state, who, each.grant, "")),
                tuple(
                    each
                    for each in found.unappended
                    if _reads_door(state, who, each.grant, each.who)
                ),
            )

    def door(self, who: GrantReader, asked: Request[None]) -> DoorView:
        name = asked.path["grant"]
        found = self.stories.doors.find(name)
        with self.stories.view.reading() as state:
            if not _reads_door(state, who, name, ""):
                raise refused(f"door {name[:40]!r}")
        return found

    def minters(self, who: KnownReader, asked: Request[None]) -> dict[str, str]:
        return self.stories.minters.addresses()

    def state(self, who: KnownReader, asked: Request[None]) -> StateView:
        return state_view(self.stories.view)

    def trust(self, who: Nobody, asked: Request[None]) -> TrustFilesView:
        return self.stories.trust_files.after(asked.number("after", 0), self.stories.view)

    def health(self, who: Nobody, asked: Request[None]) -> Health:
        current = self.stories.catching_up.current
        well = current and self._trusted()
        return health(self.stories.view, current, well, self.stories.keys)

    def _policy(self, state: State) -> CompiledPolicy | None:
        try:
            return self.stories.policies.in_force(state)
        except RefusedError:
            return None  # there is none yet, and so no glass

    def _trusted(self) -> bool:
        with self.stories.view.reading() as state:
            return state.governance.trust is not None

    def _standing(self, who: GrantReader, asked: Request[None]) -> GrantState:
        with self.stories.view.reading() as state:
            found = standing(state.grants.by_id, asked.path["grant"])
            if not reads_grant(state, who, found):
                raise refused(f"grant {found.grant!r}")
            return found


def _reads_door(state: State, who: GrantReader, grant: str, asker: str) -> bool:
    """Say whether a door is shown: to who reads all, its asker, and who the trust file names."""
    if isinstance(who, PersonReading) and (who.trusted or who.who == asker):
        return True
    known = state.grants.by_id.get(grant)
    return reads_all(who) or (known is not None and reads_grant(state, who, known))
