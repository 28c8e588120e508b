"""Requests to the minter, read strictly: what is missing, unknown or of another type is refused."""

from __future__ import annotations

from dataclasses import dataclass

from breakglass.records.encoding.text_types import GrantId
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
    """``POST /forgo``: promise never to mint this grant, if it was not minted."""

    grant: GrantId
