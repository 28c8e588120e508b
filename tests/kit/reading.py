"""A caller that signs what it reads: with a key that the process at the other end knows."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from breakglass.http.client import Incoming, Outgoing, Peer, Reply
from breakglass.http.request_signature import RequestText, body_digest
from breakglass.http.request_signer import RequestSigner
from breakglass.process.key_store import read_key
from breakglass.records.session import USUAL, Session
from breakglass.tlog.key import ED25519
from breakglass.tlog.note import Signer, SignerKey

READER = SignerKey("session", ED25519, bytes(range(32)))
_AT = datetime(2026, 6, 22, 3, 14, 9, 221000, UTC)
PROCESS = SignerKey("broker.example", ED25519, bytes(range(32, 64)))
REQUEST_TEXT = RequestText(
    log="ledger.example/one",
    to=str(PROCESS.verifier),
    method="GET",
    target="/grants/g-7kq3m2x4p5ab",
    body=body_digest(b""),
    by=READER.verifier.public.hex(),
    at=_AT,
    nonce="000102030405060708090a0b0c0d0e0f",
)
SESSION = Session(
    log="ledger.example/one",
    who="mira",
    key=READER.verifier.public.hex(),
    at=_AT,
    until=_AT + USUAL,
    nonce="101112131415161718191a1b1c1d1e1f",
)
_OPEN = ("/healthz", "/checkpoint", "/proof/", "/submitter/", "/glasses", "/trust")


def signs(key: Signer | None, log: str = "") -> RequestSigner | None:
    """Sign as ``key`` for whatever process answers; ``log`` may be left out for a ledger."""
    return None if key is None else RequestSigner(log, key, lambda shown: True)


class ReadingPeer(Peer):
    """Signs every read that some process asks a signature for, as its neighbours do."""

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Outgoing = b"",
        content_type: str = "application/octet-stream",
        *,
        within: timedelta | None = None,
        headers: Mapping[str, str] | None = None,
        into: Incoming | None = None,
        signed: bool = False,
    ) -> Reply:
        """Make one call."""
        # ``/glasses/mine`` is no open one.
        closed = method == "GET" and (path.endswith("/mine") or not path.startswith(_OPEN))
        return super().send(
            method,
            path,
            body,
            content_type,
            within=within,
            headers=headers,
            into=into,
            signed=signed or closed,
        )


def folder_peer(org: Path, name: str, within_s: float = 5) -> Peer:
    """Speak to a process of an organisation in one folder, as its monitor does."""
    log = tomllib.loads((org / "client.toml").read_text())["log"]
    signer = signs(read_key(org / "monitor"), log)
    return ReadingPeer(org / name, name=name, within=timedelta(seconds=within_s), signer=signer)
