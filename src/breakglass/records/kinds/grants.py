"""The life of a grant, as the broker states it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from breakglass.records.card import Tier
from breakglass.records.encoding.strict_json import Between, Count, Many
from breakglass.records.encoding.text_types import (
    Code,
    Digest,
    GrantId,
    Handle,
    Line,
    MaybeHandle,
    MaybeHolderKey,
    MaybeIncidentId,
    RecordId,
    Word,
)
from breakglass.records.record import Kind, known
from breakglass.records.signing.signature import Factor, Signed, SignedByPasskey
from breakglass.records.statement import AccessRequest, Do, Scope


class Path(StrEnum):
    """By which way a grant was asked for."""

    JIT = "jit"
    GLASS = "glass"
    MACHINE = "machine"
    DRILL = "drill"


def path_of(said: AccessRequest) -> Path:
    """Return the path of a grant: it follows from the first statement and from nothing else.

    Else whoever writes the intent would choose how loud it is and whether it counts.
    """
    if said.drill:
        return Path.DRILL
    return {Do.ASK: Path.JIT, Do.MACHINE: Path.MACHINE}.get(said.do, Path.GLASS)


class Outcome(StrEnum):
    """What a decision says."""

    ALLOWED = "allowed"
    NEEDS_APPROVAL = "needs_approval"
    NEEDS_CUSTODIANS = "needs_custodians"
    REFUSED = "refused"


@dataclass(frozen=True)
class Factors:
    """How the person was there: factor class, and the signature's age in seconds."""

    factor: Factor
    age_s: Count
    mfa_down: bool


@dataclass(frozen=True)
class Decided:
    """A decision as written down: outcome, people still needed, and the policies behind it."""

    outcome: Outcome
    need: Annotated[int, Between(0, 16)]
    policies: Annotated[tuple[Word, ...], Many(64)]
    why: Annotated[tuple[Line, ...], Many(16)]


@known
@dataclass(frozen=True)
class Asked(Kind):
    """Somebody asked for a glass; written whatever comes of it.

    ``from_`` (written ``from``) is the bundle's name of the network that the broker saw, or empty.
    """

    kind: ClassVar[str] = "asked"
    grant: GrantId
    path: Path
    statement: Signed | SignedByPasskey
    from_: MaybeHandle
    factors: Factors
    decision: Decided


@known
@dataclass(frozen=True)
class Refused(Kind):
    """Somebody asked, and the answer is no. ``name`` is the stable word for why."""

    kind: ClassVar[str] = "refused"
    grant: GrantId
    path: Path
    statement: Signed | SignedByPasskey
    factors: Factors
    decision: Decided
    name: Code


class Reply(StrEnum):
    """What an approver said."""

    YES = "yes"
    NO = "no"
    NOBODY = "nobody"


@known
@dataclass(frozen=True)
class Answered(Kind):
    """An approver answered with a signed statement, or nobody did: ``pages`` cites the alarms."""

    kind: ClassVar[str] = "answered"
    grant: GrantId
    reply: Reply
    statement: Signed | SignedByPasskey | None
    pages: Annotated[tuple[RecordId, ...], Many(64)]


@known
@dataclass(frozen=True)
class Intent(Kind):
    """The key: with its proof, a card and the holder's signature it opens what it names.

    The asker's or breaker's statement stands first in ``statements``, the approvers' behind it,
    the custodians' of a door last. ``path`` follows from the first by ``path_of``. ``handle`` is
    derived from the grant id, so that an orphan of a crash is found. ``review_by`` is when
    the review is due, fixed here. Frozen: docs/spec/record.md.
    """

    kind: ClassVar[str] = "intent"
    grant: GrantId
    path: Path
    tier: Tier
    card: Digest
    policy: Digest
    glass: Handle
    who: Handle
    incident: MaybeIncidentId
    ticket: Word
    minter: MaybeHandle
    scope: Scope
    act: MaybeHandle
    gates: Annotated[tuple[Handle, ...], Many(64)]
    holder: MaybeHolderKey
    not_before: datetime
    not_after: datetime
    handle: Code
    review_by: datetime
    statements: Annotated[tuple[Signed | SignedByPasskey, ...], Many(33)]


class EndedWhy(StrEnum):
    """Why a grant ended."""

    EXPIRED = "expired"
    DONE = "done"
    KILLED = "killed"
    IDLE = "idle"
    INCIDENT_CLOSED = "incident_closed"
    NOT_MINTED = "not_minted"
    WITHDRAWN = "withdrawn"


@known
@dataclass(frozen=True)
class Ended(Kind):
    """A grant is over. Written by its minter, or by the broker if it was never minted.

    ``statement`` is the holder's or the killer's word for ``done`` and ``killed``, else null.
    """

    kind: ClassVar[str] = "ended"
    grant: GrantId
    why: EndedWhy
    detail: Line
    statement: Signed | SignedByPasskey | None


def handle_of(grant: str) -> str:
    """Return the deterministic name of a grant's credential on any platform.

    >>> handle_of("g-7kq3m2x4p5ab")
    'bg_7kq3m2x4p5ab'
    """
    return f"bg_{grant.removeprefix('g-')}"


def session_name(incident: str, who: str) -> str:
    """Return how a grant shows in a platform's own log: ``breakglass-INC-4821-mira``."""
    return "-".join(part for part in ("breakglass", incident, who) if part)
