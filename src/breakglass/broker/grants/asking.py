"""Asking for a glass: the first story, from a statement to a wish that may be granted.

Each comment says what a crash just before or after the step leaves behind. Everything that is
remembered between requests is in the ledger; nothing here is kept on a disk of ours.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import assert_never

from breakglass.broker.grants import authorization
from breakglass.broker.grants.authorization import Known, Moment
from breakglass.broker.grants.granting import At, earlier_grant
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.grants.wish import Wish, wish_of
from breakglass.broker.minters import Minters
from breakglass.broker.policies import Policies
from breakglass.broker.rate_limit import RateLimit
from breakglass.clock import Clock, to_milliseconds
from breakglass.errors import BreakglassError, RefusedError
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.policy.decide import Allowed, Refused
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.grant import path_of
from breakglass.records.kinds.asked import Asked
from breakglass.records.kinds.refused import Refused as RefusedRecord

log = logging.getLogger("breakglass.broker")


class Asking:
    """See the module; safe under threads, for one request of a grant at a time."""

    def __init__(
        self,
        recording: Recorder,
        policies: Policies,
        minters: Minters,
        clock: Clock,
        refusals: RateLimit,
        at: At,
    ) -> None:
        self._recording = recording
        self._policies = policies
        self._minters = minters
        self._clock = clock
        self._refusals = refusals
        self._at = at

    def ask(self, request: BreakRequest) -> Wish | GrantState:
        """Decide about a request; return its wish, or the grant that it has got already.

        Args:
            request: step (1), parsing, has made it.

        Raises:
            RefusedError: the answer is no; recorded, if a known person asked.
            UnprovenError: a signature does not hold.
            UnavailableError: this broker does not know where the minter is.
        """
        # (2) Decide. Pure: a crash leaves nothing, and the statement is still good.
        now = to_milliseconds(self._clock.now())
        with self._recording.view.reading() as state:
            who = authorization.known(request, state, now)
            grant = earlier_grant(state, request.grant, request.signed, now)
            if grant is not None:
                return grant
            authorization.check_timely(request, state, now)
            policy = self._policies.in_force(state)
            moment = authorization.moment_of(request.said, request.grant, state)
            asked_before = request.grant in state.grants.asked
        if request.said.minter and moment.card and moment.card.card.mint(request.said.minter):
            self._minters.check(request.said.minter)
        decision = authorization.offered(authorization.decide(request, who, moment, policy, now))
        self._at("decided")
        match decision:
            case Refused():
                # (3) A refusal is written too, and then said.
                raise self._refused(request, who, moment, decision)
            case Allowed():
                # (4) What is allowed at once is written together with its intent, in one append:
                #     nothing is written here, so a crash still leaves nothing.
                network = authorization.network_of(request, moment, policy)
                asked = () if asked_before else (_asked(request, who, decision, network),)
                labels = authorization.labels(who, moment, now)
                return replace(wish_of(request, moment, policy, now), labels=labels, unsaid=asked)
            case _:
                assert_never(decision)

    def _refused(
        self, request: BreakRequest, who: Known, moment: Moment, decision: Refused
    ) -> RefusedError:
        record_id = f"{request.grant}/refused"
        body = RefusedRecord(
            request.grant,
            path_of(request.said),
            request.signed,
            who.factors,
            authorization.written(decision),
            decision.name,
        )
        told = "; ".join(decision.why)
        error = RefusedError(f"{request.said.who!r} may not: {told}", name=decision.name)
        if moment.refused is not None:
            return error
        if not self._refusals.take(request.said.who):
            log.warning("refusals of %r are too many to record", request.said.who)
            return error
        try:
            self._recording.append([Fact(record_id, body)])
        except BreakglassError as trouble:
            # The answer is no in any case; only its record is missing.
            log.warning("refusal of %s not recorded: %s", request.grant, trouble)
        self._at("refused")
        return error


def _asked(request: BreakRequest, who: Known, decision: Allowed, network: str) -> Fact:
    written = authorization.written(decision)
    path = path_of(request.said)
    body = Asked(request.grant, path, request.signed, network, who.factors, written)
    return Fact(f"{request.grant}/asked", body)
