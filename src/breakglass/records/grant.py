"""What a grant is called, by which way it was asked for, and why it ended."""

from __future__ import annotations

import hashlib
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


def serial_of(handle: str) -> int:
    """Return the serial of a grant's SSH certificate: of SHA-256 of the handle the first 8 bytes.

    It follows from the handle, so after a crash, at a host that has only the handle and in a log
    that shows only the serial it is known which grant is meant.

    >>> serial_of("bg_7kq3m2x4p5ab")
    18147998222887202581
    """
    return int.from_bytes(hashlib.sha256(handle.encode("ascii")).digest()[:8], "big")


def session_name(incident: str, who: str) -> str:
    """Return how a grant shows in a platform's own log: ``breakglass-INC-4821-mira``."""
    return "-".join(part for part in ("breakglass", incident, who) if part)
