"""What a gate states: each bypass, a tally of passages, and outages of its own logging."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from breakglass.records.encoding.text_types import Digest, GrantId, Handle, Line, Word
from breakglass.records.record import Kind, known
from breakglass.records.signing.signature import Signed
from breakglass.strict_json import Count, Many


class GateState(StrEnum):
    """What the gate's own check said when glass was shown."""

    FAILED = "failed"
    COULD_NOT_EVALUATE = "could_not_evaluate"


@known
@dataclass(frozen=True)
class Bypassed(Kind):
    """Glass opened this gate for one run, while its own check said ``state``.

    ``presentation`` is the holder's signature for this gate and run; without it nobody is named.
    """

    kind: ClassVar[str] = "bypassed"
    gate: Handle
    grant: GrantId
    statement: Digest
    run: Word
    state: GateState
    detail: Line
    presentation: Signed


@known
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


@known
@dataclass(frozen=True)
class Gap(Kind):
    """A logging outage of this submitter: its records ``first_seq`` to ``last_seq`` are late."""

    kind: ClassVar[str] = "gap"
    start: datetime
    end: datetime
    cause: Line
    first_seq: Count
    last_seq: Count
