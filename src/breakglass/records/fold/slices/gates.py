"""What gates told: their tallies, and each use of the custodians' door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from breakglass.canonical import Json
from breakglass.clock import format_time


@dataclass(frozen=True)
class DoorUse:
    """Who took a door's token, ``gate:NAME`` or ``minter:NAME``, and for which run."""

    by: str
    run: str


@dataclass(frozen=True)
class DoorState:
    """A use of the custodians' door, as gates and minters told of it.

    ``intent`` is the SHA-256 of the intent's text, ``index`` the first record that told of it and
    ``seen`` when that came into the log, by the middle one of its witnesses.
    """

    grant: str
    intent: str
    who: str
    glass: str
    index: int
    seen: datetime
    uses: tuple[DoorUse, ...] = ()


@dataclass
class Gates:
    """``doors`` by the SHA-256 of the door intent's text, ``passages`` counted by gate."""

    doors: dict[str, DoorState] = field(default_factory=dict)
    passages: dict[str, dict[str, int]] = field(default_factory=dict)

    def trial(self) -> Gates:
        """Return a thin copy that changes alone."""
        return Gates(dict(self.doors), {gate: dict(each) for gate, each in self.passages.items()})

    def summary(self) -> dict[str, Json]:
        """Return this part of the state as plain JSON."""
        return {
            "doors": {intent: _door(each) for intent, each in self.doors.items()},
            "passages": {gate: dict(each) for gate, each in self.passages.items()},
        }


def _door(door: DoorState) -> Mapping[str, Json]:
    uses: list[Json] = [f"{each.by} {each.run}" for each in door.uses]
    return {
        "grant": door.grant,
        "who": door.who,
        "glass": door.glass,
        "index": door.index,
        "seen": format_time(door.seen),
        "uses": uses,
    }
