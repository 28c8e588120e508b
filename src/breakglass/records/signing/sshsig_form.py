"""The form of an SSHSIG: its parts, its armor, and the one spelling of what it holds.

Nothing heavy is imported here; the responder's client uses this file too.

Source: OpenSSH PROTOCOL.sshsig sections 2 and 3.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.records.signing.key_types import P256, SK_P256
from breakglass.records.signing.p256_signature import P256Signature
from breakglass.records.signing.ssh_wire import Reader, string, strings
from breakglass.tlog.spelling import exact_base64, print_base64

_MAGIC = b"SSHSIG"
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_ARMOR_BEGIN = "-----BEGIN SSH SIGNATURE-----"
_ARMOR_END = "-----END SSH SIGNATURE-----"
_BYTES_AT_MOST = 1024


@dataclass(frozen=True)
class SshsigParts:
    """An SSHSIG taken apart; nothing is checked yet.

    ``key`` and ``signature`` are in SSH wire form; ``hash_name`` is ``sha256`` or ``sha512``.
    """

    key: bytes
    namespace: bytes
    hash_name: str
    signature: bytes

    @classmethod
    def parse(cls, blob: bytes) -> SshsigParts:
        """Take a signature apart, given without its armor.

        Raises:
            MalformedError: ``bad_sshsig``; not an SSHSIG of version 1 that we read.
        """
        if len(blob) > _BYTES_AT_MOST or not blob.startswith(_MAGIC):
            raise _bad("not an SSH signature")
        reader = Reader(blob[len(_MAGIC) :], "SSH signature", ErrorName.BAD_SSHSIG)
        if reader.number() != 1:
            raise _bad("SSH signature of a version other than 1")
        key, namespace, reserved = reader.string(), reader.string(), reader.string()
        hash_name = reader.string().decode("ascii", "replace")
        signature = reader.string()
        reader.end()
        if reserved:
            raise _bad("SSH signature with a reserved field")
        if hash_name not in _HASHES:
            raise _bad("SSH signature with an unknown hash")
        return cls(key, namespace, hash_name, signature)

    def encoded(self) -> bytes:
        """Put the parts together again."""
        parts = (self.key, self.namespace, b"", self.hash_name.encode(), self.signature)
        return _MAGIC + struct.pack(">I", 1) + strings(*parts)


def signed_data(message: bytes, namespace: str, hash_name: str = "sha512") -> bytes:
    """Return the bytes that a key signs for an SSHSIG over ``message``."""
    digest = _HASHES[hash_name](message).digest()
    return _MAGIC + strings(namespace.encode(), b"", hash_name.encode(), digest)


def low_s(blob: bytes) -> bytes:
    """Return an SSHSIG in the spelling that verifiers take; a key or agent gives either.

    Raises:
        MalformedError: ``bad_sshsig``; not an SSHSIG that we read.
    """
    parts = SshsigParts.parse(blob)
    reader = Reader(parts.signature, "SSH signature", ErrorName.BAD_SSHSIG)
    kind = reader.string()
    if kind not in (P256.encode(), SK_P256.encode()):
        return blob
    numbers = reader.string()
    # What a security key says of the touch stands behind the numbers and stays as it is.
    behind = parts.signature[len(strings(kind, numbers)) :]
    low = P256Signature.low_of_mpints(numbers).mpints()
    return replace(parts, signature=string(kind) + string(low) + behind).encoded()


def dearmored(armored: str) -> bytes:
    """Take the signature out of the text that ``ssh-keygen -Y sign`` writes.

    Raises:
        MalformedError: the armor or its base64 is broken.
    """
    lines = armored.strip().split("\n")
    if len(lines) < 3 or lines[0] != _ARMOR_BEGIN or lines[-1] != _ARMOR_END:
        raise _bad("not an armored SSH signature")
    return exact_base64("".join(lines[1:-1]), "SSH signature", ErrorName.BAD_SSHSIG)


def armored(blob: bytes) -> str:
    """Write a signature as ``ssh-keygen -Y verify`` reads it."""
    text = print_base64(blob)
    rows = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join([_ARMOR_BEGIN, *rows, _ARMOR_END]) + "\n"


def _bad(why: str) -> MalformedError:
    return MalformedError(why, name=ErrorName.BAD_SSHSIG)
