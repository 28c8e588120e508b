"""SSH public keys and SSHSIG signatures: how people sign.

The client signs with ``ssh-keygen -Y sign``, so agents and security keys work unchanged.

Source: OpenSSH PROTOCOL.sshsig, PROTOCOL.u2f; RFC 8709, RFC 5656 section 3.1.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.records.signing import p256_key
from breakglass.records.signing.key_types import (
    P256,
    SECURITY_KEY_TYPES,
    SK_P256,
    SSH_KEY_TYPES,
    refusal,
)
from breakglass.records.signing.p256_signature import P256Signature
from breakglass.records.signing.ssh_wire import Reader
from breakglass.records.signing.sshsig_form import SshsigParts, signed_data
from breakglass.tlog.spelling import exact_base64, print_base64

_PRESENT, _VERIFIED = 0x01, 0x04
_APPLICATION = re.compile(rb"ssh:[\x21-\x7e]{0,100}")
_CURVE = b"nistp256"
_ED25519_BYTES = 64

_FIELD = 2**255 - 19
# The y coordinates of the points of order 1, 2, 4 and 8. Under such a key a signature can be made
# that holds for any text, by anybody. Source: RFC 7748 section 6; libsodium, has_small_order.
_SMALL_ORDER = frozenset({0, 1, _FIELD - 1}) | {
    int.from_bytes(bytes.fromhex(point), "little")
    for point in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
}


@dataclass(frozen=True)
class SshPublicKey:
    """A person's or a holder's public key.

    ``point`` is what makes two keys one: 32 bytes on Ed25519, 65 on P-256. ``application`` is empty
    for a software key and usually ``ssh:`` for a security key.
    """

    kind: str
    point: bytes
    application: bytes
    blob: bytes

    @classmethod
    def parse(cls, text: str) -> SshPublicKey:
        """Read ``ssh-ed25519 AAAA…``, with or without a comment behind it.

        Raises:
            MalformedError: ``bad_ssh_key``; another key type, or base64 that does not hold such a
                key in its one spelling.
        """
        return _key_from_text(text)

    @classmethod
    def from_blob(cls, blob: bytes) -> SshPublicKey:
        """Read a key as it stands on the wire.

        Raises:
            MalformedError: ``bad_ssh_key``; another key type, or bytes missing or left over.
        """
        return _key_from_blob(blob)

    @property
    def hardware(self) -> bool:
        """Whether the private half lives in a security key."""
        return self.kind in SECURITY_KEY_TYPES

    @property
    def on_p256(self) -> bool:
        """Whether the key is a point of P-256; else it is one of Ed25519."""
        return self.kind in (P256, SK_P256)

    def __str__(self) -> str:
        return f"{self.kind} {print_base64(self.blob)}"


@dataclass(frozen=True)
class SshSignature:
    """An SSHSIG in its form; whether it holds is for ``verify`` to say, whose it is for callers.

    ``value`` is what the key made; ``flags`` and ``counter`` are what a security key said with it,
    and 0 for a software key. The counter is not judged: two honest signatures may come in either
    order.
    """

    key: SshPublicKey
    namespace: bytes
    hash_name: str
    value: bytes | P256Signature
    flags: int
    counter: int

    @classmethod
    def parse(cls, blob: bytes) -> SshSignature:
        """Read a signature without its armor.

        Raises:
            MalformedError: ``bad_sshsig``; not an SSHSIG of version 1 in the one spelling that we
                read. ``bad_ssh_key``; the key inside is none.
        """
        parts = SshsigParts.parse(blob)
        key = SshPublicKey.from_blob(parts.key)
        reader = Reader(parts.signature, "SSH signature", ErrorName.BAD_SSHSIG)
        kind = reader.string().decode("ascii", "replace")
        if kind != key.kind:
            raise MalformedError(
                f"SSH signature of type {kind[:60]!r} by a key of type {key.kind!r}",
                name=ErrorName.BAD_SSHSIG,
            )
        value = _value(key, reader.string())
        flags, counter = (reader.byte(), reader.number()) if key.hardware else (0, 0)
        reader.end()
        return cls(key, parts.namespace, parts.hash_name, value, flags, counter)

    @property
    def present(self) -> bool:
        """Whether the security key says that it was touched."""
        return bool(self.flags & _PRESENT)

    @property
    def verified(self) -> bool:
        """Whether the security key says that it verified its user."""
        return bool(self.flags & _VERIFIED)

    def verify(self, message: bytes, namespace: str) -> None:
        """Check that the key signed ``message`` for this purpose, and was touched if it can be.

        A security key's signature without presence is refused, although ``ssh-keygen -Y verify``
        lets it pass.

        Raises:
            UnprovenError: another namespace (``namespace``), then the signature does not hold
                (``signature``), then no touch (``presence``).

        Source: PROTOCOL.sshsig section 3; PROTOCOL.u2f, «SSH U2F Signatures».
        """
        if self.namespace != namespace.encode():
            raise UnprovenError(
                f"signed in namespace {self.namespace.decode('ascii', 'replace')[:60]!r},"
                f" wanted {namespace!r}",
                name=ErrorName.NAMESPACE,
            )
        signed = signed_data(message, namespace, self.hash_name)
        if self.key.hardware:
            # Source: PROTOCOL.u2f: application hash, flags, counter, message hash.
            said = struct.pack(">BI", self.flags, self.counter)
            application = hashlib.sha256(self.key.application).digest()
            signed = application + said + hashlib.sha256(signed).digest()
        if isinstance(self.value, P256Signature):
            p256_key.verify(self.value, signed, self.key.point)
        else:
            _verify_ed25519(self.value, signed, self.key.point)
        if self.key.hardware and not self.present:
            raise UnprovenError("a security key signed without a touch", name=ErrorName.PRESENCE)


def verify_sshsig(blob: bytes, message: bytes, namespace: str) -> SshSignature:
    """Check an SSHSIG over ``message`` and return by which key, touched and verified or not.

    Which key may sign is for the caller to say.

    Args:
        blob: the signature without its armor, as ``dearmored`` returns it.
        message: the exact bytes that were signed.
        namespace: what the signature must be for; a signature for another purpose is refused.

    Raises:
        MalformedError: see ``SshSignature.parse``.
        UnprovenError: see ``SshSignature.verify``.
    """
    signature = SshSignature.parse(blob)
    signature.verify(message, namespace)
    return signature


def _value(key: SshPublicKey, data: bytes) -> bytes | P256Signature:
    if key.on_p256:
        return P256Signature.from_mpints(data)
    if len(data) != _ED25519_BYTES:
        raise MalformedError(
            f"an Ed25519 signature has {_ED25519_BYTES} bytes, got {len(data)}",
            name=ErrorName.BAD_SSHSIG,
        )
    return data


def _verify_ed25519(signature: bytes, message: bytes, point: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(point).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise UnprovenError("an SSH signature does not hold", name=ErrorName.SIGNATURE) from error


@lru_cache(maxsize=4096)
def _key_from_blob(blob: bytes) -> SshPublicKey:
    reader = Reader(blob, "SSH public key", ErrorName.BAD_SSH_KEY)
    kind = reader.string().decode("ascii", "replace")
    if kind not in SSH_KEY_TYPES:
        raise _bad_key(refusal(kind))
    if kind in (P256, SK_P256) and reader.string() != _CURVE:
        raise _bad_key(f"a key of type {kind!r} names another curve")
    point = reader.string()
    application = reader.string() if kind in SECURITY_KEY_TYPES else b""
    reader.end()
    key = SshPublicKey(kind, point, application, blob)
    if key.on_p256:
        p256_key.check_point(point, ErrorName.BAD_SSH_KEY)
    else:
        _check_ed25519(point)
    if key.hardware and not _APPLICATION.fullmatch(application):
        # One made for a web page answers to that page's scripts; ssh-keygen makes «ssh:» alone.
        raise _bad_key("a security key's application begins 'ssh:'")
    return key


@lru_cache(maxsize=4096)
def _key_from_text(text: str) -> SshPublicKey:
    words = text.split()
    if len(words) < 2:
        raise _bad_key("an SSH public key is a type and its base64")
    if words[0] not in SSH_KEY_TYPES:
        raise _bad_key(refusal(words[0]))
    key = _key_from_blob(exact_base64(words[1], "SSH public key", ErrorName.BAD_SSH_KEY))
    if key.kind != words[0]:
        raise _bad_key(f"SSH public key says {words[0][:40]!r} but holds {key.kind!r}")
    return key


def _check_ed25519(point: bytes) -> None:
    if len(point) != 32:
        raise _bad_key("an Ed25519 public key has 32 bytes")
    y = int.from_bytes(point, "little") & (2**255 - 1)
    if y >= _FIELD or y in _SMALL_ORDER:
        raise _bad_key("this Ed25519 key signs for anybody")


def _bad_key(why: str) -> MalformedError:
    return MalformedError(why, name=ErrorName.BAD_SSH_KEY)
