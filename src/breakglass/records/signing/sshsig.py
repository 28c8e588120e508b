"""SSH public keys and SSHSIG signatures: how people sign.

Software keys (``ssh-ed25519``) and hardware keys (``sk-ssh-ed25519@openssh.com``) are read; the
client signs with ``ssh-keygen -Y sign``, so agents and security keys work unchanged.

Source: OpenSSH PROTOCOL.sshsig, PROTOCOL.u2f; RFC 4251 section 5, RFC 8709.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from breakglass.errors import MalformedError, UnprovenError
from breakglass.tlog.spelling import exact_base64, print_base64

ED25519 = "ssh-ed25519"
SK_ED25519 = "sk-ssh-ed25519@openssh.com"
_MAGIC = b"SSHSIG"
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_ARMOR_BEGIN = "-----BEGIN SSH SIGNATURE-----"
_ARMOR_END = "-----END SSH SIGNATURE-----"
_PRESENT, _VERIFIED = 0x01, 0x04
_SIGNATURE_BYTES_AT_MOST = 1024
_APPLICATION = re.compile(rb"ssh:[\x21-\x7e]{0,100}")

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

    ``application`` is empty for a software key and usually ``ssh:`` for a hardware key.
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
            MalformedError: another key type, or bytes missing or left over.
        """
        return _key_from_blob(blob)

    @property
    def hardware(self) -> bool:
        """Whether the private half lives in a security key."""
        return self.kind == SK_ED25519

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check a bare Ed25519 signature.

        Raises:
            UnprovenError: ``signature``.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.point).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise UnprovenError("an SSH signature does not hold", name="signature") from error

    def __str__(self) -> str:
        return f"{self.kind} {print_base64(self.blob)}"


@dataclass(frozen=True)
class SshSignature:
    """A signature that was checked, and what the security key said of the person's touch."""

    key: SshPublicKey
    present: bool
    verified: bool


def verify_sshsig(blob: bytes, message: bytes, namespace: str) -> SshSignature:
    """Check an SSHSIG over ``message`` and return by which key, touched and verified or not.

    Which key may sign is for the caller to say. A hardware signature without presence is refused
    here, although ``ssh-keygen -Y verify`` lets it pass.

    Args:
        blob: the signature without its armor, as ``dearmored`` returns it.
        message: the exact bytes that were signed.
        namespace: what the signature must be for; a signature for another purpose is refused.

    Raises:
        MalformedError: the bytes are not an SSHSIG of version 1 that we read.
        UnprovenError: another namespace (``namespace``), no touch (``presence``), or the
            signature does not hold (``signature``).

    Source: PROTOCOL.sshsig sections 2 and 3; PROTOCOL.u2f, «SSH U2F Signatures».
    """
    if len(blob) > _SIGNATURE_BYTES_AT_MOST or not blob.startswith(_MAGIC):
        raise MalformedError("not an SSH signature", name="bad_sshsig")
    reader = _Reader(blob[len(_MAGIC) :], "SSH signature")
    if reader.number() != 1:
        raise MalformedError("SSH signature of a version other than 1", name="bad_sshsig")
    key = SshPublicKey.from_blob(reader.string())
    found_namespace, reserved, hash_name = reader.string(), reader.string(), reader.string()
    signature = reader.string()
    reader.end()
    if reserved:
        raise MalformedError("SSH signature with a reserved field", name="bad_sshsig")
    if found_namespace != namespace.encode():
        raise UnprovenError(
            f"signed in namespace {found_namespace.decode('ascii', 'replace')[:60]!r},"
            f" wanted {namespace!r}",
            name="namespace",
        )
    digest = _HASHES.get(hash_name.decode("ascii", "replace"))
    if digest is None:
        raise MalformedError("SSH signature with an unknown hash", name="bad_sshsig")
    signed = _MAGIC + b"".join(
        map(_string, (found_namespace, reserved, hash_name, digest(message).digest()))
    )
    return _verify(key, signature, signed)


def _verify(key: SshPublicKey, signature: bytes, signed: bytes) -> SshSignature:
    reader = _Reader(signature, "SSH signature")
    if reader.string() != key.kind.encode():
        raise MalformedError("SSH signature and key are of two types", name="bad_sshsig")
    point_signature = reader.string()
    flags = 0
    if key.hardware:
        flags, counter = reader.byte(), reader.number()
        # Source: PROTOCOL.u2f: application hash, flags, counter, message hash.
        signed = (
            hashlib.sha256(key.application).digest()
            + struct.pack(">BI", flags, counter)
            + hashlib.sha256(signed).digest()
        )
    reader.end()
    key.verify(point_signature, signed)
    present = bool(flags & _PRESENT)
    if key.hardware and not present:
        raise UnprovenError("a security key signed without a touch", name="presence")
    return SshSignature(key, present, bool(flags & _VERIFIED))


def dearmored(armored: str) -> bytes:
    """Take the signature out of the text that ``ssh-keygen -Y sign`` writes.

    Raises:
        MalformedError: the armor or its base64 is broken.
    """
    lines = armored.strip().split("\n")
    if len(lines) < 3 or lines[0] != _ARMOR_BEGIN or lines[-1] != _ARMOR_END:
        raise MalformedError("not an armored SSH signature", name="bad_sshsig")
    return exact_base64("".join(lines[1:-1]), "SSH signature", "bad_sshsig")


def armored(blob: bytes) -> str:
    """Write a signature as ``ssh-keygen -Y verify`` reads it."""
    text = print_base64(blob)
    rows = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join([_ARMOR_BEGIN, *rows, _ARMOR_END]) + "\n"


def sshsig_blob(key_blob: bytes, namespace: str, hash_name: str, signature: bytes) -> bytes:
    """Put together a signature blob from its parts; ``signature`` is in SSH wire form."""
    parts = (key_blob, namespace.encode(), b"", hash_name.encode(), signature)
    return _MAGIC + struct.pack(">I", 1) + b"".join(map(_string, parts))


def signed_data(message: bytes, namespace: str, hash_name: str = "sha512") -> bytes:
    """Return the bytes that an ``ssh-ed25519`` key signs for an SSHSIG over ``message``."""
    digest = _HASHES[hash_name](message).digest()
    return _MAGIC + b"".join(map(_string, (namespace.encode(), b"", hash_name.encode(), digest)))


@lru_cache(maxsize=4096)
def _key_from_blob(blob: bytes) -> SshPublicKey:
    reader = _Reader(blob, "SSH public key", "bad_ssh_key")
    kind = reader.string().decode("ascii", "replace")
    if kind not in (ED25519, SK_ED25519):
        raise MalformedError(
            f"SSH key type {kind[:40]!r} is not read",
            name="bad_ssh_key",
            hint="make one with: ssh-keygen -t ed25519-sk  (or -t ed25519)",
        )
    point = reader.string()
    application = reader.string() if kind == SK_ED25519 else b""
    reader.end()
    _check_point(point)
    if kind == SK_ED25519 and not _APPLICATION.fullmatch(application):
        # One made for a web page answers to that page's scripts; ssh-keygen makes «ssh:» alone.
        raise MalformedError("a security key's application begins 'ssh:'", name="bad_ssh_key")
    return SshPublicKey(kind, point, application, blob)


@lru_cache(maxsize=4096)
def _key_from_text(text: str) -> SshPublicKey:
    words = text.split()
    if len(words) < 2:
        raise MalformedError("an SSH public key is a type and its base64", name="bad_ssh_key")
    key = _key_from_blob(exact_base64(words[1], "SSH public key", "bad_ssh_key"))
    if key.kind != words[0]:
        raise MalformedError(
            f"SSH public key says {words[0][:40]!r} but holds {key.kind!r}", name="bad_ssh_key"
        )
    return key


def _check_point(point: bytes) -> None:
    if len(point) != 32:
        raise MalformedError("an Ed25519 public key has 32 bytes", name="bad_ssh_key")
    y = int.from_bytes(point, "little") & (2**255 - 1)
    if y >= _FIELD or y in _SMALL_ORDER:
        raise MalformedError("this Ed25519 key signs for anybody", name="bad_ssh_key")


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


class _Reader:
    """Takes RFC 4251 fields off the front of some bytes."""

    def __init__(self, data: bytes, what: str, name: str = "bad_sshsig") -> None:
        self._data, self._at, self._what, self._name = data, 0, what, name

    def _take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise MalformedError(
                f"{self._what}: {count} bytes wanted, {len(piece)} left", name=self._name
            )
        self._at += count
        return piece

    def byte(self) -> int:
        return self._take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def string(self) -> bytes:
        return self._take(self.number())

    def end(self) -> None:
        if self._at != len(self._data):
            raise MalformedError(f"{self._what}: bytes left over at the end", name=self._name)
