"""What makes breaking glass an emergency."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from breakglass.records.encoding.text_types import Handle, IncidentId, Reason, Severity
from breakglass.records.record import Kind, known
from breakglass.records.signing.signature import Signed, SignedByPasskey


class IncidentChange(StrEnum):
    """What happened to an incident."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"


@known
@dataclass(frozen=True)
class Incident(Kind):
    """An incident opens, changes its severity or title, or closes.

    ``self_declared`` incidents carry the person's statement and satisfy contained glasses only;
    others carry their source's authenticated message as an attachment.
    """

    kind: ClassVar[str] = "incident"
    incident: IncidentId
    change: IncidentChange
    severity: Severity
    title: Reason
    source: Handle
    self_declared: bool
    statement: Signed | SignedByPasskey | None
