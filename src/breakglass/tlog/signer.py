"""Who signs notes: the port that every process has its key behind, and the key that is a seed.

Source: the text form is that of Go's ``golang.org/x/mod/sumdb/note``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.tlog.key import (
    COSIGNATURE,
    ED25519,
    VerifierKey,
    check_key_name,
    split_key_text,
)
from breakglass.tlog.signature_line import SignatureLine
from breakglass.tlog.spelling import print_base64

SEED_BYTES = 32
_PRIVATE = "PRIVATE+KEY+"


class Signer(Protocol):
    """One party's private key, wherever it is kept: the contract of the port.

    ``verifier`` never changes and is known without a signature. When ``sign_bytes`` returns, its
    64 bytes hold under ``verifier``; signing the same bytes again gives a signature that holds,
    not always the same one. Nothing may be assumed of where the secret lies: no seed, no file, no
    more than one signature at a time being quick. Safe under threads. After an error nothing was
    signed as far as the caller may know, and the call may be repeated; ``UnavailableError`` says
    that the keeper of the key did not answer. No message and no ``repr`` holds the secret.
    """

    @property
    def name(self) -> str:
        """The key's name; of a log, its origin."""

    @property
    def kind(self) -> int:
        """``ED25519`` or ``COSIGNATURE``."""

    @property
    def verifier(self) -> VerifierKey:
        """The public half, with name and key id."""

    def sign(self, text: str) -> SignatureLine:
        """Sign a note's text.

        Raises:
            MisconfiguredError: ``wrong_key_kind``; a cosigner's key signs no bare text.
        """

    def sign_bytes(self, message: bytes) -> bytes:
        """Sign bytes as they are; the kind's own rule made them."""


@dataclass(frozen=True)
class SignerKey:
    """A private key of kind ``ED25519`` or ``COSIGNATURE``; it never shows its seed.

    Attributes:
        name: key name.
        kind: what it signs: texts, or a time with a checkpoint.
        seed: 32 secret bytes.
    """

    name: str
    kind: int
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if self.kind not in (ED25519, COSIGNATURE):
            raise MalformedError(
                f"private key {self.name!r}: cannot sign with type 0x{self.kind:02x}",
                name=ErrorName.UNKNOWN_KEY_KIND,
            )
        if len(self.seed) != SEED_BYTES:
            raise MalformedError(
                f"private key {self.name!r}: a seed has {SEED_BYTES} bytes, got {len(self.seed)}",
                name=ErrorName.BAD_KEY,
            )

    @classmethod
    def generate(cls, name: str, kind: int = ED25519) -> SignerKey:
        """Make a new key from the system's randomness."""
        return cls(name, kind, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> SignerKey:
        """Read ``PRIVATE+KEY+name+hex8+base64(kind || seed)``.

        Raises:
            MalformedError: of another form, or the key id is not this key's. The text is not
                quoted, and the failure keeps no cause that would quote it.
        """
        found: SignerKey | None = None
        try:
            name, key_id, blob = split_key_text(text.removeprefix(_PRIVATE))
            signer = cls(name, blob[0], blob[1:])
            if text.startswith(_PRIVATE) and signer.verifier.key_id == key_id:
                found = signer
        except MalformedError:
            pass  # its message quotes the text; ours, below, is raised outside to forget it
        if found is None:
            raise MalformedError(
                f"not a private key of the form {_PRIVATE}NAME+ID+BASE64", name=ErrorName.BAD_KEY
            )
        return found

    def encoded(self) -> str:
        """Write the key with its secret, in the form that ``parse`` reads."""
        blob = print_base64(bytes([self.kind]) + self.seed)
        return f"{_PRIVATE}{self.verifier.label}+{blob}"

    def derived(self, label: str) -> bytes:
        """Return 32 secret bytes for one purpose of our own, which say nothing of the seed.

        Args:
            label: names the purpose; docs/how-to/keys.md lists them all.

        Source: RFC 5869 with SHA-256, no salt (the seed is uniform), and the label as «info».
        """
        return HKDF(SHA256(), 32, salt=None, info=label.encode()).derive(self.seed)

    @cached_property
    def verifier(self) -> VerifierKey:
        """The public half."""
        return VerifierKey.of(self.name, self.kind, self._private.public_key().public_bytes_raw())

    def sign(self, text: str) -> SignatureLine:
        """Sign a note's text.

        Raises:
            MisconfiguredError: ``wrong_key_kind``; a cosigner's key signs no bare text.
        """
        if self.kind != ED25519:
            raise MisconfiguredError(
                f"key {self.verifier.label!r} is for cosignatures", name=ErrorName.WRONG_KEY_KIND
            )
        return SignatureLine(self.name, self.verifier.key_id, self.sign_bytes(text.encode()))

    def sign_bytes(self, message: bytes) -> bytes:
        """Sign bytes as they are; the kind's own rule made them."""
        return self._private.sign(message)

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)
