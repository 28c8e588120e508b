"""What somebody may have: a wish that was decided, and the intent that grants it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.broker.grants.authorization import Moment
from breakglass.broker.grants.request import BreakRequest
from breakglass.node.submitter import Fact
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.review_deadline import review_due
from breakglass.records.fold.slices.governance import ActiveCard
from breakglass.records.fold.slices.grants import AnswerState
from breakglass.records.grant import Path, handle_of, path_of
from breakglass.records.kinds.intent import Intent
from breakglass.records.signing.signature import Signature
from breakglass.records.statement import AccessRequest


@dataclass(frozen=True)
class Wish:
    """Statements that were decided to be enough, and what they were decided by.

    Attributes:
        said: what the first statement says: who wishes for what.
        first: that statement, signed.
        further: what other people signed of it, in their order.
        card: the glass's card.
        severity: the incident's; empty where there is none.
        policy: what decided.
        decided_at: the grant begins here.
        labels: what the asker must be told; see ``authorization.labels``.
        unsaid: facts that must stand in the log before the intent, and do not yet.
    """

    grant: str
    said: AccessRequest
    first: Signature
    further: tuple[Signature, ...]
    card: ActiveCard
    severity: str
    policy: CompiledPolicy
    decided_at: datetime
    labels: tuple[str, ...] = ()
    unsaid: Sequence[Fact] = ()

    @property
    def path(self) -> Path:
        """By which way it came; it follows from the first statement alone."""
        return path_of(self.said)


def wish_of(
    request: BreakRequest,
    moment: Moment,
    policy: CompiledPolicy,
    decided_at: datetime,
    approved: Sequence[AnswerState] = (),
) -> Wish:
    """Return what a request wishes for; whoever calls has decided that it may be granted."""
    assert moment.card is not None  # the decision looked
    severity = moment.incident.severity if moment.incident else ""
    return Wish(
        request.grant,
        request.said,
        request.signed,
        tuple(each.statement for each in approved),
        moment.card,
        severity,
        policy,
        decided_at,
    )


def life_of(wish: Wish) -> tuple[datetime, datetime]:
    """Say from when to when a grant may be used: at once, for as long as asked and as may be."""
    longest = min(wish.said.for_s, wish.card.card.for_s)
    return wish.decided_at, wish.decided_at + timedelta(seconds=longest)


def make_intent(wish: Wish) -> Intent:
    """Write the intent of a wish, as of when it was decided."""
    said, card = wish.said, wish.card.card
    begins, ends = life_of(wish)
    return Intent(
        grant=wish.grant,
        path=wish.path,
        tier=card.tier,
        card=wish.card.digest,
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
        not_before=begins,
        not_after=ends,
        handle=handle_of(wish.grant),
        review_by=review_due(wish.policy, said.glass, wish.severity, wish.decided_at),
        statements=(wish.first, *wish.further),
    )
