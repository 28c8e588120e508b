"""An outage of a submitter's own logging."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Line
from breakglass.records.fold.context import Submission, Void
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.record import Kind
from breakglass.strict_json import Count

if TYPE_CHECKING:
    from breakglass.records.fold.state import State

GAP_BACK = timedelta(days=7)  # what is older than this stays late, whatever a gap says
GAP_RECORDS_AT_MOST = 10_000  # the cap of a spool; LEDGER.md section 3.10


@dataclass(frozen=True)
class Gap(Kind):
    """A logging outage of this submitter: its records ``first_seq`` to ``last_seq`` are late."""

    kind: ClassVar[str] = "gap"
    start: datetime
    end: datetime
    cause: Line
    first_seq: Count
    last_seq: Count


def judge(state: State, stated: Submission) -> None:
    """A submitter's logging was out: its records of that time, named by number, may come late."""
    body, envelope = stated.body, stated.record.envelope
    if not envelope.seq < body.first_seq <= body.last_seq or body.end < body.start:
        raise Void(ErrorName.MISMATCH, "a gap names records behind it and a time that goes forward")
    if body.last_seq - body.first_seq >= GAP_RECORDS_AT_MOST:
        raise Void(ErrorName.MISMATCH, f"a gap names {GAP_RECORDS_AT_MOST} records at most")
    state.submitters.by_key[stated.submitter].late = body


RULE = KindRule(Gap, by=frozenset({"broker", "gate", "minter", "monitor"}), judge=judge)
