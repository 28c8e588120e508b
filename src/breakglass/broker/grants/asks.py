"""Handing in an ask: from a statement that takes other people to a request that waits for them.

The monitor follows the record and calls the approvers; nothing here calls anybody.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from breakglass.broker.grants import authorization
from breakglass.broker.grants.ask_history import AskHistory
from breakglass.broker.grants.ask_views import state_of
from breakglass.broker.grants.asking import asked_fact, taken
from breakglass.broker.grants.granting import At
from breakglass.broker.grants.refusals import Refusals
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.policies import Policies
from breakglass.broker.rate_limit import RateLimit
from breakglass.clock import Clock, format_time, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.node.grant_locks import GrantLocks
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.policy.decide import Allowed, NeedsApproval, Refused
from breakglass.records.fold.ask_rules import scheduled_grant
from breakglass.records.fold.state import State
from breakglass.records.kind_sets import SET_2
from breakglass.records.statement import AccessRequest, Do, digest_of


class Asks:
    """See the module; safe under threads."""

    def __init__(
        self,
        recording: Recorder,
        history: AskHistory,
        policies: Policies,
        clock: Clock,
        refusals: Refusals,
        allowance: RateLimit,
        locks: GrantLocks,
        at: At,
    ) -> None:
        self._recording = recording
        self._history = history
        self._policies = policies
        self._clock = clock
        self._refusals = refusals
        self._allowance = allowance
        self._locks = locks
        self._at = at

    def ask(self, request: BreakRequest) -> str:
        """Record that somebody asks, and return the grant's id; the same statement is one ask.

        Raises:
            RefusedError: the answer is no; recorded, if a known person asked. ``not_offered``: it
                takes nobody. ``asked_already``: another ask of theirs for this glass waits.
            UnprovenError: a signature does not hold.
            UnavailableError: the ledger did not take it; the message says what is recorded.
        """
        # One at a time, so that a double click is one ask and no error.
        with self._locks.of(request.grant):
            if self._stands(request):
                return request.grant
            self._record(request)
        return request.grant

    def _stands(self, request: BreakRequest) -> bool:
        now = to_milliseconds(self._clock.now())
        with self._recording.view.reading() as state:
            authorization.known(request, state, now)
        return self._same(request)

    def _same(self, request: BreakRequest) -> bool:
        story = self._history.find(request.grant)
        return story is not None and story.ask.digest == digest_of(request.signed.text)

    def _record(self, request: BreakRequest) -> None:
        # (2) Decide. Pure: a crash leaves nothing, and the statement is still good.
        now, said = to_milliseconds(self._clock.now()), request.said
        with self._recording.view.reading() as state:
            who = authorization.known(request, state, now)
            authorization.check_timely(said, request.signed.text, state, now)
            policy = self._policies.in_force(state)
            moment = authorization.moment_of(said, request.grant, state, now)
            check_start(said, state, now)
        decision = authorization.without_custodians(
            authorization.decide(request, who, moment, policy, now, taken(request))
        )
        self._at("decided")
        match decision:
            case Refused():
                # (3) A refusal is written too, and then said.
                raise self._refusals.refuse(request, who, moment, decision)
            case Allowed():
                raise RefusedError(
                    f"glass {said.glass!r} takes no approver now; nothing was recorded",
                    name=ErrorName.NOT_OFFERED,
                    hint=f"break it: breakglass break {said.glass} --incident ID --why REASON",
                )
            case NeedsApproval():
                self._check_one(request)
                if not self._allowance.take(said.who):
                    raise RefusedError(
                        f"{said.who!r} has asked too much within a minute", name=ErrorName.TOO_MANY
                    )
                # (4) Write it, proven and folded. A crash before leaves nothing; behind it the ask
                #     waits, the monitor calls the approvers, and the same statement finds it.
                network = authorization.network_of(request, moment, policy.bundle)
                self._append(asked_fact(request, who, decision, network), request)
                self._at("asked")
            case _:
                assert_never(decision)

    def _check_one(self, request: BreakRequest) -> None:
        """Refuse a second break that calls the same approvers; of asks the fold says it."""
        said, now = request.said, self._clock.now()
        if said.do is Do.ASK:
            return
        with self._recording.view.reading() as state:
            for grant, story in self._history.all().items():
                other = story.ask.said
                same = (other.do, other.who, other.glass) == (said.do, said.who, said.glass)
                if same and state_of(grant, story, state, now)[0] == "waiting":
                    raise RefusedError(
                        f"{said.who!r} waits for approvers of {said.glass!r} already, as {grant!r};"
                        " nothing was recorded",
                        name=ErrorName.ASKED_ALREADY,
                        hint=f"take it back: breakglass withdraw {grant}",
                    )

    def _append(self, asked: Fact, request: BreakRequest) -> None:
        try:
            self._recording.record([asked])
        except RefusedError as error:
            if error.name not in (ErrorName.ID_TAKEN, ErrorName.LOST_RACE):
                raise
            # An earlier try of ours was recorded after all, or another broker has the same
            # statement under way: our view is about to show it.
            self._history.wait(request.grant, -1, self._recording.follow_within.total_seconds())
            if not self._same(request):
                raise UnavailableError(
                    f"an earlier try of {request.grant!r} is being recorded",
                    name=ErrorName.UNANSWERED,
                    hint="hand the same statement in again",
                ) from error


def check_start(said: AccessRequest, state: State, now: datetime) -> None:
    """Refuse a start that no minter would grant; the fold says the same of its intent.

    Raises:
        RefusedError: ``not_offered``, or ``scheduled_already``.
    """
    if not said.starts:
        return
    trust = state.governance.trust
    if trust is None or trust.kinds < SET_2:
        raise RefusedError(
            f"nothing starts later under this trust file, which does not say kinds"
            f" {SET_2}; nothing was recorded",
            name=ErrorName.NOT_OFFERED,
            hint="ask when it is needed; maintainers raise 'kinds' once every host is upgraded",
        )
    other = scheduled_grant(state, said.who, said.glass, now)
    if other is not None:
        raise RefusedError(
            f"{said.who!r} has a start of {said.glass!r} already, {format_time(other.not_before)}"
            f" ({other.grant}); nothing was recorded",
            name=ErrorName.SCHEDULED_ALREADY,
            hint=f"take that one back first: breakglass done {other.grant}",
        )
