"""Answering an ask: yes, no, or taken back; and what is granted by the yes that was missing.

One append holds the answer and, where it is enough, the intent. Each comment says what a crash
just before or after the step leaves behind.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from breakglass.broker.grants import authorization
from breakglass.broker.grants.ask_history import AskHistory
from breakglass.broker.grants.ask_views import no_request
from breakglass.broker.grants.asking import ended_error, expired_error
from breakglass.broker.grants.authorization import can_approve
from breakglass.broker.grants.decided_ask import DecidedAsk, decide_ask
from breakglass.broker.grants.granting import At, Granting
from breakglass.broker.policies import Policies
from breakglass.clock import Clock, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError, UnavailableError, UnprovenError
from breakglass.node.grant_locks import GrantLocks
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.decide import Allowed, NeedsApproval, Refused
from breakglass.records.authority import check_person
from breakglass.records.fold.ask_rules import may_approve
from breakglass.records.fold.forgetting import ended_ask, waiting_ask
from breakglass.records.fold.slices.grants import AnswerState, AskedState
from breakglass.records.fold.state import State
from breakglass.records.kinds.answered import Answered, Reply
from breakglass.records.kinds.withdrawn import Withdrawn
from breakglass.records.people_list import May
from breakglass.records.signing.signature import STATEMENT_NAMESPACE, Signature, verify_signature
from breakglass.records.statement import Answer, Do, digest_of, grant_of_digest, parse_as

log = logging.getLogger("breakglass.broker")
_SEEN_WITHIN = 1.0  # seconds in which our view may come to hold what another broker recorded


class Answers:
    """See the module; safe under threads."""

    def __init__(
        self,
        recording: Recorder,
        history: AskHistory,
        policies: Policies,
        granting: Granting,
        clock: Clock,
        locks: GrantLocks,
        at: At,
    ) -> None:
        self._recording = recording
        self._history = history
        self._policies = policies
        self._granting = granting
        self._clock = clock
        self._locks = locks
        self._at = at

    def answer(self, signed: Signature) -> tuple[str, int]:
        """Record what somebody says of an ask; return its grant's id and the answer's entry.

        The same statement again gives the same.

        Raises:
            MalformedError: ``wrong_do``: no answer to an ask.
            RefusedError: it does not count, by name; nothing is recorded unless the message says
                so.
            UnprovenError: a signature does not hold.
            UnavailableError: the ledger did not take it; the message says what is recorded.
        """
        # (1) Who: a stranger is turned away before anything else is looked at.
        said = parse_as(Answer, signed.text)
        if said.do not in (Do.APPROVE, Do.REFUSE, Do.WITHDRAW):
            raise MalformedError(
                f"statement.do: {said.do.value!r} does not answer a request",
                name=ErrorName.WRONG_DO,
            )
        self._check_known(said, signed)
        grant = grant_of_digest(said.answers)
        if self._history.wait(grant, -1, _SEEN_WITHIN) is None:
            raise no_request(grant)
        # One at a time, so that a double click is one answer and no error.
        with self._locks.of(grant):
            found = self._index(grant, said, signed)
            if found is None:
                if said.do is Do.WITHDRAW:
                    self._withdraw(grant, signed)
                else:
                    self._reply(grant, said, signed)
                found = self._index(grant, said, signed)
        if found is None:
            raise RefusedError(
                f"request {grant!r} was granted before this answer came",
                name=ErrorName.GRANTED_ALREADY,
                hint=f"stop it: breakglass kill {grant}",
            )
        return grant, found

    def _check_known(self, said: Answer, signed: Signature) -> None:
        with self._recording.view.reading() as state:
            keys, log_name = state.governance.keys_of(said.who), state.log
        if said.log != log_name:
            raise UnprovenError(
                f"the statement is of log {said.log!r}, this is {log_name!r}",
                name=ErrorName.WRONG_LOG,
            )
        if not keys:
            raise RefusedError(
                f"unknown person {said.who!r}: not in the policy in force",
                name=ErrorName.UNKNOWN_PERSON,
                hint="people sign under their one name; a maintainer adds people in the bundle",
            )
        verify_signature(signed, keys, STATEMENT_NAMESPACE)

    def _index(self, grant: str, said: Answer, signed: Signature) -> int | None:
        """Return the entry of this very answer, if it stands."""
        with self._recording.view.reading() as state:
            if said.do is Do.WITHDRAW:
                ended = ended_ask(state, grant)
                taken_back = ended is not None and ended.name == ErrorName.WITHDRAWN
                return ended.index if ended is not None and taken_back else None
            story = self._history.find(grant)
        answer = story.answer(digest_of(signed.text)) if story is not None else None
        return answer.index if answer is not None else None

    def _withdraw(self, grant: str, signed: Signature) -> None:
        now = to_milliseconds(self._clock.now())
        with self._recording.view.reading() as state:
            _waiting(state, grant, now, late=True)
        # (2) The fold says no, here and everywhere, to anybody but the asker. A crash before it
        #     leaves an ask that waits; behind it, one that is over.
        self._record(Fact(_id(grant, "withdrawn", signed), Withdrawn(grant, signed)))
        self._at("withdrawn")

    def _reply(self, grant: str, said: Answer, signed: Signature) -> None:
        # (2) Does it count, and is it enough? Pure: a crash leaves nothing.
        now = to_milliseconds(self._clock.now())
        with self._recording.view.reading() as state:
            ask = _waiting(state, grant, now)
            policy = self._policies.in_force(state)
            authorization.check_timely(said, signed.text, state, now)
            self._check_may(said, signed, ask, policy, state)
            _check_new(said, ask, state, now)
            yes = said.do is Do.APPROVE
            decided = None
            if yes:
                answer = AnswerState(said.who, True, state.size, now, signed)
                heard = replace(ask, answers=(*ask.answers, answer))
                decided = decide_ask(grant, heard, state, policy, now)
                _check_counts(said, decided)
        self._at("answer_decided")
        body = Answered(grant, Reply.YES if yes else Reply.NO, signed, ())
        fact = Fact(_id(grant, "answered", signed), body)
        if decided is None:
            self._record(fact)
            self._at("answered")
            return
        match decided.decision:
            case Allowed():
                self._grant(decided, fact, said, signed)
            case NeedsApproval():
                # (3) Others are wanted too. A crash before it leaves nothing, behind it an answer
                #     from which any broker goes on.
                self._record(fact)
                self._at("answered")
            case Refused(name=name, why=why):
                # (3) The word is kept, since what stands against it may be gone in a minute.
                self._record(fact)
                self._at("answered")
                raise RefusedError(
                    f"the answer of {said.who!r} is recorded, and nothing is granted:"
                    f" {'; '.join(why)}",
                    name=name,
                )
            case _:
                assert_never(decided.decision)

    def _check_may(
        self, said: Answer, signed: Signature, ask: AskedState, policy: CompiledPolicy, state: State
    ) -> None:
        """Check by name what would make this answer worth nothing."""
        directory = policy.bundle.directory
        own = directory.canonical(said.who) or said.who
        if own == (directory.canonical(ask.who) or ask.who):
            raise RefusedError(
                f"{said.who!r} asked for it, so somebody else must answer",
                name=ErrorName.SAME_PERSON,
                hint=f"take it back: breakglass withdraw {grant_of_digest(said.answers)}",
            )
        if ("person", said.who) in state.governance.suspended:
            raise RefusedError(f"{said.who!r} is suspended", name=ErrorName.SUSPENDED)
        if not may_approve(state, ask.glass, said.who):
            raise RefusedError(
                f"{said.who!r} may not approve glass {ask.glass!r}", name=ErrorName.UNKNOWN_PERSON
            )
        active = state.governance.cards[ask.glass]
        if said.do is Do.APPROVE and not can_approve(active, said.who, signed):
            check_person(active.card, active.people.by_name, said.who, May.APPROVE, signed)

    def _grant(self, decided: DecidedAsk, fact: Fact, said: Answer, signed: Signature) -> None:
        # (3) Answer and intent in one append, proven. A crash before it leaves nothing; behind it
        #     a grant that the asker's own statement finds, at any broker.
        wish = replace(decided.wish(), unsaid=(fact,))
        try:
            self._granting.record(wish)
        except RefusedError as error:
            # What keeps the intent from holding says nothing against the answer.
            log.info("answer to %s grants nothing: %s", wish.grant, error)
            self._record(fact)
            self._at("answered")
            if self._index(wish.grant, said, signed) is None:
                return  # another broker was first: what the ask came to is said there
            # The refusal is of the intent; what it says of the record is of that alone.
            why = error.message.removesuffix("; nothing was recorded")
            raise RefusedError(
                f"the answer is recorded, and nothing is granted: {why}",
                name=error.name,
                hint=error.hint,
            ) from error
        self._at("answered")

    def _record(self, fact: Fact) -> None:
        try:
            self._recording.record([fact])
        except RefusedError as error:
            if error.name not in (ErrorName.ID_TAKEN, ErrorName.LOST_RACE):
                raise
            # An earlier try of ours was recorded after all; or another broker was first with
            # something that ended the ask. Our view says which, or is about to.
            self._settle(fact, error)

    def _settle(self, fact: Fact, error: RefusedError) -> None:
        body = fact.body
        assert isinstance(body, Answered | Withdrawn)
        assert body.statement is not None
        signed = body.statement
        said = parse_as(Answer, signed.text)
        story = self._history.find(body.grant)
        past = story.changed if story is not None else -1
        if self._index(body.grant, said, signed) is not None:
            return
        self._history.wait(body.grant, past, self._recording.follow_within.total_seconds())
        with self._recording.view.reading() as state:
            over = waiting_ask(state, body.grant) is None
        if not over and self._index(body.grant, said, signed) is None:
            raise UnavailableError(
                f"an earlier try of this answer to {body.grant!r} is being recorded",
                name=ErrorName.UNANSWERED,
                hint="hand the same statement in again",
            ) from error


def _waiting(state: State, grant: str, now: datetime, *, late: bool = False) -> AskedState:
    """Return an ask that waits; past its time too, if ``late``.

    Raises:
        RefusedError: by what ended it, ``granted_already``, ``expired`` or ``no_grant``.
    """
    if grant in state.grants.by_id:
        raise RefusedError(
            f"request {grant!r} is granted already",
            name=ErrorName.GRANTED_ALREADY,
            hint=f"hand it back: breakglass done {grant}"
            if late
            else f"stop it: breakglass kill {grant}",
        )
    ended = ended_ask(state, grant)
    if ended is not None:
        raise ended_error(ended)
    found = waiting_ask(state, grant)
    if found is None:
        raise no_request(grant)
    if now > found.until and not late:
        raise expired_error(grant, found)
    return found


def _check_new(said: Answer, ask: AskedState, state: State, now: datetime) -> None:
    """Refuse a second yes of one person; one from which no token can be made any more is no yes."""
    trust = state.governance.trust
    skew = trust.skew if trust is not None else timedelta(0)
    for each in ask.answers if said.do is Do.APPROVE else ():
        if each.yes and each.who == said.who and now - each.seen <= skew:
            raise RefusedError(
                f"{said.who!r} has said yes to {grant_of_digest(said.answers)!r} already",
                name=ErrorName.ANSWERED_ALREADY,
            )


def _check_counts(said: Answer, decided: DecidedAsk) -> None:
    """Check that the policy counts this answer: its signer is there now, and may sign beside."""
    if said.who not in {each.who for each in decided.approved}:
        raise RefusedError(
            f"{said.who!r} may not approve this now: the policy does not count them among the"
            " approvers who are there",
            name=ErrorName.NOT_ELIGIBLE,
        )


def _id(grant: str, what: str, signed: Signature) -> str:
    return f"{grant}/{what}/{digest_of(signed.text)[:16]}"
