"""How the organisation rules itself: its beginning, trust, policy, cards, suspensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from breakglass.records.encoding.text_types import Base64, Digest, Handle, Line, SshKey, Word
from breakglass.records.record import Kind, known
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.statement import Target
from breakglass.strict_json import Between, Count, Many

MaintainerKeys = Annotated[tuple[SshKey, ...], Many(8, 1)]


@known
@dataclass(frozen=True)
class Genesis(Kind):
    """Entry 0 of a log: whose it is and who maintains it. Its text's digest names the log."""

    kind: ClassVar[str] = "genesis"
    organisation: Word
    maintainers: Annotated[Mapping[Handle, MaintainerKeys], Many(64, 2)]
    maintainers_needed: Annotated[int, Between(2, 16)]


@known
@dataclass(frozen=True)
class TrustActivated(Kind):
    """A trust file takes force. Attached: the signed file; ``digest`` is of its text."""

    kind: ClassVar[str] = "trust"
    version: Annotated[int, Between(1, 10**9)]
    digest: Digest


@known
@dataclass(frozen=True)
class Policy(Kind):
    """A policy takes force. Attached, in this order: the bundle, the signed policy note.

    ``bundle`` is the SHA-256 of the bundle's bytes and the policy digest of statements and cards.
    """

    kind: ClassVar[str] = "policy"
    version: Annotated[int, Between(1, 10**9)]
    bundle: Digest
    commit: Word


@known
@dataclass(frozen=True)
class Cards(Kind):
    """Glass cards of a policy. Attached: RFC 8785 JSON, glass to the text of its signed card.

    ``cards`` gives each card's digest. The activation of a policy takes every card away; from
    then on cards are added, and one gives way only to one that was issued later.
    """

    kind: ClassVar[str] = "cards"
    policy: Digest
    version: Count
    cards: Annotated[Mapping[Handle, Digest], Many(1000)]


@known
@dataclass(frozen=True)
class Suspended(Kind):
    """A person, a glass or a grant is stopped, or one of the first two let go again.

    ``active`` true takes a statement that says ``kill``, false one that says ``lift``.
    """

    kind: ClassVar[str] = "suspended"
    target: Target
    name: Handle
    active: bool
    statement: Signed | SignedByPasskey


@known
@dataclass(frozen=True)
class KeyHandedOver(Kind):
    """One party's key is followed by another, under a trust file that names both.

    ``party`` is ``log``, ``witness:NAME`` or a submitter's role; ``old`` and ``new`` are verifier
    keys of one name. Each key signed the text of ``handover.py``.
    """

    kind: ClassVar[str] = "key"
    party: Word
    old: Line
    new: Line
    version: Annotated[int, Between(1, 10**9)]
    old_signature: Base64
    new_signature: Base64
