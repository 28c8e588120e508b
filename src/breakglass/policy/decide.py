"""May this person break this glass now? One answer from one bundle and one set of facts.

Broker and monitor run the same function over the same records; a different answer is an alert.
Cedar says may or may not, the number of people comes from the tier. Nothing here reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import cedarpy

from breakglass.error_names import ErrorName
from breakglass.policy.approvers import (
    could_sign,
    needed,
    second_signer_for_own_word,
    suspended,
    valid_approvals,
)
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.denial_reasons import names, uncertified, why_not
from breakglass.policy.facts import Facts
from breakglass.policy.glass import Glass
from breakglass.policy.rosters import without_roster
from breakglass.policy.schema import ACTIONS, FACTOR_LEVELS, instant, length, reach
from breakglass.policy.yaml_fields import say_span
from breakglass.records.card import Tier
from breakglass.records.grant import Path

_LINES_AT_MOST = 16  # a record takes so many reasons of 500 characters
_CHARACTERS_AT_MOST = 480
_POLICIES_AT_MOST = 64
_WORTH_ASKING = timedelta(minutes=1)


@dataclass(frozen=True)
class Allowed:
    """Go on. ``policies`` are the ids of the Cedar policies that made the decision."""

    policies: tuple[str, ...]


@dataclass(frozen=True)
class NeedsApproval:
    """Wait for people: ``need`` of them in all beside the breaker, of those who may approve."""

    need: int
    policies: tuple[str, ...]


@dataclass(frozen=True)
class NeedsCustodians:
    """Wait for custodians: ``need`` of the ``of`` who hold a share."""

    need: int
    of: int
    policies: tuple[str, ...]


@dataclass(frozen=True)
class Refused:
    """No. ``name`` is a stable word, ``why`` sentences for a person, each with the way out."""

    name: ErrorName
    why: tuple[str, ...]
    policies: tuple[str, ...]


Decision: TypeAlias = Allowed | NeedsApproval | NeedsCustodians | Refused


def decide(policy: CompiledPolicy, facts: Facts) -> Decision:
    """Decide one request. The same policy and facts always give the same answer.

    Never raises for anything in ``facts``: what cannot be decided is refused.
    """
    glass = policy.bundle.glasses.get(facts.glass)
    if glass is None:
        known = names(sorted(policy.bundle.glasses))
        return _no(
            ErrorName.UNKNOWN_GLASS, f"there is no glass {facts.glass[:60]!r}; there are: {known}"
        )
    if _unknown(policy, facts):
        machine = facts.path == Path.MACHINE
        return _no(
            ErrorName.UNKNOWN_MACHINE if machine else ErrorName.UNKNOWN_PERSON,
            f"the policy knows {'no machine' if machine else 'nobody'} called"
            f" {facts.who[:60]!r}; those who may break"
            f" {glass.name!r}: {names(policy.bundle.directory.everybody(glass.who))}",
        )
    if not policy.bundle.takes_reason(facts.reason):
        return _no(
            ErrorName.UNKNOWN_REASON,
            f"the policy has no reason {facts.reason[:60]!r}; name one of:"
            f" {names(policy.bundle.reasons)}",
        )
    stale = uncertified(policy.bundle, glass, facts)
    if stale:
        return _no(ErrorName.NOT_CERTIFIED, stale)
    result = cedarpy.is_authorized(
        _request(policy, glass, facts),
        policy.rules[glass.name],
        policy.entities_under(facts.rosters),
        policy.schema,
    )
    policies = tuple(sorted(result.diagnostics.id_annotations_by_reason.values()))[
        :_POLICIES_AT_MOST
    ]
    if result.diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
        # Cedar skips a policy that fails: a failing forbid would leave an Allow standing.
        return _undecided(result.diagnostics.errors, policies)
    if result.decision is not cedarpy.Decision.Allow:
        return _refusal(policy, glass, facts, policies)
    return _extended(glass, facts, policies) or _people(policy, glass, facts, policies)


def _extended(glass: Glass, facts: Facts, policies: tuple[str, ...]) -> Refused | None:
    """Say why an ask may not follow what its asker still has; a break is limited by nothing here.

    The emergency goes first: whoever cannot be extended still breaks the glass, loudly.
    """
    earlier = facts.earlier
    if earlier is None or not facts.asks:
        return None
    instead = f"in an emergency: breakglass break {glass.name} --incident INCIDENT --why REASON"
    if earlier.gave(facts.typed):
        return _no(
            ErrorName.SAME_REASON,
            f"{facts.who!r} still has {glass.name!r} for this very reason; say what is new, and"
            f" what it still takes; {instead}",
            policies,
        )
    most = glass.life.together
    together = earlier.together(facts.for_)
    if most is not None and together > most:
        left = _minutes(earlier.left(most))
        rest = f"ask for {say_span(left)} at most" if left >= _WORTH_ASKING else "let it end first"
        had = "has had" if earlier.since < earlier.begins else "would have"
        then = f" and the start at {earlier.then:%Y-%m-%d %H:%M}" if earlier.then else ""
        return _no(
            ErrorName.EXTENDED_ENOUGH,
            f"{facts.who!r} {had} {glass.name!r} since {earlier.since:%Y-%m-%d %H:%M} UTC; with"
            f" this{then} it would be {say_span(-_minutes(-together))} in a row, and the policy"
            f" gives {say_span(most)}; {rest}; {instead}",
            policies,
        )
    return None


def _minutes(span: timedelta) -> timedelta:
    """Return a length in whole minutes, no longer than it is."""
    return span // _WORTH_ASKING * _WORTH_ASKING


def _unknown(policy: CompiledPolicy, facts: Facts) -> bool:
    if facts.path == Path.MACHINE:
        return facts.who not in policy.bundle.machines
    return policy.bundle.directory.canonical(facts.who) is None


def _people(
    policy: CompiledPolicy, glass: Glass, facts: Facts, policies: tuple[str, ...]
) -> Decision:
    need = needed(glass, facts)
    if len(valid_approvals(policy.bundle, glass, facts)) >= need:
        return Allowed(policies)
    if len(could_sign(policy.bundle, glass, facts)) < need:
        return _too_few(policy, glass, facts, need, policies)
    if glass.tier is Tier.SEALED:
        return NeedsCustodians(need, len(glass.second_signers), policies)
    return NeedsApproval(need, policies)


def _too_few(
    policy: CompiledPolicy, glass: Glass, facts: Facts, need: int, policies: tuple[str, ...]
) -> Refused:
    there = names(could_sign(policy.bundle, glass, facts))
    stale = without_roster(policy.bundle.directory, glass.second_signers, facts.rosters)
    there += f" ({stale})" if stale else ""
    asks = f"{glass.name!r} needs {need} more to sign, and these are allowed to: {there}"
    if second_signer_for_own_word(glass, facts) and glass.need == 0:
        return _no(
            ErrorName.SELF_DECLARED,
            f"a responder declared the incident themselves, so {asks}; name an incident that"
            " came from monitoring or another outside source",
            policies,
        )
    if facts.asks and glass.need == 0:
        return _no(
            ErrorName.NO_APPROVERS,
            f"{asks}; break the glass itself: breakglass break {glass.name} --incident INCIDENT"
            " --why REASON",
            policies,
        )
    return _no(ErrorName.NO_APPROVERS, f"{asks}; a maintainer must name more people", policies)


def _refusal(
    policy: CompiledPolicy, glass: Glass, facts: Facts, policies: tuple[str, ...]
) -> Refused:
    reasons = why_not(policy.bundle, glass, facts)
    own = {extra.id for extra in policy.extras if extra.forbids}
    said = [
        policy.says(each) or f"rule {each!r} of the policy forbids it now; ask a maintainer"
        for each in policies
        if each in own
    ]
    lines = [*said, *(reason.text for reason in reasons)] or ["no rule of the policy permits it"]
    name = ErrorName.FORBIDDEN if said or not reasons else reasons[0].name
    return Refused(name, tuple(map(_cut, lines[:_LINES_AT_MOST])), policies)


def _undecided(errors: list[str], policies: tuple[str, ...]) -> Refused:
    detail = " ".join(errors[0].split()) if errors else "Cedar gave no decision"
    return _no(
        ErrorName.POLICY_ERROR,
        "a rule of the policy could not be evaluated, so the answer is no; a maintainer must fix"
        f" the bundle: {detail}",
        policies,
    )


def _no(name: ErrorName, why: str, policies: tuple[str, ...] = ()) -> Refused:
    return Refused(name, (_cut(why),), policies)


def _cut(line: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in line)
    if len(printable) <= _CHARACTERS_AT_MOST:
        return printable
    return printable[: _CHARACTERS_AT_MOST - 1] + "…"


def _request(policy: CompiledPolicy, glass: Glass, facts: Facts) -> dict[str, Any]:
    directory = policy.bundle.directory
    who = directory.canonical(facts.who) or facts.who
    kind = "Machine" if facts.path == Path.MACHINE else "Person"
    context: dict[str, Any] = {
        "factor": FACTOR_LEVELS[facts.factor],
        "factor_age": length(facts.age),
        "lasts": length(facts.for_),
        "minter": facts.minter,
        "dimensions": sorted(facts.scope),
        "reach": reach(facts.minter, sorted(facts.scope.items())),
        "act": facts.act,
        "ticket": facts.ticket,
        "asks": facts.asks,
        "network": facts.network,
        "approvals": [
            {"__entity": {"type": "Person", "id": name}}
            for name in valid_approvals(policy.bundle, glass, facts)
        ],
        "suspended": bool(suspended(facts, who, glass.name)),
        "mfa_down": facts.mfa_down,
        "now": instant(facts.now),
    }
    if facts.starts is not None and facts.ahead is not None:
        context["starts"] = instant(facts.starts)
        context["ahead"] = length(facts.ahead)
    if facts.incident is not None:
        context["incident"] = {
            "id": facts.incident.id,
            "severity": facts.incident.severity,
            "self_declared": facts.incident.self_declared,
            "open": facts.incident.open,
        }
    return {
        "principal": {"type": kind, "id": who},
        "action": {"type": "Action", "id": ACTIONS[Path(facts.path)]},
        "resource": {"type": "Glass", "id": glass.name},
        "context": context,
    }
