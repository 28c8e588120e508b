"""How often a gate was asked, and what it said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Handle, Word
from breakglass.records.fold.context import Submission, Void
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.record import Kind
from breakglass.strict_json import Count, Many

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Passages(Kind):
    """How often the gate was asked within a window, and what it said; times in milliseconds."""

    kind: ClassVar[str] = "passages"
    gate: Handle
    start: datetime
    end: datetime
    passed: Count
    blocked: Count
    could_not_evaluate: Count
    bypassed: Count
    sanctioned: Count
    p50_ms: Count
    p99_ms: Count
    flaky: Annotated[tuple[Word, ...], Many(16)]


def judge(state: State, stated: Submission) -> None:
    """A gate's tally of one window."""
    own_gate(stated)
    body = stated.body
    if body.end < body.start:
        raise Void(ErrorName.MISMATCH, "a window ends before it begins")
    tally = state.gates.passages.setdefault(body.gate, {})
    for name in ("passed", "blocked", "could_not_evaluate", "bypassed", "sanctioned"):
        tally[name] = tally.get(name, 0) + getattr(body, name)


def own_gate(stated: Submission) -> None:
    """Check that a gate speaks of itself.

    Raises:
        Void: ``role``.
    """
    if stated.role.name != stated.body.gate:
        raise Void(ErrorName.ROLE, "a gate states its own passages only")


RULE = KindRule(Passages, by=frozenset({"gate"}), judge=judge, outcome=True)
