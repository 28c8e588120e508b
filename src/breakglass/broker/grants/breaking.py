"""Breaking a glass: the one story, in numbered steps.

Each comment says what a crash just before or after the step leaves behind. Everything that is
remembered between requests is in the ledger; nothing here is kept on a disk of ours.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_never

from breakglass.broker.grants import authorization
from breakglass.broker.grants.authorization import Known, Moment
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.grants.tokens import Tokens
from breakglass.broker.minters import Minters
from breakglass.broker.policies import Policies
from breakglass.broker.rate_limit import RateLimit
from breakglass.clock import Clock, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError, UnavailableError
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.decide import Allowed, Refused
from breakglass.policy.review_deadline import review_due
from breakglass.process.alert_channel import AlertChannel
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.grant import handle_of, path_of
from breakglass.records.kinds.asked import Asked
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.refused import Refused as RefusedRecord

log = logging.getLogger("breakglass.broker")
At = Callable[[str], None]
"""Told each step as it is done; tests end the process there."""
_STRIPES = 4096


@dataclass(frozen=True)
class Granted:
    """A glass is broken. ``minted`` is what the minter answered, sealed to the holder."""

    grant: GrantState
    token: str
    cosigned: dict[str, datetime]
    minted: dict[str, Any] | None
    since_asked_ms: int
    labels: tuple[str, ...] = ()


class Breaking:
    """See the module; safe under threads."""

    def __init__(
        self,
        recording: Recorder,
        policies: Policies,
        tokens: Tokens,
        minters: Minters,
        bell: AlertChannel,
        clock: Clock,
        refusals: RateLimit,
        at: At,
    ) -> None:
        self._recording = recording
        self._policies = policies
        self._tokens = tokens
        self._minters = minters
        self._bell = bell
        self._clock = clock
        self._refusals = refusals
        self._at = at
        self._locks = [threading.Lock() for _ in range(_STRIPES)]

    def break_glass(self, request: BreakRequest) -> Granted:
        """Break a glass; the same statement again is the same grant and the same answer.

        Args:
            request: step (1), parsing, has made it.

        Raises:
            RefusedError: the answer is no; recorded, if a known person asked.
            UnprovenError: a signature or a proof does not hold.
            UnavailableError: a neighbour did not answer; the message says whether something was
                recorded, and nothing was minted unless it says otherwise.
        """
        began = time.monotonic()
        self._at("parsed")
        # One request of a grant at a time, so that a double click is one grant and no error.
        with self._locks[zlib.crc32(request.grant.encode()) % _STRIPES]:
            # (2) Decide. Pure: a crash leaves nothing, and the statement is still good.
            now = to_milliseconds(self._clock.now())
            grant = self._standing(request, now)
            said_of_it: tuple[str, ...] = ()
            if grant is None:
                who, moment, policy = self._known(request, now)
                decision = authorization.offered(
                    authorization.decide(request, who, moment, policy, now)
                )
                self._at("decided")
                match decision:
                    case Refused():
                        # (3) A refusal is written too, and then said.
                        raise self._refused(request, who, moment, decision)
                    case Allowed():
                        # (4) ``asked`` and ``intent`` in one append, proven, and judged where
                        #     they came to stand. A crash before it leaves nothing; behind it, an
                        #     intent that the same statement finds again, or that we close later.
                        grant = self._recorded(request, who, moment, policy, decision, now)
                        said_of_it = authorization.labels(who, moment, now)
                    case _:
                        assert_never(decision)
        # (5) The token to the minter. A crash before it leaves a recorded grant without a
        #     credential; behind it, one that the minter ends in time. The same statement again
        #     gets the same credential.
        token = self._tokens.token(grant)
        minted = self._minted(request, grant, token.encoded(), began)
        self._at("handed")
        # (6) Answer. ``minted`` and ``usable`` are the minter's to write, behind its own answer;
        # (7) the monitor has seen the intent and rings, and the review is open since (4).
        return Granted(
            grant,
            token.encoded(),
            dict(self._tokens.proven(grant).cosigned),
            minted,
            round((time.monotonic() - began) * 1000),
            said_of_it,
        )

    def _standing(self, request: BreakRequest, now: datetime) -> GrantState | None:
        """Return the grant of an earlier try of the same statement, if there is one."""
        with self._recording.view.reading() as state:
            authorization.known(request, state, now)
            found = state.grants.by_id.get(request.grant)
        if found is None:
            return None
        if found.intent.statements[0].text != request.signed.text:
            raise RefusedError(
                f"grant {request.grant!r} exists already, with another statement",
                name=ErrorName.ID_TAKEN,
            )
        return _still(found, now)

    def _known(self, request: BreakRequest, now: datetime) -> tuple[Known, Moment, CompiledPolicy]:
        with self._recording.view.reading() as state:
            who = authorization.known(request, state, now)
            authorization.check_timely(request, state, now)
            policy = self._policies.in_force(state)
            moment = authorization.moment_of(request.said, request.grant, state)
        if request.said.minter and moment.card and moment.card.card.mint(request.said.minter):
            self._minters.check(request.said.minter)
        return who, moment, policy

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
        if moment.refused is not None or self._recording.stated(record_id):
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

    def _recorded(
        self,
        request: BreakRequest,
        who: Known,
        moment: Moment,
        policy: CompiledPolicy,
        decision: Allowed,
        now: datetime,
    ) -> GrantState:
        facts = self._facts(request, who, moment, policy, decision, now)
        try:
            *_, receipt = self._recording.append(facts)
        except UnavailableError as error:
            self._at("unanswered")
            raise _no_proof(request.grant, self._recording.receipt_within, error) from error
        except RefusedError as error:
            if error.name not in (ErrorName.ID_TAKEN, ErrorName.LOST_RACE):
                raise
            # An earlier try of ours was recorded after all, or another replica has the same
            # statement under way: our view is about to show its intent.
            return self._found_again(request, now)
        self._at("recorded")
        proven = self._tokens.prove(receipt.note, receipt.proof)
        try:
            judged = self._recording.settled(proven.index)
        except UnavailableError as error:
            raise UnavailableError(
                f"intent {request.grant!r} is recorded, but the broker has not read it back yet:"
                f" {error}; nothing was minted",
                name=error.name,
                hint=f"retry: breakglass break --again {request.grant}",
            ) from error
        self._at("judged")
        if judged.void and judged.void != ErrorName.LOST_RACE:
            raise RefusedError(
                f"intent {request.grant!r} is recorded, entry {proven.index}, and does not hold"
                f" there: {judged.why or judged.void}; nothing was minted",
                name=judged.void,
            )
        # Another replica may have been first with the same statement: then its intent is ours.
        with self._recording.view.reading() as state:
            grant = state.grants.by_id[request.grant]
        if "monitor_silent" in authorization.labels(who, moment, now):
            self._bell.ring(
                "monitor_silent",
                request.grant,
                f"GLASS BROKEN: {request.said.who!r} broke {request.said.glass!r}. The monitor is"
                f" silent. Stop it: breakglass kill {request.grant}",
            )
        return grant

    def _facts(
        self,
        request: BreakRequest,
        who: Known,
        moment: Moment,
        policy: CompiledPolicy,
        decision: Allowed,
        now: datetime,
    ) -> list[Fact]:
        path, signed = path_of(request.said), request.signed
        written = authorization.written(decision)
        asked = Asked(request.grant, path, signed, "", who.factors, written)
        intent = make_intent(request, who, moment, policy, now)
        facts = [Fact(f"{request.grant}/intent", intent)]
        with self._recording.view.reading() as state:
            known = request.grant in state.grants.asked
        return facts if known else [Fact(f"{request.grant}/asked", asked), *facts]

    def _found_again(self, request: BreakRequest, now: datetime) -> GrantState:
        until = time.monotonic() + self._recording.follow_within.total_seconds()
        while True:
            with self._recording.view.reading() as state:
                found = state.grants.by_id.get(request.grant)
            if found is not None:
                return _still(found, now)
            if time.monotonic() > until:
                raise UnavailableError(
                    f"an earlier try of {request.grant!r} is being recorded; nothing was minted",
                    name=ErrorName.UNANSWERED,
                    hint=f"retry: breakglass break --again {request.grant}",
                )
            time.sleep(0.02)

    def _minted(
        self, request: BreakRequest, grant: GrantState, token: str, began: float
    ) -> dict[str, Any] | None:
        if not grant.intent.minter or request.presentation is None:
            return None
        shown = self._tokens.token(grant).presented(request.presentation).encoded()
        ago = round((time.monotonic() - began) * 1000)
        try:
            return self._minters.mint(grant.intent.minter, shown, ago)
        except UnavailableError as error:
            raise UnavailableError(
                f"grant {request.grant!r} is recorded, and no credential came of it: {error}",
                name=error.name,
                hint=f"retry: breakglass break --again {request.grant}",
            ) from error


def make_intent(
    request: BreakRequest, who: Known, moment: Moment, policy: CompiledPolicy, now: datetime
) -> Intent:
    """Write the intent of what was asked and allowed, as of ``now``."""
    said = request.said
    assert moment.card is not None  # the decision looked
    card = moment.card.card
    life = timedelta(seconds=min(said.for_s, card.for_s))
    severity = moment.incident.severity if moment.incident else ""
    return Intent(
        grant=request.grant,
        path=path_of(said),
        tier=card.tier,
        card=moment.card.digest,
        policy=said.policy,
        glass=said.glass,
        who=said.who,
        incident=said.incident,
        ticket=said.ticket,
        minter=said.minter,
        scope=said.scope,
        act=said.act,
        gates=card.gates,
        holder=said.holder,
        not_before=now,
        not_after=now + life,
        handle=handle_of(request.grant),
        review_by=review_due(policy, said.glass, severity, now),
        statements=(request.signed,),
    )


def _still(grant: GrantState, now: datetime) -> GrantState:
    """Return a grant that may still be used.

    Raises:
        RefusedError: ``ended``, ``suspended`` or ``expired``.
    """
    intent = grant.intent
    if grant.stopped_at is not None:
        raise RefusedError(f"grant {intent.grant!r} was stopped", name=ErrorName.SUSPENDED)
    if grant.ended is not None:
        raise RefusedError(
            f"grant {intent.grant!r} has ended ({grant.ended.why.value})",
            name=ErrorName.ENDED,
            hint="break the glass again: a grant is never extended",
        )
    if not grant.live(now):
        raise RefusedError(
            f"grant {intent.grant!r} ended {intent.not_after:%Y-%m-%d %H:%M:%S} UTC",
            name=ErrorName.EXPIRED,
            hint="break the glass again: a grant is never extended",
        )
    return grant


def _no_proof(grant: str, within: timedelta, error: UnavailableError) -> UnavailableError:
    recorded = (
        "nothing was recorded" if error.name == ErrorName.NOT_SENT else "it may yet be recorded"
    )
    return UnavailableError(
        f"no inclusion proof for intent {grant!r} within {within.total_seconds():g} s;"
        f" nothing was minted, and {recorded}",
        name=error.name
        if error.name in (ErrorName.NOT_SENT, ErrorName.UNANSWERED)
        else ErrorName.NO_PROOF,
        hint=f"retry: breakglass break --again {grant}",
    )
