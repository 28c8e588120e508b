"""The public keys of signed notes: how they are named, written, and used.

Source: C2SP signed-note v1.0.0, «Signature types» and «Verifier keys».
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.tlog.spelling import exact_base64, print_base64

ED25519 = 0x01
ECDSA = 0x02
COSIGNATURE = 0x04  # Ed25519 over a time and a checkpoint
ML_DSA_44 = 0x06
OTHER = 0xFF  # the bytes after it say what it is

KEY_ID_BYTES = 4

# Key lengths in bytes; ``None`` takes any that is not empty.
_PUBLIC_BYTES = {ED25519: 32, ECDSA: None, COSIGNATURE: 32, ML_DSA_44: 1312, OTHER: None}
_UNSUPPORTED = {ECDSA: ErrorName.ECDSA_UNSUPPORTED, ML_DSA_44: ErrorName.ML_DSA_UNSUPPORTED}

# ``\s`` is Unicode's white space; half characters cannot be written in UTF-8.
_KEY_NAME = re.compile("[^\\s+\x00-\x1f\ud800-\udfff]+")
_KEY_ID = re.compile("[0-9a-f]{8}")


def check_key_name(name: str, failure: ErrorName = ErrorName.BAD_KEY) -> None:
    """Check that ``name`` can name a key: not empty, no white space, no ``+``.

    Raises:
        MalformedError: named ``failure``.
    """
    if not _KEY_NAME.fullmatch(name):
        raise MalformedError(f"{name[:60]!r} cannot name a key", name=failure)


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name, known to be well formed and to fit its own key id.

    Attributes:
        name: key name; of a log, its origin.
        key_id: 4 bytes, first of a hash over name, kind and key.
        kind: one of the kind constants of this module.
        public: the key without its kind byte: 32 bytes raw Ed25519, 1,312 bytes ML-DSA-44, a
            SubjectPublicKeyInfo for ECDSA; for ``OTHER`` whatever follows 0xff.
    """

    name: str
    key_id: bytes
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if self.kind not in _PUBLIC_BYTES:
            raise MalformedError(
                f"key {self.name!r}: unknown key type 0x{self.kind:02x}",
                name=ErrorName.UNKNOWN_KEY_KIND,
            )
        wanted = _PUBLIC_BYTES[self.kind]
        if not self.public or (wanted is not None and len(self.public) != wanted):
            raise MalformedError(
                f"key {self.name!r}: a key of type 0x{self.kind:02x} has {wanted or 'some'} bytes,"
                f" got {len(self.public)}",
                name=ErrorName.BAD_KEY,
            )
        if self.key_id != key_id_of(self.name, self.kind, self.public):
            raise MalformedError(
                f"key {self.name!r}: key id {self.key_id.hex()} is of another name or key",
                name=ErrorName.BAD_KEY,
            )

    @classmethod
    def of(cls, name: str, kind: int, public: bytes) -> VerifierKey:
        """Name a public key, with the key id that follows.

        Raises:
            MalformedError: see ``parse``.
        """
        check_key_name(name)
        return cls(name, key_id_of(name, kind, public), kind, public)

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``name+hex8+base64(kind || key)``.

        Raises:
            MalformedError: ``unknown_key_kind``, or ``bad_key`` for another form, another length,
                or a key id that is not this key's.
        """
        name, key_id, blob = split_key_text(text)
        return cls(name, key_id, blob[0], blob[1:])

    @property
    def label(self) -> str:
        """Name and key id, for messages: ``ledger.example/a+123ec45f``."""
        return f"{self.name}+{self.key_id.hex()}"

    def __str__(self) -> str:
        return f"{self.label}+{print_base64(bytes([self.kind]) + self.public)}"


def key_id_of(name: str, kind: int, public: bytes) -> bytes:
    """Return the 4 bytes that tell keys of one name apart."""
    if kind == ECDSA:  # Go's older rule: over the key alone, without name and kind
        return sha256(public).digest()[:KEY_ID_BYTES]
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:KEY_ID_BYTES]


def check_signature(key: VerifierKey, message: bytes, signature: bytes) -> None:
    """Check a bare Ed25519 signature; what ``message`` is, is the kind's own rule.

    Raises:
        UnprovenError: ``signature`` if it does not hold; ``ml_dsa_unsupported``,
            ``ecdsa_unsupported`` or ``unsupported_key_kind`` for a key we cannot use.
    """
    if key.kind not in (ED25519, COSIGNATURE):
        raise UnprovenError(
            f"no rule to check signatures of {key.label!r}, type 0x{key.kind:02x}",
            name=_UNSUPPORTED.get(key.kind, ErrorName.UNSUPPORTED_KEY_KIND),
        )
    try:
        _loaded(key.public).verify(signature, message)
    except InvalidSignature as error:
        raise UnprovenError(
            f"signature of {key.label!r} does not hold", name=ErrorName.SIGNATURE
        ) from error


@lru_cache(maxsize=4096)
def _loaded(public: bytes) -> Ed25519PublicKey:
    # Kept beside the keys and not in them: a key goes to other processes, and this does not.
    return Ed25519PublicKey.from_public_bytes(public)


def split_key_text(text: str) -> tuple[str, bytes, bytes]:
    """Take ``name+hex8+base64(kind || key)`` apart: name, key id, and kind with key.

    Raises:
        MalformedError: ``bad_key``; of another form.
    """
    name, _, rest = text.partition("+")
    key_id, _, blob = rest.partition("+")
    if not _KEY_ID.fullmatch(key_id) or not blob:
        raise MalformedError(f"key {text[:60]!r} is not NAME+ID+BASE64", name=ErrorName.BAD_KEY)
    return name, bytes.fromhex(key_id), exact_base64(blob, f"key {name[:60]!r}", ErrorName.BAD_KEY)
