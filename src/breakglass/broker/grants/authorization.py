"""Whether somebody may break a glass now: the facts of one moment, and one answer. Pure.

The monitor makes the same facts from records and decides again; a different answer is an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from breakglass.broker.grants.request import BreakRequest
from breakglass.clock import parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError, UnprovenError
from breakglass.policy import decide as policies
from breakglass.policy.approvers import valid_approvals
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.earlier_grants import EarlierGrants, earlier_grants
from breakglass.policy.factors import MFA_DOWN
from breakglass.policy.facts import Facts, IncidentFacts
from breakglass.records.authority import check_person
from breakglass.records.fold.forgetting import used_by, waiting_ask
from breakglass.records.fold.slices.governance import ActiveCard
from breakglass.records.fold.slices.grants import AnswerState, AskedState
from breakglass.records.fold.slices.incidents import IncidentState
from breakglass.records.fold.state import State
from breakglass.records.grant import path_of
from breakglass.records.kinds.asked import Decided, Factors, Outcome
from breakglass.records.people_list import SIGNERS_AT_MOST, May
from breakglass.records.signing.signature import (
    STATEMENT_NAMESPACE,
    Factor,
    Signature,
    verify_signature,
)
from breakglass.records.statement import AccessRequest, Do, Statement, digest_of

PULSE_AT_MOST_OLD = timedelta(minutes=3)
_APPROVALS_AT_MOST = SIGNERS_AT_MOST - 1


@dataclass(frozen=True)
class Known:
    """Who asks, beyond doubt: a person of the policy, whose signature holds."""

    factors: Factors
    age: timedelta


# Of a request that is only shown: how its asker signed does not say who may answer it.
UNSEEN = Known(Factors(Factor.ONE, 0, False), timedelta(0))


@dataclass(frozen=True)
class Moment:
    """What the ledger said when the request was decided; taken while the state was held still.

    ``refused`` is where this very request was refused before: its statement is spent. ``ask`` is
    what waits under its id, with what approvers said of it.
    """

    policy_digest: str
    card: ActiveCard | None
    incident: IncidentState | None
    suspended: frozenset[str]
    pulse_at: datetime | None
    refused: int | None = None
    earlier: EarlierGrants | None = None
    ask: AskedState | None = None


def known(request: BreakRequest, state: State, now: datetime) -> Known:
    """Check who signed. Nothing about a stranger's request is ever written down.

    Raises:
        RefusedError: ``unknown_person``.
        UnprovenError: the signature does not hold, or the statement is of another log.
    """
    said = request.said
    if said.log != state.log:
        raise UnprovenError(
            f"the statement is of log {said.log!r}, this is {state.log!r}", name=ErrorName.WRONG_LOG
        )
    keys = state.governance.keys_of(said.who)
    if not keys:
        raise RefusedError(
            f"unknown person {said.who!r}: not in the policy in force",
            name=ErrorName.UNKNOWN_PERSON,
            hint="a maintainer adds people in the bundle",
        )
    factor = verify_signature(request.signed, keys, STATEMENT_NAMESPACE)
    ask = waiting_ask(state, request.grant)
    # How long others took to answer makes a signature no older; nor does it for the monitor.
    age = (ask.at if ask is not None else now) - said.at
    whole = timedelta(seconds=max(0, int(age.total_seconds())))
    down = said.glass.endswith(MFA_DOWN)
    return Known(Factors(factor, int(whole.total_seconds()), down), whole)


def check_timely(
    said: Statement, text: str, state: State, now: datetime, wait: timedelta = timedelta(0)
) -> None:
    """Refuse a statement that is not of this moment; not asked of a grant that already exists.

    ``text`` is what ``said`` was read from; ``wait`` is how old it may be where that is more than
    the skew: people have to be found.

    Raises:
        RefusedError: ``statement_old`` or ``nonce``.
    """
    skew = state.governance.trust.skew if state.governance.trust else timedelta(0)
    if not -skew <= now - said.at <= max(skew, wait):
        apart = abs((now - said.at).total_seconds())
        raise RefusedError(
            f"the statement was signed {apart:.0f} s {'after' if said.at > now else 'before'} the"
            f" broker's time, {now:%H:%M:%S} UTC (limit {max(skew, wait).total_seconds():.0f} s)",
            name=ErrorName.STATEMENT_OLD,
            hint="sign again; if this comes back, set this machine's clock: timedatectl set-ntp"
            " true",
        )
    if used_by(state, said) not in (None, digest_of(text)):
        raise RefusedError(
            "the nonce of this statement was used before",
            name=ErrorName.NONCE,
            hint="sign a new one",
        )


def moment_of(said: AccessRequest, grant: str, state: State, now: datetime) -> Moment:
    """Gather what a decision of ``now`` looks at."""
    refused = state.grants.refused.get(grant)
    stopped = {
        f"{target}:{name}"
        for target, name in state.governance.suspended
        if target != "grant" or name == grant
    }
    incident = state.incidents.by_id.get(said.incident)
    return Moment(
        state.governance.policy.bundle if state.governance.policy else "",
        state.governance.cards.get(said.glass),
        incident.vouched if incident else None,
        frozenset(stopped),
        state.monitor.pulse_at,
        refused.index if refused is not None else None,
        earlier_grants(state, said, parse_time(said.starts) if said.starts else now, grant),
        waiting_ask(state, grant),
    )


def decide(
    request: BreakRequest,
    who: Known,
    moment: Moment,
    policy: CompiledPolicy,
    now: datetime,
    do: Do = Do.BREAK,
) -> policies.Decision:
    """Decide: the card, then the policy. Never raises for what the request says.

    ``do`` is what the statement must say: ``door`` at the custodians' door alone.
    """
    said = request.said
    if said.policy != moment.policy_digest:
        return _no(
            ErrorName.WRONG_POLICY, "the statement was signed under another policy; ask again"
        )
    if said.do is not do:
        return _no(
            ErrorName.NOT_OFFERED, f"a statement that says {said.do.value!r} is not taken here"
        )
    decision = policies.decide(policy, facts(request, who, moment, now))
    if isinstance(decision, policies.Refused):
        return decision  # with the policy's own words, which say more than the card's
    if moment.card is None:
        return _no(
            ErrorName.NO_CARD,
            f"glass {said.glass!r} has no card in force; a maintainer must activate the policy",
        )
    card = moment.card.card
    if now > card.expires:
        return _no(
            ErrorName.CARD_EXPIRED,
            f"the card of {said.glass!r} expired {card.expires:%Y-%m-%d %H:%M} UTC; a maintainer"
            " activates the policy again",
        )
    if moment.refused is not None:
        return _no(
            ErrorName.REFUSED_ALREADY,
            f"this request was refused before, entry {moment.refused}; run the same command again"
            " to sign a new one",
        )
    return decision


def facts(request: BreakRequest, who: Known, moment: Moment, now: datetime) -> Facts:
    """Make the facts, as the monitor will make them from ``asked`` and ``intent``."""
    said, then = request.said, moment.incident
    incident = None
    if then is not None:
        incident = IncidentFacts(then.incident, then.severity, then.self_declared, then.open)
    return Facts(
        who=said.who,
        glass=said.glass,
        incident=incident,
        factor=who.factors.factor,
        age=who.age,
        path=path_of(said),
        for_=timedelta(seconds=said.for_s),
        minter=said.minter,
        scope=dict(said.scope),
        act=said.act,
        ticket=said.ticket,
        drill_of_ask=said.drill and said.do is Do.ASK,
        starts=parse_time(said.starts) if said.starts else None,
        earlier=moment.earlier,
        reason=said.reason.text,
        approvals=tuple(each.who for each in _approved(moment)),
        suspended=moment.suspended,
        now=now,
        mfa_down=who.factors.mfa_down,
    )


def approvals(
    request: BreakRequest, who: Known, moment: Moment, policy: CompiledPolicy, now: datetime
) -> tuple[AnswerState, ...]:
    """Return the answers that count for a request now, one a person, in the log's order.

    Whose key was taken away, who was suspended, or may not approve any more, counts no longer.
    """
    glass = policy.bundle.glasses.get(request.said.glass)
    if glass is None:
        return ()
    valid = valid_approvals(policy.bundle, glass, facts(request, who, moment, now))
    return tuple(each for each in _approved(moment) if each.who in valid)


def _approved(moment: Moment) -> tuple[AnswerState, ...]:
    """Return each approver's newest yes that the card in force would let an intent carry."""
    if moment.ask is None or moment.card is None:
        return ()
    newest: dict[str, AnswerState] = {}
    for each in moment.ask.answers:
        if each.yes and can_approve(moment.card, each.who, each.statement):
            newest[each.who] = each
    return tuple(newest.values())[-_APPROVALS_AT_MOST:]


def can_approve(active: ActiveCard, who: str, signed: Signature) -> bool:
    """Say whether a token would take this person's approval under this card."""
    try:
        check_person(active.card, active.people.by_name, who, May.APPROVE, signed)
    except BreakglassError:
        return False
    return True


def written(decision: policies.Decision) -> Decided:
    """Return the decision as a record carries it."""
    match decision:
        case policies.Allowed(policies=by):
            return Decided(Outcome.ALLOWED, 0, by, ())
        case policies.NeedsApproval(need=need, policies=by):
            return Decided(Outcome.NEEDS_APPROVAL, need, by, ())
        case policies.NeedsCustodians(need=need, policies=by):
            return Decided(Outcome.NEEDS_CUSTODIANS, need, by, ())
        case policies.Refused(why=why, policies=by):
            return Decided(Outcome.REFUSED, 0, by, why)
        case _:
            assert_never(decision)


def labels(who: Known, moment: Moment, now: datetime) -> tuple[str, ...]:
    """Return what the asker must be told of the grant; no record says it, the log shows it."""
    found = []
    if moment.pulse_at is None or now - moment.pulse_at > PULSE_AT_MOST_OLD:
        found.append("monitor_silent")
    if who.factors.mfa_down:
        found.append("mfa_down")
    if moment.incident is not None and moment.incident.self_declared:
        found.append("self_declared")
    return tuple(found)


def people(count: int, what: str) -> str:
    """Write a number of people.

    >>> people(1, "approver")
    '1 approver'
    """
    return f"1 {what}" if count == 1 else f"{count} {what}s"


def alone(decision: policies.Decision) -> policies.Allowed | policies.Refused:
    """Turn away what takes other people, where nobody can be asked: at the custodians' door."""
    found = without_custodians(decision)
    if not isinstance(found, policies.NeedsApproval):
        return found
    why = f"needs {people(found.need, 'approver')}, and nobody can be asked without the ledger"
    return policies.Refused(ErrorName.NEEDS_APPROVAL, (why,), found.policies)


def without_custodians(
    decision: policies.Decision,
) -> policies.Allowed | policies.NeedsApproval | policies.Refused:
    """Turn away what takes custodians: no broker gathers them yet."""
    if not isinstance(decision, policies.NeedsCustodians):
        return decision
    why = f"needs {decision.need} of {decision.of} custodians: not offered by this broker yet"
    return policies.Refused(ErrorName.NEEDS_CUSTODIANS, (why,), decision.policies)


def _no(name: ErrorName, why: str) -> policies.Refused:
    return policies.Refused(name, (why,), ())
