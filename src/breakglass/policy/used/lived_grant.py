"""A grant that had a credential, as the ledger tells it: whose acts a target's log may show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from breakglass.records.grant import handle_of, serial_of


@dataclass(frozen=True)
class LivedGrant:
    """One grant of which a credential was minted, and that is over.

    Attributes:
        grant, glass, who, incident, minter, platform: as its intent says.
        scope: what it could reach; no wider than its card.
        begins: when its credential was usable; nobody held it before.
        ends: when it was proven dead, else when it ended.
    """

    grant: str
    glass: str
    who: str
    incident: str
    minter: str
    platform: str
    scope: Mapping[str, tuple[str, ...]]
    begins: datetime
    ends: datetime

    @property
    def handle(self) -> str:
        """Return its name at the target: the role of PostgreSQL."""
        return handle_of(self.grant)

    @property
    def serial(self) -> int:
        """Return the serial of its SSH certificate."""
        return serial_of(self.handle)
