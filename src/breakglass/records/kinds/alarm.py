"""One message of the monitor on one channel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from breakglass.records.encoding.strict_json import Count
from breakglass.records.encoding.text_types import Code, Handle, Line, MaybeHandle, Word
from breakglass.records.fold.context import Submission
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.record import Kind

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


class Delivery(StrEnum):
    """What became of one message on one channel."""

    DELIVERED = "delivered"
    FAILED = "failed"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True)
class Alarm(Kind):
    """One message on one channel: ``subject`` is what rang, ``about`` a grant or a record id."""

    kind: ClassVar[str] = "alarm"
    subject: Code
    about: Word
    index: Count
    channel: Handle
    delivery: Delivery
    by: MaybeHandle
    attempts: Count
    detail: Line


def judge(state: State, stated: Submission) -> None:
    """The monitor rang, or tried to."""
    body = stated.body
    state.monitor.alarms[body.delivery.value] = state.monitor.alarms.get(body.delivery.value, 0) + 1
    grant = state.grants.by_id.get(body.about)
    if grant is not None and body.delivery is Delivery.DELIVERED and grant.rung_at is None:
        state.grants.by_id[body.about] = replace(grant, rung_at=stated.at)


RULE = KindRule(Alarm, by=frozenset({"monitor"}), judge=judge)
