"""An organisation whose bundle ends the grants of ``orders-repair`` early, and who closes what."""

from __future__ import annotations

from typing import Any

from breakglass.policy.bundle import pack_bundle
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import Judged
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.statement import Do

from ..broker.shop import BUNDLE
from .one_minter import TwoBrokers
from .organisation import Organisation

FOR = "    for: 20m\n"
ENDS = "    ends_with_incident: true\n    idle: 10m\n"


class EndingOrganisation(TwoBrokers):
    """Two brokers under a real bundle; cards are the organisation's own and say nothing of it."""

    said = ENDS

    def __post_init__(self) -> None:
        super().__post_init__()
        self.bundle = self._saying(self.said)

    def says(self, said: str) -> None:
        """Put a policy in force that says something else of ``orders-repair``."""
        self.policy_version += 1
        self.bundle = self._saying(said)
        self.activate_policy()

    def _saying(self, said: str) -> bytes:
        keys = {name: self.people[name].public for name in ("mira", "teo", "sam", "bo")}
        text = BUNDLE.format(version=self.policy_version, does="repair rows of orders", **keys)
        assert text.count(FOR) == 1
        text = text.replace(FOR, FOR + said)
        return pack_bundle({"breakglass.yaml": text.encode()})


def changes_incident(org: Organisation, who: str, do: Do, nonce: str, **changes: Any) -> Judged:
    """Have somebody close the incident, or declare it open again."""
    said = org.declare(do=do, who=who, nonce=nonce * 16, at=org.now)
    change = IncidentChange.CLOSED if do is Do.CLOSE else IncidentChange.OPENED
    values: dict[str, Any] = {
        "incident": said.incident,
        "change": change,
        "severity": said.severity,
        "title": said.title,
        "source": said.who,
        "self_declared": True,
        "statement": org.sign(said),
    }
    return org.state_that("broker", kinds.Incident(**{**values, **changes}))
