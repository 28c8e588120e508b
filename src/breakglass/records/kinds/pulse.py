"""The monitor lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Handle
from breakglass.records.fold.context import Submission, Void
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.record import Kind
from breakglass.strict_json import Count, Many

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Pulse(Kind):
    """The monitor is alive and has verified the ledger up to ``size`` entries."""

    kind: ClassVar[str] = "pulse"
    size: Count
    channels: Annotated[tuple[Handle, ...], Many(64)]


def judge(state: State, stated: Submission) -> None:
    """The monitor lives and has verified what came before."""
    if stated.body.size > stated.entry.index:
        raise Void(ErrorName.MISMATCH, "the monitor has verified entries that are not there")
    state.monitor.pulse_at = stated.at


RULE = KindRule(Pulse, by=frozenset({"monitor"}), judge=judge)
