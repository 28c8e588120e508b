"""People made of software: keys that sign as a person's SSH key or security key would.

Only for trying out, for the demo and for tests. A real security key keeps its secret inside and
answers to a touch; these are files that answer to nobody, so whoever can read one is that person.
Nothing outside ``embedded`` and the tests may import this.

Source: OpenSSH PROTOCOL.sshsig, PROTOCOL.u2f; RFC 5656 section 3.1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Protocol, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from breakglass.errors import MalformedError
from breakglass.records.signing.key_types import ED25519, P256, SK_ED25519, SK_P256
from breakglass.records.signing.signature import Signed
from breakglass.records.signing.ssh_wire import mpint, string, strings
from breakglass.records.signing.sshsig_form import SshsigParts, low_s, signed_data

PRESENT, VERIFIED = 0x01, 0x04
_FILE_WORD = "breakglass-soft-key"


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

    kind: ClassVar[str] = ED25519
    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the system's randomness."""
        return cls(_new_seed(cls.kind))

    @classmethod
    def of(cls, name: str) -> Self:
        """Make the key that always belongs to ``name``; for vectors and tests alone."""
        return cls(hashlib.sha256(f"soft ssh key of {name}".encode()).digest())

    @cached_property
    def blob(self) -> bytes:
        """The public key as it stands on the wire."""
        return _public(self.kind, self.seed)

    @property
    def public(self) -> str:
        """The public key as one line, without a comment."""
        return f"{self.kind} {_base64(self.blob)}"

    def sign_wire(self, data: bytes) -> bytes:
        """Sign ``data`` and return the signature in SSH wire form, with either s, as agents do."""
        return strings(self.kind.encode(), _signature(self.kind, self.seed, data))

    def sshsig(self, text: str, namespace: str, hash_name: str = "sha512") -> bytes:
        """Return an SSHSIG blob over ``text``, as our client makes it with ``ssh-keygen``."""
        return _sshsig(self, text, namespace, hash_name)

    def sign(self, text: str, namespace: str) -> Signed:
        """Sign ``text`` as a person signs a statement."""
        return Signed(text, _base64(self.sshsig(text, namespace)))

    def private_file(self) -> bytes:
        """Return the key as an OpenSSH private key file, which ``ssh-keygen`` signs with."""
        return _private(self.kind, self.seed).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )

    def encoded(self) -> str:
        """Write the key for ``parse_soft_key``, with its secret."""
        return f"{_FILE_WORD} {self.kind} {_base64(self.seed)}\n"


@dataclass(frozen=True)
class SoftP256Key(SoftKey):
    """An ``ecdsa-sha2-nistp256`` key: one factor. ``seed`` is its private number, in 32 bytes."""

    kind: ClassVar[str] = P256


@dataclass(frozen=True)
class SoftSecurityKey:
    """An ``sk-ssh-ed25519@openssh.com`` key whose touch and verification are chosen by ``flags``.

    ``counter`` is what the key says of how often it signed; nothing here counts it up.
    """

    kind: ClassVar[str] = SK_ED25519
    seed: bytes = field(repr=False)
    flags: int = PRESENT | VERIFIED
    counter: int = 1
    application: bytes = b"ssh:"

    @classmethod
    def generate(cls, flags: int = PRESENT | VERIFIED) -> Self:
        """Make a new key from the system's randomness."""
        return cls(_new_seed(cls.kind), flags)

    @classmethod
    def of(cls, name: str, flags: int = PRESENT | VERIFIED) -> Self:
        """Make the key that always belongs to ``name``; for vectors and tests alone."""
        return cls(hashlib.sha256(f"soft security key of {name}".encode()).digest(), flags)

    def with_flags(self, flags: int) -> Self:
        """Return the same key, touched or verified otherwise."""
        return replace(self, flags=flags)

    @cached_property
    def blob(self) -> bytes:
        """The public key as it stands on the wire."""
        return _public(self.kind, self.seed) + string(self.application)

    @property
    def public(self) -> str:
        """The public key as one line, without a comment."""
        return f"{self.kind} {_base64(self.blob)}"

    def sign_wire(self, data: bytes) -> bytes:
        """Sign ``data`` as a security key does: application, flags, counter, and its hash."""
        said = struct.pack(">BI", self.flags, self.counter)
        message = hashlib.sha256(self.application).digest() + said + hashlib.sha256(data).digest()
        return strings(self.kind.encode(), _signature(self.kind, self.seed, message)) + said

    def sshsig(self, text: str, namespace: str, hash_name: str = "sha512") -> bytes:
        """Return an SSHSIG blob over ``text``, as our client makes it with ``ssh-keygen``."""
        return _sshsig(self, text, namespace, hash_name)

    def sign(self, text: str, namespace: str) -> Signed:
        """Sign ``text`` as a person signs a statement."""
        return Signed(text, _base64(self.sshsig(text, namespace)))

    def encoded(self) -> str:
        """Write the key for ``parse_soft_key``, with its secret."""
        seed, application = _base64(self.seed), self.application.decode()
        return f"{_FILE_WORD} {self.kind} {seed} {application} {self.flags}\n"


@dataclass(frozen=True)
class SoftP256SecurityKey(SoftSecurityKey):
    """An ``sk-ecdsa-sha2-nistp256@openssh.com`` key; ``seed`` is its private number."""

    kind: ClassVar[str] = SK_P256


SoftPerson = SoftKey | SoftSecurityKey

_SOFTWARE: dict[str, type[SoftKey]] = {each.kind: each for each in (SoftKey, SoftP256Key)}
_SECURITY: dict[str, type[SoftSecurityKey]] = {
    each.kind: each for each in (SoftSecurityKey, SoftP256SecurityKey)
}


def parse_soft_key(data: bytes) -> SoftPerson:
    """Read a key file: one that ``encoded`` wrote, or an OpenSSH private key of Ed25519 or P-256.

    Raises:
        MalformedError: neither; the bytes are secret and not quoted.
    """
    if data.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----"):
        return _openssh_key(data)
    try:
        match data.decode("ascii").removesuffix("\n").split(" "):
            case [word, kind, seed] if word == _FILE_WORD and kind in _SOFTWARE:
                return _SOFTWARE[kind](_seed(seed))
            case [word, kind, seed, application, flags] if word == _FILE_WORD:
                if kind in _SECURITY and flags.isdigit() and int(flags) < 256:
                    key = _SECURITY[kind](_seed(seed), int(flags))
                    return replace(key, application=application.encode())
            case _:
                pass
    except ValueError:
        pass  # the cause would quote the secret
    raise MalformedError("not a soft key file of ours")


def _openssh_key(data: bytes) -> SoftKey:
    try:
        loaded = serialization.load_ssh_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise MalformedError("not an OpenSSH private key without a passphrase") from error
    if isinstance(loaded, Ed25519PrivateKey):
        return SoftKey(loaded.private_bytes_raw())
    if isinstance(loaded, ec.EllipticCurvePrivateKey) and isinstance(loaded.curve, ec.SECP256R1):
        return SoftP256Key(_number(loaded))
    raise MalformedError("the OpenSSH private key is neither Ed25519 nor P-256")


def _new_seed(kind: str) -> bytes:
    if kind in (P256, SK_P256):
        return _number(ec.generate_private_key(ec.SECP256R1()))
    return Ed25519PrivateKey.generate().private_bytes_raw()


def _number(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_numbers().private_value.to_bytes(32, "big")


def _private(kind: str, seed: bytes) -> Ed25519PrivateKey | ec.EllipticCurvePrivateKey:
    if kind in (P256, SK_P256):
        return ec.derive_private_key(int.from_bytes(seed, "big"), ec.SECP256R1())
    return Ed25519PrivateKey.from_private_bytes(seed)


def _public(kind: str, seed: bytes) -> bytes:
    private = _private(kind, seed)
    if isinstance(private, Ed25519PrivateKey):
        return strings(kind.encode(), private.public_key().public_bytes_raw())
    point = private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return strings(kind.encode(), b"nistp256", point)


def _signature(kind: str, seed: bytes, message: bytes) -> bytes:
    private = _private(kind, seed)
    if isinstance(private, Ed25519PrivateKey):
        return private.sign(message)
    # Without randomness, so that vectors stay what they are; s comes out in either half.
    made = private.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
    return b"".join(map(mpint, decode_dss_signature(made)))


def _sshsig(key: SshPerson, text: str, namespace: str, hash_name: str) -> bytes:
    signature = key.sign_wire(signed_data(text.encode(), namespace, hash_name))
    return low_s(SshsigParts(key.blob, namespace.encode(), hash_name, signature).encoded())


def _seed(text: str) -> bytes:
    seed = binascii.a2b_base64(text, strict_mode=True)
    if len(seed) != 32:
        raise ValueError("a seed has 32 bytes")
    return seed


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
