"""What a grant is called, by which way it was asked for, and why it ended."""

from __future__ import annotations

from enum import StrEnum

from breakglass.records.statement import AccessRequest, Do


class Path(StrEnum):
    """By which way a grant was asked for."""

    JIT = "jit"
    GLASS = "glass"
    MACHINE = "machine"
    DRILL = "drill"


class EndedWhy(StrEnum):
    """Why a grant ended."""

    EXPIRED = "expired"
    DONE = "done"
    KILLED = "killed"
    IDLE = "idle"
    INCIDENT_CLOSED = "incident_closed"
    NOT_MINTED = "not_minted"
    WITHDRAWN = "withdrawn"
    DRILL = "drill"  # minted, tried and cut at once; nothing was handed out


def path_of(said: AccessRequest) -> Path:
    """Return the path of a grant: it follows from the first statement and from nothing else.

    Else whoever writes the intent would choose how loud it is and whether it counts.
    """
    if said.drill:
        return Path.DRILL
    return {Do.ASK: Path.JIT, Do.MACHINE: Path.MACHINE}.get(said.do, Path.GLASS)


def handle_of(grant: str) -> str:
    """Return the deterministic name of a grant's credential on any platform.

    >>> handle_of("g-7kq3m2x4p5ab")
    'bg_7kq3m2x4p5ab'
    """
    return f"bg_{grant.removeprefix('g-')}"


def session_name(incident: str, who: str) -> str:
    """Return how a grant shows in a platform's own log: ``breakglass-INC-4821-mira``."""
    return "-".join(part for part in ("breakglass", incident, who) if part)
