"""What is known when somebody asks: everything a decision may look at, and nothing else.

Broker and monitor build these from the same records, so they must reach the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

from breakglass.policy.earlier_grants import EarlierGrants
from breakglass.policy.people import Rosters
from breakglass.records.grant import Path
from breakglass.records.signing.signature import Factor
from breakglass.records.statement import AccessRequest, Do

OTHER = "other"
"""The coded reason that every policy takes: no glass stays shut for want of a word."""

NO_ROSTERS: Rosters = MappingProxyType({})


@dataclass(frozen=True)
class IncidentFacts:
    """An incident as the ledger has it. ``self_declared``: a person said so, no outside source."""

    id: str
    severity: str
    self_declared: bool
    open: bool


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One request for one glass.

    Args:
        who: the breaker, by name or alias; a machine's name on path ``machine``.
        glass: as the statement names it; ``NAME.mfa-down`` for the stand-in.
        incident: the incident that the statement names, or none.
        factor: how strongly the breaker signed.
        age: how old that signature is; a little below zero when clocks differ.
        path: ``jit``, ``glass``, ``machine`` or ``drill``.
        drill_of_ask: on path ``drill``, whether it is asked for and not broken.
        for_: the life that is asked for.
        minter: as the statement names it; empty when only gates are wanted.
        scope: as the statement says; empty without a minter, and of a machine, whose act says it.
        act: as the statement names it; empty where a credential is wanted.
        reason: the coded reason that a person picked, from ``picked_reason``.
        ticket: where the work is planned, as the statement says; possibly empty.
        starts: when an ask wants to start; none: at once.
        earlier: what of the same person and glass this would follow without a gap; of an ask alone.
        typed: what the breaker typed beside it.
        network: the bundle's name of the network that the broker saw; empty if it has none.
        approvals: who signed *yes* to this very statement; for a sealed glass, who joined.
        suspended: ``person:NAME`` and ``glass:NAME`` in force, for whomever; anything else (this
            very grant's ``grant:ID``, a sentence) stops this request whoever asks.
        now: when the decision is made, aware.
        mfa_down: whether MFA has been declared down.
        rosters: group to the people on its newest roster, where one is fresh enough.
    """

    who: str
    glass: str
    incident: IncidentFacts | None
    factor: Factor
    age: timedelta
    path: Path | Literal["jit", "glass", "machine", "drill"]
    drill_of_ask: bool = False
    for_: timedelta
    minter: str = ""
    scope: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    act: str = ""
    reason: str = OTHER
    ticket: str = ""
    starts: datetime | None = None
    earlier: EarlierGrants | None = None
    typed: str = ""
    network: str = ""
    approvals: tuple[str, ...] = ()
    suspended: frozenset[str] = frozenset()
    now: datetime
    mfa_down: bool = False
    rosters: Rosters = field(default_factory=lambda: NO_ROSTERS)

    @property
    def asks(self) -> bool:
        """Whether approvers are asked before anything is broken."""
        return self.path == Path.JIT or (self.path == Path.DRILL and self.drill_of_ask)

    @property
    def ahead(self) -> timedelta | None:
        """How far ahead of the statement's own time its start lies; none: at once."""
        return None if self.starts is None else self.starts - (self.now - self.age)


def picked_reason(said: AccessRequest) -> str:
    """Return the coded reason that a person picked of the policy's; ``other`` if nobody picks one.

    At the custodians' door the client writes a word of its own, and a machine has its condition.
    """
    return OTHER if said.do in {Do.DOOR, Do.MACHINE} else said.reason.code
