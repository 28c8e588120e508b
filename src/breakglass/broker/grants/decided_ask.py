"""An ask as it is decided now, with every answer that counts: at each answer, and each look."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from breakglass.broker.grants import authorization
from breakglass.broker.grants.asking import taken
from breakglass.broker.grants.authorization import Moment
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.grants.wish import Wish, wish_of
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.decide import Allowed, NeedsApproval, Refused
from breakglass.records.fold.slices.grants import AnswerState, AskedState
from breakglass.records.fold.state import State


@dataclass(frozen=True)
class DecidedAsk:
    """What is decided of an ask at one moment; ``approved`` are the answers that count."""

    request: BreakRequest
    moment: Moment
    policy: CompiledPolicy
    at: datetime
    approved: tuple[AnswerState, ...]
    decision: Allowed | NeedsApproval | Refused
    labels: tuple[str, ...] = ()

    def wish(self) -> Wish:
        """Return what the ask wishes for; the decision has allowed it."""
        found = wish_of(self.request, self.moment, self.policy, self.at, self.approved)
        return replace(found, labels=self.labels)


def decide_ask(
    grant: str, ask: AskedState, state: State, policy: CompiledPolicy, now: datetime
) -> DecidedAsk:
    """Decide an ask again from its first statement on: nothing that was said before is believed.

    Never raises: an asker whom the policy does not know any more is refused.

    Args:
        grant: the ask's id.
        ask: with the answers to count, also one that is not recorded yet.
        state: held still by the caller.
        policy: the one in force.
        now: of the decision.
    """
    request = BreakRequest(ask.statement, ask.said, grant, None)
    moment = replace(authorization.moment_of(ask.said, grant, state, now), ask=ask)
    try:
        who = authorization.known(request, state, now)
    except BreakglassError as error:
        # Whatever is wrong with the asker: no key of theirs is in force any more.
        refused = Refused(ErrorName.UNKNOWN_PERSON, (error.message,), ())
        return DecidedAsk(request, moment, policy, now, (), refused)
    decision = authorization.without_custodians(
        authorization.decide(request, who, moment, policy, now, taken(request))
    )
    approved = authorization.approvals(request, who, moment, policy, now)
    labels = authorization.labels(who, moment, now)
    return DecidedAsk(request, moment, policy, now, approved, decision, labels)
