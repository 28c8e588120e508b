"""People made of software: keys that sign as a person's SSH key, security key or passkey would.

Only for trying out, for the demo and for tests. A real security key keeps its secret inside and
answers to a touch; these are files that answer to nobody, so whoever can read one is that person.
Nothing outside ``embedded`` and the tests may import this.

Source: OpenSSH PROTOCOL.sshsig, PROTOCOL.u2f; W3C Web Authentication Level 2.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import struct
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from breakglass.errors import MalformedError
from breakglass.records.signing.passkey import Assertion, PasskeyKey
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.signing.sshsig import ED25519, SK_ED25519, signed_data, sshsig_blob

PRESENT, VERIFIED = 0x01, 0x04
_FILE_WORD = "breakglass-soft-key"
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class SshPerson(Protocol):
    """A key that an ssh-agent can hold."""

    @property
    def blob(self) -> bytes:
        """Return the public key as it stands on the wire."""
        ...

    def sign_wire(self, data: bytes) -> bytes:
        """Sign ``data`` and return the signature in SSH wire form."""
        ...


@dataclass(frozen=True)
class SoftKey:
    """An ``ssh-ed25519`` key: one factor. ``seed`` is its 32 secret bytes."""

    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> SoftKey:
        """Make a new key from the system's randomness."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def of(cls, name: str) -> SoftKey:
        """Make the key that always belongs to ``name``; for vectors and tests alone."""
        return cls(hashlib.sha256(f"soft ssh key of {name}".encode()).digest())

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @cached_property
    def blob(self) -> bytes:
        """The public key as it stands on the wire."""
        return _strings(ED25519.encode(), self._private.public_key().public_bytes_raw())

    @property
    def public(self) -> str:
        """The public key as one line, without a comment."""
        return f"{ED25519} {_base64(self.blob)}"

    def sign_wire(self, data: bytes) -> bytes:
        """Sign ``data`` and return the signature in SSH wire form."""
        return _strings(ED25519.encode(), self._private.sign(data))

    def sshsig(self, text: str, namespace: str, hash_name: str = "sha512") -> bytes:
        """Return an SSHSIG blob over ``text``, as ``ssh-keygen -Y sign`` makes it."""
        signature = self.sign_wire(signed_data(text.encode(), namespace, hash_name))
        return sshsig_blob(self.blob, namespace, hash_name, signature)

    def sign(self, text: str, namespace: str) -> Signed:
        """Sign ``text`` as a person signs a statement."""
        return Signed(text, _base64(self.sshsig(text, namespace)))

    def private_file(self) -> bytes:
        """Return the key as an OpenSSH private key file, which ``ssh-keygen`` signs with."""
        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )

    def encoded(self) -> str:
        """Write the key for ``parse_soft_key``, with its secret."""
        return f"{_FILE_WORD} {ED25519} {_base64(self.seed)}\n"


@dataclass(frozen=True)
class SoftSecurityKey:
    """An ``sk-ssh-ed25519@openssh.com`` key whose touch and verification are chosen by ``flags``.

    ``counter`` is what the key says of how often it signed; nothing here counts it up.
    """

    seed: bytes = field(repr=False)
    flags: int = PRESENT | VERIFIED
    counter: int = 1
    application: bytes = b"ssh:"

    @classmethod
    def generate(cls, flags: int = PRESENT | VERIFIED) -> SoftSecurityKey:
        """Make a new key from the system's randomness."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw(), flags)

    @classmethod
    def of(cls, name: str, flags: int = PRESENT | VERIFIED) -> SoftSecurityKey:
        """Make the key that always belongs to ``name``; for vectors and tests alone."""
        return cls(hashlib.sha256(f"soft security key of {name}".encode()).digest(), flags)

    def with_flags(self, flags: int) -> SoftSecurityKey:
        """Return the same key, touched or verified otherwise."""
        return replace(self, flags=flags)

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @cached_property
    def blob(self) -> bytes:
        """The public key as it stands on the wire."""
        point = self._private.public_key().public_bytes_raw()
        return _strings(SK_ED25519.encode(), point, self.application)

    @property
    def public(self) -> str:
        """The public key as one line, without a comment."""
        return f"{SK_ED25519} {_base64(self.blob)}"

    def sign_wire(self, data: bytes) -> bytes:
        """Sign ``data`` as a security key does: application, flags, counter, and its hash."""
        said = struct.pack(">BI", self.flags, self.counter)
        message = hashlib.sha256(self.application).digest() + said + hashlib.sha256(data).digest()
        return _strings(SK_ED25519.encode(), self._private.sign(message)) + said

    def sshsig(self, text: str, namespace: str, hash_name: str = "sha512") -> bytes:
        """Return an SSHSIG blob over ``text``, as ``ssh-keygen -Y sign`` makes it."""
        signature = self.sign_wire(signed_data(text.encode(), namespace, hash_name))
        return sshsig_blob(self.blob, namespace, hash_name, signature)

    def sign(self, text: str, namespace: str) -> Signed:
        """Sign ``text`` as a person signs a statement."""
        return Signed(text, _base64(self.sshsig(text, namespace)))

    def encoded(self) -> str:
        """Write the key for ``parse_soft_key``, with its secret."""
        seed, application = _base64(self.seed), self.application.decode()
        return f"{_FILE_WORD} {SK_ED25519} {seed} {application} {self.flags}\n"


@dataclass(frozen=True)
class SoftPasskey:
    """A passkey on P-256 for one web domain; ``flags`` as an authenticator sets them."""

    seed: bytes = field(repr=False)
    relying_party: str = "breakglass.example"
    flags: int = PRESENT | VERIFIED
    counter: int = 1

    @classmethod
    def of(cls, name: str, relying_party: str = "breakglass.example") -> SoftPasskey:
        """Make the passkey that always belongs to ``name``; for vectors and tests alone."""
        seed = hashlib.sha256(f"soft passkey of {name}".encode()).digest()
        return cls(seed, relying_party)

    def with_flags(self, flags: int) -> SoftPasskey:
        """Return the same passkey, touched or verified otherwise."""
        return replace(self, flags=flags)

    @cached_property
    def _private(self) -> ec.EllipticCurvePrivateKey:
        number = int.from_bytes(self.seed, "big") % (_P256_ORDER - 1) + 1
        return ec.derive_private_key(number, ec.SECP256R1())

    @property
    def public(self) -> str:
        """The public key as one line: ``passkey DOMAIN KEY``."""
        der = self._private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return str(PasskeyKey(self.relying_party, der))

    def sign(self, text: str, namespace: str = "") -> SignedByPasskey:
        """Sign ``text`` as a browser would, with its SHA-256 as the challenge."""
        return SignedByPasskey(text, self.assertion(hashlib.sha256(text.encode()).digest()))

    def assertion(self, challenge: bytes, kind: str = "webauthn.get") -> Assertion:
        """Answer a challenge."""
        said = {
            "type": kind,
            "challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "origin": f"https://{self.relying_party}",
            "crossOrigin": False,
        }
        return self.assertion_of(json.dumps(said, separators=(",", ":")).encode())

    def assertion_of(self, client_data: bytes) -> Assertion:
        """Sign any client data."""
        data = hashlib.sha256(self.relying_party.encode()).digest()
        data += struct.pack(">BI", self.flags, self.counter)
        signature = self._private.sign(
            data + hashlib.sha256(client_data).digest(),
            ec.ECDSA(SHA256(), deterministic_signing=True),
        )
        return Assertion(_base64(data), _base64(client_data), _base64(signature))


SoftPerson = SoftKey | SoftSecurityKey


def parse_soft_key(data: bytes) -> SoftPerson:
    """Read a key file: one that ``encoded`` wrote, or an OpenSSH private key of Ed25519.

    Raises:
        MalformedError: neither; the bytes are secret and not quoted.
    """
    if data.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----"):
        try:
            loaded = serialization.load_ssh_private_key(data, password=None)
        except (ValueError, TypeError) as error:
            raise MalformedError("not an OpenSSH private key without a passphrase") from error
        if not isinstance(loaded, Ed25519PrivateKey):
            raise MalformedError("the OpenSSH private key is not Ed25519")
        return SoftKey(loaded.private_bytes_raw())
    try:
        match data.decode("ascii").removesuffix("\n").split(" "):
            case [word, kind, seed] if word == _FILE_WORD and kind == ED25519:
                return SoftKey(_seed(seed))
            case [word, kind, seed, application, flags] if word == _FILE_WORD:
                if kind == SK_ED25519 and flags.isdigit() and int(flags) < 256:
                    key = SoftSecurityKey(_seed(seed), int(flags))
                    return replace(key, application=application.encode())
            case _:
                pass
    except ValueError:
        pass  # the cause would quote the secret
    raise MalformedError("not a soft key file of ours")


def _seed(text: str) -> bytes:
    seed = binascii.a2b_base64(text, strict_mode=True)
    if len(seed) != 32:
        raise ValueError("a seed has 32 bytes")
    return seed


def _strings(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
