"""What a host answers to each control call; exactly these fields, or nothing is believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from breakglass.records.encoding.text_types import Pattern
from breakglass.strict_json import Between, Count, Many

LEFT_AT_MOST = 64  # lines in ``dead``
_Version = Annotated[int, Between(1, 1)]
_Handle = Annotated[str, Pattern("bg_ and letters and digits, 63 at most", r"bg_[a-z0-9]{1,60}")]


@dataclass(frozen=True)
class Described:
    """Who a host is: to ``describe``."""

    v: _Version
    host: str
    minter: str
    version: str


@dataclass(frozen=True)
class Opened:
    """That a grant is on its disk: to ``open``."""

    v: _Version
    known: bool


@dataclass(frozen=True)
class Evidence:
    """What was tried: to ``probe`` and ``probe-dead``."""

    v: _Version
    evidence: str


@dataclass(frozen=True)
class Cut:
    """How many sessions were cut: to ``cut`` and ``cut-idle``."""

    v: _Version
    sessions: Count


@dataclass(frozen=True)
class Used:
    """Whether anything was done: to ``used``."""

    v: _Version
    used: bool


@dataclass(frozen=True)
class Left:
    """What a grant has left behind: to ``tidy``."""

    v: _Version
    left_behind: Annotated[tuple[str, ...], Many(LEFT_AT_MOST)]


@dataclass(frozen=True)
class Listed:
    """Which grants stand: to ``list``."""

    v: _Version
    handles: tuple[_Handle, ...]


@dataclass(frozen=True)
class Found:
    """One thing that should be otherwise."""

    says: str
    hint: str
    stops: bool


@dataclass(frozen=True)
class Findings:
    """What is wrong there: to ``check``."""

    v: _Version
    findings: tuple[Found, ...]
