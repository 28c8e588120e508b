"""Passkey assertions: the second way that people sign, from a page.

The challenge is the SHA-256 of the text, so the assertion is a signature over that text.

Source: W3C Web Authentication Level 2, sections 6.1 (authenticator data), 6.3.3 and 7.2.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from breakglass.errors import MalformedError, UnprovenError
from breakglass.records.encoding.text_types import Base64
from breakglass.tlog.spelling import exact_base64, print_base64

_PRESENT, _VERIFIED = 0x01, 0x04
_DATA_BYTES = 37  # relying party hash 32, flags 1, counter 4


@dataclass(frozen=True)
class PasskeyKey:
    """A registered passkey: ``passkey DOMAIN KEY``, the key a P-256 SubjectPublicKeyInfo."""

    relying_party: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> PasskeyKey:
        """Read the one-line form.

        Raises:
            MalformedError: another form, or not a P-256 key.
        """
        return _key_from_text(text)

    def load(self) -> EllipticCurvePublicKey:
        """Return the public key.

        Raises:
            MalformedError: the bytes hold no P-256 key.
        """
        try:
            loaded = load_der_public_key(self.public)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise MalformedError("a passkey holds no public key", name="bad_passkey") from error
        if not isinstance(loaded, EllipticCurvePublicKey) or not isinstance(
            loaded.curve, SECP256R1
        ):
            raise MalformedError("a passkey's key is not on P-256", name="bad_passkey")
        if loaded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != self.public:
            raise MalformedError("a passkey's key is in a second spelling", name="bad_passkey")
        return loaded

    def __str__(self) -> str:
        return f"passkey {self.relying_party} {print_base64(self.public)}"


@dataclass(frozen=True)
class Assertion:
    """What the browser hands back for one signature; each field in padded base64."""

    authenticator_data: Base64
    client_data: Base64
    signature: Base64


def verify_assertion(assertion: Assertion, message: bytes, key: PasskeyKey) -> None:
    """Check that ``key``'s holder, verified by the authenticator, signed ``message``.

    Raises:
        MalformedError: the parts are not in the form that the standard gives.
        UnprovenError: another challenge or domain, no user verification, or a bad signature.

    Source: Web Authentication Level 2, section 7.2, steps 11 to 20.
    """
    data = _decoded(assertion.authenticator_data, "authenticator data")
    client = _decoded(assertion.client_data, "client data")
    if len(data) < _DATA_BYTES:
        raise MalformedError("authenticator data is too short", name="bad_passkey")
    try:
        fields = json.loads(client.decode())
        kind, challenge = fields["type"], fields["challenge"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise MalformedError(
            "client data is not what a browser writes", name="bad_passkey"
        ) from error
    wanted = base64.urlsafe_b64encode(hashlib.sha256(message).digest()).rstrip(b"=").decode()
    if kind != "webauthn.get" or challenge != wanted:
        raise UnprovenError("the passkey signed another text", name="signature")
    if data[:32] != hashlib.sha256(key.relying_party.encode()).digest():
        raise UnprovenError("the passkey signed for another domain", name="namespace")
    if not (data[32] & _PRESENT and data[32] & _VERIFIED):
        raise UnprovenError("the passkey did not verify its user", name="presence")
    try:
        key.load().verify(
            _decoded(assertion.signature, "passkey signature"),
            data + hashlib.sha256(client).digest(),
            ECDSA(SHA256()),
        )
    except InvalidSignature as error:
        raise UnprovenError("a passkey signature does not hold", name="signature") from error


@lru_cache(maxsize=4096)
def _key_from_text(text: str) -> PasskeyKey:
    words = text.split(" ")
    if len(words) != 3 or words[0] != "passkey" or not words[1]:
        raise MalformedError("a passkey is 'passkey', its domain and its key", name="bad_passkey")
    key = PasskeyKey(words[1], exact_base64(words[2], "passkey", "bad_passkey"))
    key.load()
    return key


def _decoded(text: str, what: str) -> bytes:
    return exact_base64(text, what, "bad_passkey")
