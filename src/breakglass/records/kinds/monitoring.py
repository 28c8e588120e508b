"""What the monitor states: that it lives, what it rang, what holds, what reviews decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from breakglass.records.encoding.text_types import (
    Code,
    Digest,
    GrantId,
    Handle,
    Line,
    MaybeHandle,
    Reason,
    Word,
)
from breakglass.records.record import Kind, known
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.statement import GateVerdict
from breakglass.strict_json import Count, Many


class Delivery(StrEnum):
    """What became of one message on one channel."""

    DELIVERED = "delivered"
    FAILED = "failed"
    ACKNOWLEDGED = "acknowledged"


@known
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


@known
@dataclass(frozen=True)
class Pulse(Kind):
    """The monitor is alive and has verified the ledger up to ``size`` entries."""

    kind: ClassVar[str] = "pulse"
    size: Count
    channels: Annotated[tuple[Handle, ...], Many(64)]


@known
@dataclass(frozen=True)
class Justified(Kind):
    """The monitor decided again, under the policy of the time: this intent was allowed.

    ``leaf`` is the intent's leaf hash and ``index`` its place.
    """

    kind: ClassVar[str] = "justified"
    grant: GrantId
    leaf: Digest
    index: Count
    policy: Digest


class Attesting(StrEnum):
    """How something that the evidence rests on was found."""

    HELD = "held"
    FAILED = "failed"
    UNKNOWN = "unknown"


@known
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


@known
@dataclass(frozen=True)
class GateReviewed(Kind):
    """A gate review decided something: the fields of the statement that ``by`` signed."""

    kind: ClassVar[str] = "gate_reviewed"
    gate: Handle
    verdict: GateVerdict
    decision: Reason
    look_again: datetime
    by: Handle
    statement: Signed | SignedByPasskey
