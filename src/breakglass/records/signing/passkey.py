"""Passkey assertions: the second way that people sign, from a page on one host.

The challenge is the SHA-256 of the text, so the assertion is a signature over that text. Client
data is compared byte for byte and never parsed: two readers of one JSON text may find two
challenges in it.

Source: W3C Web Authentication Level 2, sections 5.8.1.1 (serialization), 5.8.1.2 (limited
verification), 6.1 (authenticator data) and 7.2; Level 3, section 6.1 (the backup flags).
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.records.encoding.text_types import Base64
from breakglass.records.signing import p256_key
from breakglass.records.signing.p256_signature import P256Signature
from breakglass.tlog.spelling import exact_base64, print_base64

PASSKEY = "passkey "
HTTPS_PORT = 443
_PRESENT, _VERIFIED, _BACKUP_ELIGIBLE, _BACKED_UP = 0x01, 0x04, 0x08, 0x10
_DATA_BYTES = 37  # relying party hash 32, flags 1, counter 4
_CLIENT_DATA_BYTES_AT_MOST = 1024

# A SubjectPublicKeyInfo of id-ecPublicKey on P-256, up to the point. Source: RFC 5480 section 2.
_BEFORE_THE_POINT = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# A last label of digits is an IPv4 address, which is nobody's relying party. Source: URL Standard.
_HOST = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)*(?![0-9]+\Z){_LABEL}", re.ASCII)
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)


@dataclass(frozen=True)
class PasskeyKey:
    """A registered passkey: ``passkey HOST[:PORT] KEY``.

    ``host`` is the one host of the page that signs, and its relying party; ``point`` is the key's,
    65 bytes.
    """

    host: str
    port: int
    point: bytes

    @classmethod
    def parse(cls, text: str) -> PasskeyKey:
        """Read the one-line form.

        Raises:
            MalformedError: ``bad_passkey``; another form, or not a P-256 key.
        """
        return _key_from_text(text)

    @property
    def authority(self) -> str:
        """The host, with its port where that is not 443."""
        return self.host if self.port == HTTPS_PORT else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{PASSKEY}{self.authority} {print_base64(_BEFORE_THE_POINT + self.point)}"


@dataclass(frozen=True)
class Assertion:
    """What the browser hands back for one signature; each field in padded base64.

    ``signature`` is r and s in 32 bytes each, s the lower; a browser's is in DER, with either s.
    """

    authenticator_data: Base64
    client_data: Base64
    signature: Base64


@dataclass(frozen=True)
class PasskeySignature:
    """An assertion in its form; whether it holds is for ``verify`` to say."""

    data: bytes
    client_data: bytes
    value: P256Signature

    @classmethod
    def parse(cls, assertion: Assertion) -> PasskeySignature:
        """Read an assertion.

        Raises:
            MalformedError: ``bad_passkey``; base64, a length, the flags or the signature are not in
                the one form that we read.
        """
        data = _decoded(assertion.authenticator_data, "authenticator data")
        client_data = _decoded(assertion.client_data, "client data")
        value = P256Signature.from_raw(_decoded(assertion.signature, "passkey signature"))
        if len(data) < _DATA_BYTES:
            raise _bad(f"authenticator data has {_DATA_BYTES} bytes at least, got {len(data)}")
        if len(client_data) > _CLIENT_DATA_BYTES_AT_MOST:
            raise _bad(
                f"client data of {len(client_data)} bytes, {_CLIENT_DATA_BYTES_AT_MOST} at most"
            )
        found = cls(data, client_data, value)
        if found._flag(_BACKED_UP) and not found.backup_eligible:
            raise _bad("a passkey says that it is backed up and cannot be")
        return found

    @property
    def backup_eligible(self) -> bool:
        """Whether the passkey may leave its device, as one that lives in a cloud account does."""
        return self._flag(_BACKUP_ELIGIBLE)

    def _flag(self, bit: int) -> bool:
        return bool(self.data[32] & bit)

    def verify(self, message: bytes, key: PasskeyKey) -> None:
        """Check that ``key``'s holder, verified by the authenticator, signed ``message``.

        Raises:
            UnprovenError: another text (``signature``), another host or origin (``namespace``), a
                signature that does not hold (``signature``), then no touch or no verification of
                the user (``presence``).

        Source: Web Authentication Level 2, section 5.8.1.2; section 7.2, steps 11 to 20.
        """
        challenge = base64.urlsafe_b64encode(hashlib.sha256(message).digest()).rstrip(b"=")
        begin = b'{"type":"webauthn.get","challenge":"' + challenge + b'"'
        if not self.client_data.startswith(begin):
            raise UnprovenError("the passkey signed another text", name=ErrorName.SIGNATURE)
        origin = f',"origin":"https://{key.authority}","crossOrigin":false'.encode()
        rest = self.client_data[len(begin) :]
        if not rest.startswith(origin) or rest[len(origin) : len(origin) + 1] not in (b"}", b","):
            raise UnprovenError(
                f"the passkey signed on another page than https://{key.authority}",
                name=ErrorName.NAMESPACE,
            )
        if self.data[:32] != hashlib.sha256(key.host.encode()).digest():
            raise UnprovenError("the passkey signed for another host", name=ErrorName.NAMESPACE)
        signed = self.data + hashlib.sha256(self.client_data).digest()
        p256_key.verify(self.value, signed, key.point)
        if not self._flag(_PRESENT) or not self._flag(_VERIFIED):
            raise UnprovenError("the passkey did not verify its user", name=ErrorName.PRESENCE)


@lru_cache(maxsize=4096)
def _key_from_text(text: str) -> PasskeyKey:
    words = text.split(" ")
    if len(words) != 3 or words[0] != PASSKEY.strip():
        raise _bad("a passkey is 'passkey', its host and its key")
    host, colon, port = words[1].partition(":")
    if not _HOST.fullmatch(host):
        raise _bad(f"a passkey's host is one host name in lower case, got {host[:60]!r}")
    if colon and (not _PORT.fullmatch(port) or int(port) > 65535 or int(port) == HTTPS_PORT):
        raise _bad(f"a passkey's port is 1 to 65535 and left out where it is 443, got {port[:9]!r}")
    der = exact_base64(words[2], "passkey", ErrorName.BAD_PASSKEY)
    if not der.startswith(_BEFORE_THE_POINT):
        raise _bad("a passkey's key is a SubjectPublicKeyInfo on P-256, uncompressed")
    point = der[len(_BEFORE_THE_POINT) :]
    p256_key.check_point(point, ErrorName.BAD_PASSKEY)
    return PasskeyKey(host, int(port) if colon else HTTPS_PORT, point)


def _decoded(text: str, what: str) -> bytes:
    return exact_base64(text, what, ErrorName.BAD_PASSKEY)


def _bad(why: str) -> MalformedError:
    return MalformedError(why, name=ErrorName.BAD_PASSKEY)
