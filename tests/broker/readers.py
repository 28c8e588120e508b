"""Reading of a broker as a person by their session, or by any key."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from breakglass.clock import to_milliseconds
from breakglass.http.client import Peer
from breakglass.http.request_signer import RequestSigner
from breakglass.records.session import Session, carried, session_text
from breakglass.records.signing.signature import SESSION_NAMESPACE
from breakglass.tlog.note import SignerKey
from tests.broker.shop import ORIGIN, Shop


@contextlib.contextmanager
def reads_as(shop: Shop, who: str) -> Iterator[Peer]:
    """Read by a session of this person."""
    key, now = SignerKey.generate("session"), to_milliseconds(datetime.now(UTC))
    said = Session(
        ORIGIN, who, key.verifier.public.hex(), now, now + timedelta(hours=1), secrets.token_hex(16)
    )
    session = carried(shop.people[who].sign(session_text(said), SESSION_NAMESPACE))
    with peer(shop, key, session) as found:
        yield found


def peer(shop: Shop, key: SignerKey, session: str = "") -> Peer:
    signer = RequestSigner(ORIGIN, lambda: (key, session), lambda shown: True)
    return Peer(shop.brokers[0].folder, name="broker", signer=signer)


def read(reader: Peer, path: str) -> dict[str, Any]:
    found: dict[str, Any] = reader.send("GET", path, signed=True).checked().json()
    return found
