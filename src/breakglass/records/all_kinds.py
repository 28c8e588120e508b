"""Every kind of record that this software knows, one file each under ``kinds``.

A kind is frozen once released; a new fact is a new kind. How to add one: CONTRIBUTING.md. Who needs
one kind imports its own file: a gate starts without the others and without the fold.
"""

from breakglass.records.fold.kind_registry import Registry
from breakglass.records.kinds import (
    alert,
    all_suspended,
    answered,
    asked,
    attested,
    bypassed,
    cards,
    dead,
    door,
    ended,
    gap,
    gate_reviewed,
    genesis,
    incident,
    intent,
    justified,
    key,
    minted,
    passages,
    policy,
    pulse,
    refused,
    roster,
    standing,
    suspended,
    trust,
    usable,
    withdrawn,
)
from breakglass.records.kinds.alert import Alert
from breakglass.records.kinds.all_suspended import AllSuspended
from breakglass.records.kinds.answered import Answered
from breakglass.records.kinds.asked import Asked
from breakglass.records.kinds.attested import Attested
from breakglass.records.kinds.bypassed import Bypassed
from breakglass.records.kinds.cards import Cards
from breakglass.records.kinds.dead import Dead
from breakglass.records.kinds.door import Door
from breakglass.records.kinds.ended import Ended
from breakglass.records.kinds.gap import Gap
from breakglass.records.kinds.gate_reviewed import GateReviewed
from breakglass.records.kinds.genesis import Genesis
from breakglass.records.kinds.incident import Incident
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.justified import Justified
from breakglass.records.kinds.key import KeyHandedOver
from breakglass.records.kinds.minted import Minted
from breakglass.records.kinds.passages import Passages
from breakglass.records.kinds.policy import Policy
from breakglass.records.kinds.pulse import Pulse
from breakglass.records.kinds.refused import Refused
from breakglass.records.kinds.roster import Roster
from breakglass.records.kinds.standing import Standing
from breakglass.records.kinds.suspended import Suspended
from breakglass.records.kinds.trust import TrustActivated
from breakglass.records.kinds.usable import Usable
from breakglass.records.kinds.withdrawn import Withdrawn

KINDS = Registry(
    (
        genesis.RULE,
        trust.RULE,
        key.RULE,
        policy.RULE,
        cards.RULE,
        suspended.RULE,
        incident.RULE,
        asked.RULE,
        refused.RULE,
        answered.RULE,
        withdrawn.RULE,
        intent.RULE,
        minted.RULE,
        usable.RULE,
        ended.RULE,
        dead.RULE,
        bypassed.RULE,
        passages.RULE,
        gap.RULE,
        door.RULE,
        alert.RULE,
        pulse.RULE,
        justified.RULE,
        attested.RULE,
        gate_reviewed.RULE,
        roster.RULE,
        all_suspended.RULE,
        standing.RULE,
    )
)

__all__ = [
    "KINDS",
    "Alert",
    "AllSuspended",
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
    "Roster",
    "Standing",
    "Suspended",
    "TrustActivated",
    "Usable",
    "Withdrawn",
]
