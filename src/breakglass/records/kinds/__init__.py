"""The kinds of record, version 1: one frozen dataclass each, entered into the table on import.

Importing this package knows them all. A kind is frozen once released; a new fact is a new kind.
"""

from breakglass.records.kinds.doors import Door
from breakglass.records.kinds.gates import Bypassed, Gap, Passages
from breakglass.records.kinds.governance import (
    Cards,
    Genesis,
    KeyHandedOver,
    Policy,
    Suspended,
    TrustActivated,
)
from breakglass.records.kinds.grants import Answered, Asked, Ended, Intent, Refused
from breakglass.records.kinds.incidents import Incident
from breakglass.records.kinds.minting import Dead, Minted, Usable
from breakglass.records.kinds.monitoring import Alarm, Attested, GateReviewed, Justified, Pulse

__all__ = [
    "Alarm",
    "Answered",
    "Asked",
    "Attested",
    "Bypassed",
    "Cards",
    "Dead",
    "Door",
    "Ended",
    "Gap",
    "GateReviewed",
    "Genesis",
    "Incident",
    "Intent",
    "Justified",
    "KeyHandedOver",
    "Minted",
    "Passages",
    "Policy",
    "Pulse",
    "Refused",
    "Suspended",
    "TrustActivated",
    "Usable",
]
