"""Something beside the records that the evidence rests on was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Code, Digest, Line, Word
from breakglass.records.fold.context import Submission, Void, in_force
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.monitor import AttestedState
from breakglass.records.record import Kind

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


class Attesting(StrEnum):
    """How something that the evidence rests on was found."""

    HELD = "held"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Attested(Kind):
    """Something beside the records that the evidence rests on was looked at.

    ``subject`` is what (``archive``), ``about`` which one, ``looked`` when by the looker's own
    clock, ``evidence`` the SHA-256 of what it said, whole.
    """

    kind: ClassVar[str] = "attested"
    subject: Code
    about: Word
    outcome: Attesting
    looked: datetime
    evidence: Digest
    detail: Line


def judge(state: State, stated: Submission) -> None:
    """The monitor repeats what somebody who looked has found; each look counts once."""
    body = stated.body
    if body.looked > stated.at + in_force(state).skew:
        raise Void(ErrorName.MISMATCH, "the look is of a time that has not come")
    before = state.monitor.attested.get((body.subject, body.about))
    if before is not None and body.looked <= before.looked:
        raise Void(ErrorName.MISMATCH, "a later look at the same thing already exists")
    found = AttestedState(body.outcome.value, body.looked, stated.entry.index)
    state.monitor.attested[body.subject, body.about] = found


RULE = KindRule(Attested, by=frozenset({"monitor"}), judge=judge, outcome=True)
