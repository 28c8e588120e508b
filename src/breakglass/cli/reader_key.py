"""With which key this machine reads: a grant's holder key, a session, or the ledger's reader key.

A session is signed once an hour and kept, 0600, in the state folder; nothing but reading asks for
one. Its key is of this machine alone: what a broker sees of it reads nothing at the monitor.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from breakglass.cli import held_grants, output
from breakglass.cli.own_trust import own_trust
from breakglass.cli.sign_statement import nonce, now
from breakglass.errors import BreakglassError, MisconfiguredError, UnavailableError
from breakglass.http.request_signer import RequestSigner
from breakglass.person import ssh_keygen
from breakglass.process.folder import write_whole
from breakglass.records.session import (
    USUAL,
    Session,
    carried,
    read_carried,
    session_text,
)
from breakglass.records.signing.signature import SESSION_NAMESPACE, Signed
from breakglass.tlog.key import ED25519, VerifierKey
from breakglass.tlog.note import SignerKey

if TYPE_CHECKING:
    from breakglass.cli.client import Client

_LEAST_LEFT = timedelta(seconds=30)  # of a session that a command may begin with
_FILE = "session.json"
_ONE_TOUCH = threading.Lock()


def signer_for(client: Client, role: str, grant: str) -> RequestSigner:
    """Return what signs a read at a process of ``role``: ``broker`` or ``monitor``.

    Args:
        client: whose.
        role: of the trust file.
        grant: the one that is read; its own key needs no session. Empty if it is not one.

    Raises:
        BreakglassError: the trust file cannot be read, or the person's key did not sign.
    """
    believes = _believes(client, role)
    holder = _holder_key(client, grant) if grant else None
    if holder is not None:
        return RequestSigner(client.log, holder, believes)
    return RequestSigner(client.log, lambda: _session(client), believes)


def session_stands(client: Client) -> bool:
    """Say whether a session is kept here that nobody has to sign first."""
    return _kept(client, client.state / _FILE) is not None


def ledger_signer(client: Client) -> RequestSigner | None:
    """Return what signs reads of the ledger's entries, if ``client.toml`` names a ``reader`` key.

    Raises:
        MisconfiguredError: the key cannot be read.
    """
    if client.reader is None:
        return None
    try:
        key = SignerKey.parse(client.reader.read_text("ascii").strip())
    except (OSError, UnicodeDecodeError, BreakglassError) as error:
        raise MisconfiguredError(f"reader key {str(client.reader)!r} cannot be read") from error
    return RequestSigner(
        client.log, key, lambda shown: any(log.vkey == shown for log in own_trust(client).tlog.logs)
    )


def _believes(client: Client, role: str) -> Callable[[VerifierKey], bool]:
    # Read when a process has answered: that it does not is said first.
    return lambda key: str(own_trust(client).submitters.get(key, "")) == role


def _holder_key(client: Client, grant: str) -> SignerKey | None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    try:
        data = (held_grants.held(client.state, grant).folder / "holder").read_bytes()
    except (MisconfiguredError, OSError):
        return None
    key = load_ssh_private_key(data, None)
    assert isinstance(key, Ed25519PrivateKey), "we made it"
    return SignerKey("holder", ED25519, key.private_bytes_raw())


def _session(client: Client) -> tuple[SignerKey, str]:
    """Return the key of the session that stands here, or of a new one."""
    path = client.state / _FILE
    with _ONE_TOUCH:  # brokers are asked side by side
        kept = _kept(client, path)
        return kept if kept is not None else _begun(client, path)


def _kept(client: Client, path: Path) -> tuple[SignerKey, str] | None:
    try:
        value = json.loads(path.read_bytes())
        key, shown = SignerKey("session", ED25519, bytes.fromhex(value["seed"])), value["session"]
        session, _ = read_carried(shown)
    except (OSError, ValueError, KeyError, TypeError, BreakglassError):
        return None  # none, or of another release: the next one is signed
    ours = (session.log, session.who, session.key)
    if ours != (client.log, client.who, key.verifier.public.hex()):
        return None
    if value.get("signer") != str(client.key) or session.until - now() < _LEAST_LEFT:
        return None
    return key, shown


def _begun(client: Client, path: Path) -> tuple[SignerKey, str]:
    key = SignerKey("session", ED25519, secrets.token_bytes(32))
    at = now()
    session = Session(client.log, client.who, key.verifier.public.hex(), at, at + USUAL, nonce())
    text = session_text(session)
    client.announce()
    output.talk(f"sign to read as {client.who!r}, until {output.clock_time(session.until, at)}")
    person = ssh_keygen.read_key(client.key)
    shown = carried(Signed(text, ssh_keygen.sign(text, SESSION_NAMESPACE, person, output.talk)))
    value = {"seed": key.seed.hex(), "session": shown, "signer": str(client.key)}
    # Not kept is asked for again; nobody is kept from reading by a full disk.
    with contextlib.suppress(OSError, UnavailableError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, json.dumps(value).encode(), 0o600)
    return key, shown
