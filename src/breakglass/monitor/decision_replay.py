"""Each intent is decided a second time, from records alone, under the policy of its time.

The broker's word counts for nothing here: its decision, its factors and its deadline are made
again from signatures and from what the ledger held before the intent. ``Justified`` is written;
anything else rings. Pure: the state is the fold up to the intent, itself included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import assert_never

from breakglass.clock import parse_time
from breakglass.errors import BreakglassError
from breakglass.monitor.history_projection import GrantHistory, HistoryProjection
from breakglass.policy import decide as deciding
from breakglass.policy.bundle import unpack_bundle
from breakglass.policy.compile import CompiledPolicy, compile_policy
from breakglass.policy.earlier_grants import EarlierGrants, earlier_grants
from breakglass.policy.factors import MFA_DOWN
from breakglass.policy.facts import Facts, IncidentFacts, picked_reason
from breakglass.policy.people import Rosters
from breakglass.policy.review_deadline import review_due
from breakglass.policy.rosters import Kept, fresh, lately_fresh
from breakglass.records.authority import Asking, check_statements
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.justified import Justified
from breakglass.records.signing.signature import Factor
from breakglass.records.statement import Do, parse_request

ROUNDING = timedelta(seconds=5)  # a factor's age is written in whole seconds, before the record is


@dataclass(frozen=True)
class Unjustified:
    """The policy of its time does not allow this intent: ``name`` is stable, ``why`` for people."""

    name: str
    why: str


@dataclass(frozen=True)
class Case:
    """What one intent is judged on, taken while the fold stood at it.

    Small, so that a monitor that starts on a long log can gather all cases first and decide only
    those that nobody has decided yet.
    """

    grant: GrantState
    history: GrantHistory
    suspended: frozenset[str]
    skew: timedelta
    rosters: Kept
    earlier: EarlierGrants | None = None

    @property
    def intent(self) -> Intent:
        """Return the intent as it came."""
        assert self.grant.intent is not None, "the case was taken when the intent came"
        return self.grant.intent


def case_of(grant: str, state: State, chronicle: HistoryProjection) -> Case:
    """Gather the case of an intent that was just folded and holds."""
    assert state.governance.trust is not None
    found = state.grants.by_id[grant]
    assert found.intent is not None, "as above"
    said = parse_request(found.intent.statements[0].text)
    return Case(
        found,
        chronicle.of(grant),
        frozenset(f"{target}:{name}" for target, name in state.governance.suspended),
        state.governance.trust.skew,
        dict(state.monitor.rosters),
        earlier_grants(state, said, found.not_before, grant),
    )


def replay_decision(case: Case) -> Justified | Unjustified:
    """Decide again.

    Returns:
        the record to write, or why the intent should not stand.
    """
    intent = case.intent
    try:
        policy = compiled(case.history.bundle)
        card = case.grant.card
        assert card is not None, "as the intent"
        asking = check_statements(intent, card.card, card.people.by_name)
        problem = _asked_badly(case, asking)
        if problem is None:
            problem = _not_allowed(_decision(case, asking, policy)) or _due_badly(case, policy)
    except BreakglassError as error:
        return Unjustified(error.name, str(error))
    if problem is not None:
        return problem
    return Justified(intent.grant, case.grant.leaf, case.grant.index, intent.policy)


def replay_start(case: Case, now: datetime) -> Justified | Unjustified:
    """Decide what was put off once more, as if it were asked for at its start.

    Args:
        case: with bundle, card, incident and suspensions of ``now``; the ask is as it was, and so
            is the age that its signature had.
        now: at the start, or a few minutes before.
    """
    try:
        policy = compiled(case.history.bundle)
        card = case.grant.card
        assert card is not None, "as the intent"
        asking = check_statements(case.intent, card.card, card.people.by_name)
        rosters = _with_signers(case, asking, policy, now)
        facts = replace(_facts(case, asking, rosters), starts=None, now=now)
        problem = _not_allowed(deciding.decide(policy, facts))
    except BreakglassError as error:
        return Unjustified(error.name, str(error))
    if problem is not None:
        return problem
    return Justified(case.intent.grant, case.grant.leaf, case.grant.index, case.intent.policy)


@lru_cache(maxsize=8)
def compiled(bundle: bytes) -> CompiledPolicy:
    """Compile a bundle as it lies in the ledger; kept, since many intents share one policy.

    Raises:
        MalformedError: the bundle does not compile.
    """
    return compile_policy(unpack_bundle(bundle))


def _asked_badly(case: Case, asking: Asking) -> Unjustified | None:
    """Check what the broker wrote in ``asked`` against signatures and times."""
    if asking.statement.do is Do.DOOR:
        return None  # nobody could write ``asked``; the intent was made when it was asked for
    asked, at = case.history.asked, case.history.asked_at
    intent = case.intent
    if asked is None or at is None:
        return Unjustified("not_asked", "no 'asked' record comes before the intent")
    if asked.path is not intent.path:
        return Unjustified(
            "other_path", f"asked for by {asked.path.value!r}, granted by {intent.path.value!r}"
        )
    signed = asking.factors.get(intent.who, Factor.ONE)
    if not signed.meets(asked.factors.factor):
        return Unjustified(
            "factor_claimed",
            f"'asked' claims factor {asked.factors.factor.value!r}, the signature shows"
            f" {signed.value!r}",
        )
    if asked.factors.mfa_down and not intent.glass.endswith(MFA_DOWN):
        return Unjustified(
            "mfa_claimed",
            f"'asked' claims that MFA is down, glass {intent.glass!r} does not say so",
        )
    age = at - asking.statement.at
    if age - timedelta(seconds=asked.factors.age_s) > ROUNDING:
        return Unjustified(
            "age_claimed",
            f"'asked' says that the signature was {asked.factors.age_s} s old; by its own time it"
            f" was {age.total_seconds():.0f} s",
        )
    return None


def _decision(case: Case, asking: Asking, policy: CompiledPolicy) -> deciding.Decision:
    """Decide with the rosters of now, or with those of a moment ago that the broker may have had.

    The skew bounds how long it may have gone by older ones.
    """
    sets = lately_fresh(case.rosters, policy.bundle, case.grant.at, case.skew)
    decisions = [deciding.decide(policy, _facts(case, asking, each)) for each in sets]
    allowed = [each for each in decisions if isinstance(each, deciding.Allowed)]
    return (allowed or decisions)[0]


def _with_signers(case: Case, asking: Asking, policy: CompiledPolicy, now: datetime) -> Rosters:
    """Return who is on call now, and whoever signed: they were on call when they did.

    Else what was approved on a Monday could never start on a Sunday. That they may still break and
    approve the glass is looked at all the same.
    """
    directory = policy.bundle.directory
    known = fresh(case.rosters, policy.bundle, now)
    return {
        name: (*known.get(name, directory.present(group.fallback, known)), *asking.factors)
        for name, group in directory.groups.items()
        if group.roster
    }


def _facts(case: Case, asking: Asking, rosters: Rosters) -> Facts:
    intent, said, then = case.intent, asking.statement, case.history.incident
    asked = case.history.asked
    # By the custodians' door nobody could write ``asked``; _asked_badly has looked. How long
    # custodians were looked for makes the signature no older.
    age = timedelta(seconds=asked.factors.age_s if asked is not None else 0)
    own = f"grant:{intent.grant}"
    incident = None
    if then is not None and then.vouched:
        incident = IncidentFacts(then.incident, then.severity, then.self_declared, then.open)
    return Facts(
        who=intent.who,
        glass=intent.glass,
        incident=incident,
        factor=asking.factors.get(intent.who, Factor.ONE),
        age=age,
        path=intent.path,
        for_=timedelta(seconds=said.for_s),
        minter=intent.minter,
        scope=dict(intent.scope),
        act=said.act,
        reason=picked_reason(said),
        ticket=said.ticket,
        drill_of_ask=said.drill and said.do is Do.ASK,
        starts=parse_time(said.starts) if said.starts else None,
        earlier=case.earlier,
        typed=said.reason.text,
        network=asked.from_ if asked is not None else "",
        approvals=tuple(who for who in asking.factors if who != intent.who),
        suspended=frozenset(
            each for each in case.suspended if not each.startswith("grant:") or each == own
        ),
        now=case.grant.at,
        mfa_down=intent.glass.endswith(MFA_DOWN),
        rosters=rosters,
    )


def _not_allowed(decision: deciding.Decision) -> Unjustified | None:
    match decision:
        case deciding.Allowed():
            return None
        case deciding.NeedsApproval(need=need):
            return Unjustified("needs_approval", f"{need} approvals are needed and not there")
        case deciding.NeedsCustodians(need=need, of=of):
            return Unjustified("needs_custodians", f"{need} of {of} custodians are needed")
        case deciding.Refused(name=name, why=why):
            return Unjustified(name, "; ".join(why))
        case _:
            assert_never(decision)


def _due_badly(case: Case, policy: CompiledPolicy) -> Unjustified | None:
    intent, at = case.intent, case.grant.at
    then = case.history.incident
    severity = then.severity if then is not None and then.vouched else ""
    begins = intent.not_after if parse_request(intent.statements[0].text).starts else at
    latest: datetime = review_due(policy, intent.glass, severity, begins + case.skew)
    if intent.review_by > latest:
        # Else whoever holds the broker's key could put every review off for ever.
        return Unjustified(
            "review_late",
            f"the review is due {intent.review_by:%Y-%m-%d %H:%M} UTC, the policy says"
            f" {latest:%Y-%m-%d %H:%M} at the latest",
        )
    return None
