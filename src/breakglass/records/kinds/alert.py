"""One message of the monitor on one channel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.records.encoding.text_types import Code, Handle, Line, MaybeHandle, Word
from breakglass.records.fold.ask_rules import may_approve
from breakglass.records.fold.context import Submission
from breakglass.records.fold.forgetting import standing_grant, waiting_ask
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.record import Kind
from breakglass.strict_json import Count, Many

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


PAGE = "approval_wanted"  # the subject by which approvers are called


class Delivery(StrEnum):
    """What became of one message on one channel."""

    DELIVERED = "delivered"
    FAILED = "failed"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True)
class Alert(Kind):
    """One message on one channel: ``subject`` is what rang, ``about`` a grant or a record id.

    ``to`` names who was called: people, or the channel itself where it is nobody's own.
    """

    kind: ClassVar[str] = "alert"
    subject: Code
    about: Word
    index: Count
    channel: Handle
    to: Annotated[tuple[Handle, ...], Many(64, 1)]
    delivery: Delivery
    by: MaybeHandle
    attempts: Count
    detail: Line


def judge(state: State, stated: Submission) -> None:
    """The monitor rang, or tried to."""
    body = stated.body
    state.monitor.alerts[body.delivery.value] = state.monitor.alerts.get(body.delivery.value, 0) + 1
    grant = standing_grant(state, body.about)
    if grant is not None and body.delivery is Delivery.DELIVERED and grant.rung_at is None:
        state.grants.by_id[body.about] = replace(grant, rung_at=stated.at)
    _keep_page(state, stated)


def _keep_page(state: State, stated: Submission) -> None:
    """Keep with an ask that somebody who may approve was called, and heard it."""
    body = stated.body
    waiting = waiting_ask(state, body.about)
    if waiting is None or body.subject != PAGE or body.delivery is not Delivery.DELIVERED:
        return
    if any(may_approve(state, waiting.glass, who) for who in body.to):
        pages = waiting.pages | {stated.record.envelope.id}
        state.grants.asked[body.about] = replace(waiting, pages=pages)


RULE = KindRule(Alert, by=frozenset({"monitor"}), judge=judge, outcome=True)
