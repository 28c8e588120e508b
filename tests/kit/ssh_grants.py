"""Grants of an ``ssh`` glass, and certificates for them as the minter makes them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_public_key,
)

from breakglass.clock import to_milliseconds
from breakglass.demo.software_keys import SoftKey
from breakglass.records.card import Card, CardMint
from breakglass.records.grant import serial_of, session_name
from tests.kit.organisation import Broken, Organisation

GLASS = "web-hosts"
MORE: Mapping[str, dict[str, tuple[str, ...]]] = {
    GLASS: {},
    "web-tunnel": {"may": ("forward",)},
    "web-office": {"source": ("10.0.0.0/8", "127.0.0.0/8")},
}


@dataclass
class SshOrganisation(Organisation):
    """An organisation, by the machine's own clock, with a glass that reaches accounts of hosts."""

    accounts: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ("web-1",)
    ca: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def __post_init__(self) -> None:
        self.now = to_milliseconds(datetime.now(UTC))
        super().__post_init__()
        self.nonces = 0

    @property
    def ca_public(self) -> str:
        """The CA's public key, as sshd reads it."""
        data = self.ca.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return data.decode()

    def cards(self) -> dict[str, Card]:
        """Return every card; one more is the ssh glass's."""
        found = super().cards()
        scope = {
            "accounts": tuple(sorted(self.accounts)) or ("nobody",),
            "hosts": tuple(sorted({*self.hosts, "web-2"})),
        }
        base = found["deploy-rollback"]
        for glass, more in MORE.items():
            mints = tuple(CardMint(name, "ssh", scope | more, {}) for name in ("other", "web"))
            people = self.card_people(glass).root
            found[glass] = replace(base, glass=glass, gates=(), mints=mints, people=people)
        return found

    def grant(
        self, glass: str = GLASS, *, for_s: int = 600, key: Any = None, **said: Any
    ) -> Broken:
        """Have mira break the glass now."""
        self.now = to_milliseconds(datetime.now(UTC))
        self.nonces += 1
        scope = {"accounts": tuple(sorted(self.accounts)), "hosts": tuple(self.hosts)}
        scope |= MORE[glass] | said.pop("scope", {})
        words = {
            "glass": glass,
            "minter": said.pop("minter", "web"),
            "scope": scope,
            "for_s": for_s,
            "nonce": f"{self.nonces:032x}",
        }
        return self.break_glass(
            said=self.statement(**words, **said), card=self.card_note(glass), key=key
        )

    def token_of(self, broken: Broken, **how: Any) -> bytes:
        """Return the token as it is shown to the minter."""
        minter = broken.intent.minter
        return self.token(broken, run=broken.grant, to=f"minter:{minter}", **how).encoded().encode()


def certificate(
    org: SshOrganisation,
    broken: Broken,
    *,
    token: bytes | None = None,
    ca: Ed25519PrivateKey | None = None,
    holder: str = "",
    extensions: Mapping[bytes, bytes] | None = None,
    **changes: Any,
) -> str:
    """Return the certificate that the minter makes, ``TYPE BASE64``; each argument forges one."""
    intent = broken.intent
    said = {
        "serial": serial_of(intent.handle),
        "key_id": session_name(intent.incident, intent.who).encode(),
        "valid_principals": [intent.handle.encode()],
        "valid_after": int((intent.not_before - timedelta(seconds=120)).timestamp()),
        "valid_before": int(intent.not_after.timestamp()),
    } | changes
    made = SSHCertificateBuilder().type(SSHCertificateType.USER)
    made = made.public_key(load_ssh_public_key((holder or intent.holder).encode()))  # type: ignore[arg-type]
    made = made.serial(said["serial"]).key_id(said["key_id"])
    made = made.valid_principals(said["valid_principals"])
    made = made.valid_after(said["valid_after"]).valid_before(said["valid_before"])
    if networks := ",".join(intent.scope.get("source", ())):
        made = made.add_critical_option(b"source-address", networks.encode())
    given = {b"permit-pty": b""}
    if "forward" in intent.scope.get("may", ()):
        given[b"permit-port-forwarding"] = b""
    shown = org.token_of(broken) if token is None else token
    if shown:
        given[b"token@breakglass.dev"] = shown
    for name, value in sorted((given if extensions is None else extensions).items()):
        made = made.add_extension(name, value)
    return made.sign(ca or org.ca).public_bytes().decode()


def key_files(folder: Path, name: str, key: SoftKey, line: str) -> Path:
    """Write a private key with its certificate beside it; returns the key's path."""
    path = folder / name
    path.write_bytes(key.private_file())
    path.chmod(0o600)
    (folder / f"{name}-cert.pub").write_text(line + "\n")
    return path


def wait_until(holds: Any, within_s: float = 20) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it never did.
    """
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)
