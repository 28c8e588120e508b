"""From the bytes of ``POST /break`` to a request that cannot be wrong in its form afterwards."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.http.routes import Request
from breakglass.policy.networks import read_address
from breakglass.records.presentation import parse_presentation
from breakglass.records.signing.signature import Signature, Signed, SignedByPasskey
from breakglass.records.statement import AccessRequest, digest_of, grant_id, parse_request


@dataclass(frozen=True)
class BreakBody:
    """``POST /break``; the presentation is for the statement's minter, its run the grant."""

    statement: Signed | SignedByPasskey
    presentation: Signed | None


@dataclass(frozen=True)
class BreakRequest:
    """Somebody asks for a glass. ``said`` is what ``signed`` says; nothing is believed yet.

    ``address`` is where they ask from, as this broker sees it; empty at the custodians' door. It is
    looked up in the bundle's networks, and written and logged nowhere.
    """

    signed: Signature
    said: AccessRequest
    grant: str
    presentation: Signed | None
    address: str = field(default="", repr=False)


def break_request(body: BreakBody, address: str = "") -> BreakRequest:
    """Read the statement, and the presentation that must fit it; ``address`` is where it is from.

    Raises:
        MalformedError: no statement that asks for a glass, or a presentation of something else:
            found here, since an intent that nobody can use would stand in the ledger for ever.
    """
    text = body.statement.text
    said = parse_request(text)
    grant = grant_id(text)
    if body.presentation is not None:
        shown = parse_presentation(body.presentation.text)
        wanted = (said.log, digest_of(text), f"minter:{said.minter}", grant)
        if (shown.log, shown.statement, shown.to, shown.run) != wanted:
            raise MalformedError(
                f"presentation: expected one for {wanted[2]!r} and run {grant!r} of this statement",
                name=ErrorName.WRONG_PRESENTATION,
            )
    return BreakRequest(body.statement, said, grant, body.presentation, address)


def address_of(asked: Request[Any], proxies: Collection[str]) -> str:
    """Return the address that a request comes from, as far as it is beyond doubt.

    A header is anybody's word. So the one at the other end of the connection counts, and only where
    that is a proxy of our settings, the last address that it wrote; and so on, proxy by proxy.
    """
    trusted = {read_address(each) for each in proxies}
    found = asked.peer
    written = [each.strip() for each in asked.headers.get("x-forwarded-for", "").split(",")]
    while written and read_address(found) in trusted:
        found = written.pop()
    return found
