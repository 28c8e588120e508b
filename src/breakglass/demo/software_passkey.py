"""A passkey of software, with the browser around it; only for trying out and for tests.

Source: W3C Web Authentication Level 2, sections 5.8.1.1 and 6.3.3.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass, field, replace
from functools import cached_property

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from breakglass.demo.software_keys import PRESENT, VERIFIED
from breakglass.records.signing.p256_signature import ORDER, P256Signature
from breakglass.records.signing.passkey import HTTPS_PORT, Assertion, PasskeyKey
from breakglass.records.signing.signature import SignedByPasskey

BACKUP_ELIGIBLE = 0x08


@dataclass(frozen=True)
class SoftPasskey:
    """A passkey on P-256 for the page of one host; ``flags`` as an authenticator sets them."""

    seed: bytes = field(repr=False)
    relying_party: str = "breakglass.example"
    flags: int = PRESENT | VERIFIED
    counter: int = 1
    port: int = HTTPS_PORT

    @classmethod
    def of(cls, name: str, relying_party: str = "breakglass.example") -> SoftPasskey:
        """Make the passkey that always belongs to ``name``; for vectors and tests alone."""
        seed = hashlib.sha256(f"soft passkey of {name}".encode()).digest()
        return cls(seed, relying_party)

    def with_flags(self, flags: int) -> SoftPasskey:
        """Return the same passkey, touched or verified otherwise, or kept elsewhere."""
        return replace(self, flags=flags)

    @cached_property
    def _private(self) -> ec.EllipticCurvePrivateKey:
        number = int.from_bytes(self.seed, "big") % (ORDER - 1) + 1
        return ec.derive_private_key(number, ec.SECP256R1())

    @property
    def key(self) -> PasskeyKey:
        """The public key."""
        point = self._private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return PasskeyKey(self.relying_party, self.port, point)

    @property
    def public(self) -> str:
        """The public key as one line: ``passkey HOST[:PORT] KEY``."""
        return str(self.key)

    def sign(self, text: str, namespace: str = "") -> SignedByPasskey:
        """Sign ``text`` as a browser would, with its SHA-256 as the challenge."""
        return SignedByPasskey(text, self.assertion(hashlib.sha256(text.encode()).digest()))

    def client_data(self, challenge: bytes, kind: str = "webauthn.get") -> bytes:
        """Return what a browser writes on this passkey's page."""
        said = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
        return (
            f'{{"type":"{kind}","challenge":"{said}","origin":"https://{self.key.authority}",'
            '"crossOrigin":false}'
        ).encode()

    def assertion(self, challenge: bytes, kind: str = "webauthn.get") -> Assertion:
        """Answer a challenge, in the spelling that verifiers take."""
        return self.assertion_of(self.client_data(challenge, kind))

    def assertion_of(self, client_data: bytes) -> Assertion:
        """Sign any client data."""
        data = hashlib.sha256(self.relying_party.encode()).digest()
        data += struct.pack(">BI", self.flags, self.counter)
        made = self._private.sign(
            data + hashlib.sha256(client_data).digest(),
            ec.ECDSA(SHA256(), deterministic_signing=True),
        )
        low = P256Signature.low(*decode_dss_signature(made)).raw()
        return Assertion(_base64(data), _base64(client_data), _base64(low))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
