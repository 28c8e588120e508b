"""What a minter did, stated by the minter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar

from breakglass.records.encoding.text_types import Code, GrantId, Handle, Line, Word
from breakglass.records.record import Kind, known
from breakglass.strict_json import Count, Many


@known
@dataclass(frozen=True)
class Minted(Kind):
    """A credential exists. ``expires`` is what the platform itself was told."""

    kind: ClassVar[str] = "minted"
    grant: GrantId
    platform: Handle
    handle: Code
    ids: Annotated[Mapping[Code, Word], Many(16)]
    expires: datetime
    since_asked_ms: Count


@known
@dataclass(frozen=True)
class Usable(Kind):
    """The credential was tried and works."""

    kind: ClassVar[str] = "usable"
    grant: GrantId
    probe: Line
    since_asked_ms: Count


@known
@dataclass(frozen=True)
class Dead(Kind):
    """Access was tried and is gone. ``tail_ms`` is how long it outlived the grant's end."""

    kind: ClassVar[str] = "dead"
    grant: GrantId
    probe: Line
    tail_ms: Count
    sessions_cut: Count
    left_behind: Annotated[tuple[Line, ...], Many(64)]
