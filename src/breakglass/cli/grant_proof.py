"""A grant as the ledger has it: what a broker answers is checked before any of it is shown.

Card, intent, inclusion, witnesses: all of it by the trust file of this client, and against the very
statement that the person signed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from breakglass.cli.client import Client
from breakglass.cli.held_grants import Held
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnprovenError

if TYPE_CHECKING:
    from breakglass.records.trust import Trust
    from breakglass.token.verify import VerifiedToken


def proven_grant(
    client: Client, held: Held, answer: Mapping[str, Any], now: datetime
) -> tuple[VerifiedToken, Trust]:
    """Return what the broker's answer proves of a grant, and the trust file that it is proven by.

    Args:
        client: whose trust file says who is believed.
        held: the grant, with the statement that was signed here.
        answer: of ``POST /break``; its token is read, and nothing else.
        now: by this machine.

    Raises:
        UnprovenError: any part does not hold, or is of another statement. The request was sent, and
            may be recorded all the same.
    """
    from breakglass.cli.own_trust import own_trust
    from breakglass.records.statement import digest_of
    from breakglass.token.token import parse_token
    from breakglass.token.verify import prove_grant

    trust = own_trust(client)
    try:
        token = answer.get("token")
        found = prove_grant(parse_token(str(token).encode("utf-8", "surrogatepass")), trust, now)
        if found.asking.digest != digest_of(held.statement["text"]):
            raise UnprovenError(
                "it is of another statement than was signed here", name=ErrorName.WRONG_GRANT
            )
    except BreakglassError as error:
        raise UnprovenError(
            f"the broker's answer does not prove grant {held.grant!r}: {error}; it may be recorded,"
            " and nothing of it was used",
            name=error.name,
            hint="is this trust file the newest: breakglass trust update; then retry:"
            f" {held.again}",
        ) from error
    return found, trust
