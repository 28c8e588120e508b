"""What the minter is asked, read strictly, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from breakglass.records.encoding.text_types import Digest, GrantId
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.strict_json import Count


@dataclass(frozen=True)
class MintRequest:
    """``POST /mint``: the token's text, and how long ago the person asked, by the broker."""

    token: str
    asked_ms_ago: Count


@dataclass(frozen=True)
class EndRequest:
    """``POST /end``: the holder's *done* or a *kill* of this grant."""

    grant: GrantId
    statement: Signed | SignedByPasskey


@dataclass(frozen=True)
class ForgoRequest:
    """``POST /forgo``: promise never to mint this grant, if it was not minted.

    ``intent`` is the SHA-256 of the intent's text: a grant's id is short, and two may share one.
    """

    grant: GrantId
    intent: Digest


@dataclass(frozen=True)
class CredentialView:
    """A credential that works, ``sealed`` to its holder (base64): anybody may carry it.

    ``handout`` is the note by which its holder knows it for ours (docs/spec/handout.md). ``dead``
    says that it is gone already, as after a drill, which seals nothing.
    """

    grant: str
    minter: str
    handle: str
    expires: datetime
    sealed: str
    connect: Mapping[str, str | int]
    probe: str
    since_asked_ms: int
    handout: str
    dead: bool


@dataclass(frozen=True)
class EndedView:
    """When access should have been gone, and whether the target was seen to refuse since."""

    grant: str
    ended: str
    dead: bool
    tail_ms: int | None


@dataclass(frozen=True)
class Forgone:
    """Whether a grant was minted; if not, it never will be."""

    grant: str
    minted: bool


@dataclass(frozen=True)
class MinterSummary:
    """What a minter has under way.

    ``witnessed`` is the newest time that it saw in the log, ``stands_at`` which target it serves,
    and ``target`` what is wrong there.
    """

    grants: Mapping[str, int]
    waiting_records: int
    unappended_doors: tuple[str, ...]
    platform: str
    stands_at: str
    residual_tail_s: float
    unrecorded: str
    witnessed: str
    target: tuple[str, ...]
