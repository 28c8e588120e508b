"""Asking for a glass: the first story, from a statement to a wish that may be granted.

Each comment says what a crash just before or after the step leaves behind. Everything that is
remembered between requests is in the ledger; nothing here is kept on a disk of ours.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from breakglass.broker.grants import authorization
from breakglass.broker.grants.authorization import Known
from breakglass.broker.grants.granting import At, earlier_grant
from breakglass.broker.grants.refusals import Refusals
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.grants.wish import Wish, wish_of
from breakglass.broker.minters import Minters
from breakglass.broker.policies import Policies
from breakglass.clock import Clock, parse_time, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.policy.decide import Allowed, Decision, NeedsApproval, Refused
from breakglass.records.fold.forgetting import ended_ask
from breakglass.records.fold.slices.grants import AskedState, EndedAsk, GrantState
from breakglass.records.fold.state import State
from breakglass.records.grant import path_of
from breakglass.records.kinds.asked import Asked
from breakglass.records.statement import Do, digest_of


class Asking:
    """See the module; safe under threads, for one request of a grant at a time."""

    def __init__(
        self,
        recording: Recorder,
        policies: Policies,
        minters: Minters,
        clock: Clock,
        refusals: Refusals,
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
            RefusedError: the answer is no; recorded, if a known person asked. ``not_approved``:
                other people must say yes first; nothing is recorded, and nothing is spent.
            UnprovenError: a signature does not hold.
            UnavailableError: this broker does not know where the minter is.
        """
        # (2) Decide. Pure: a crash leaves nothing, and the statement is still good.
        now, said = to_milliseconds(self._clock.now()), request.said
        with self._recording.view.reading() as state:
            who = authorization.known(request, state, now)
            grant = earlier_grant(state, request.grant, request.signed, now)
            if grant is not None:
                return grant
            check_waits(request, state, now)
            moment = authorization.moment_of(said, request.grant, state, now)
            wait = moment.ask.until - said.at if moment.ask is not None else timedelta(0)
            authorization.check_timely(said, request.signed.text, state, now, wait)
            policy = self._policies.in_force(state)
        if said.minter and moment.card and moment.card.card.mint(said.minter):
            self._minters.check(said.minter)
        decision = authorization.without_custodians(
            authorization.decide(request, who, moment, policy, now, taken(request))
        )
        self._at("decided")
        match decision:
            case Refused():
                # (3) A refusal is written too, and then said.
                raise self._refusals.refuse(request, who, moment, decision)
            case NeedsApproval():
                raise _not_approved(moment.ask, decision)
            case Allowed():
                # (4) What is allowed at once is written together with its intent, in one append:
                #     nothing is written here, so a crash still leaves nothing. What was asked for
                #     stands in the log, with its answers; here a crash behind them is mended.
                network = authorization.network_of(request, moment, policy.bundle)
                said_first = asked_fact(request, who, decision, network)
                unsaid = () if moment.ask is not None else (said_first,)
                approved = authorization.approvals(request, who, moment, policy, now)
                wish = wish_of(request, moment, policy, now, approved)
                labels = authorization.labels(who, moment, now)
                return replace(wish, labels=labels, unsaid=unsaid)
            case _:
                assert_never(decision)


def taken(request: BreakRequest) -> Do:
    """Return what a statement must say to be taken here: that it asks, or that it breaks."""
    return Do.ASK if request.said.do is Do.ASK else Do.BREAK


def check_waits(request: BreakRequest, state: State, now: datetime) -> None:
    """Refuse what was asked for and waits no more, by the name of what ended it.

    Raises:
        RefusedError: ``refused_by_approver``, ``withdrawn``, ``overtaken`` or ``expired``.
    """
    ended = ended_ask(state, request.grant)
    if ended is not None and ended.ask.digest == digest_of(request.signed.text):
        raise ended_error(ended)
    ask = state.grants.asked.get(request.grant)
    if ask is not None and now > ask.until:
        raise expired_error(request.grant, ask)


def ended_error(ended: EndedAsk) -> RefusedError:
    """Say by what an ask ended."""
    return RefusedError(
        f"{ended.by!r} ended what was asked for, entry {ended.index}",
        name=ended.name,
        hint="ask again with a new statement",
    )


def expired_error(grant: str, ask: AskedState) -> RefusedError:
    """Say that nobody can grant an ask any more."""
    until = f"{ask.until:%Y-%m-%d %H:%M:%S} UTC"
    started = bool(ask.said.starts) and ask.until == parse_time(ask.said.starts)
    return RefusedError(
        f"request {grant!r} was to start at {until}, and nothing was granted by then"
        if started
        else f"request {grant!r} waited until {until}",
        name=ErrorName.EXPIRED,
        hint="ask again with a new statement",
    )


def asked_fact(request: BreakRequest, who: Known, decision: Decision, network: str) -> Fact:
    """Return what is written of somebody who asks, and of the network that they ask from."""
    written = authorization.written(decision)
    path = path_of(request.said)
    body = Asked(request.grant, path, request.signed, network, who.factors, written)
    return Fact(f"{request.grant}/asked", body)


def _not_approved(ask: AskedState | None, decision: NeedsApproval) -> RefusedError:
    wanted = authorization.people(decision.need, "approver")
    there = len({each.who for each in ask.answers if each.yes}) if ask is not None else 0
    if ask is None:
        return RefusedError(
            f"this takes {wanted}, and nobody was asked yet; nothing was recorded",
            name=ErrorName.NOT_APPROVED,
            hint="hand the same statement in as a request: POST /asks",
        )
    return RefusedError(
        f"{there} of {wanted} said yes; nothing was granted",
        name=ErrorName.NOT_APPROVED,
        hint="see: breakglass requests",
    )
