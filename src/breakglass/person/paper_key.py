"""A maintainer's key that lies on paper: made in memory, shown once, kept on no disk of ours."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


@dataclass(frozen=True)
class PaperKey:
    """``public`` as one line; ``text`` is the private half as ``ssh-keygen`` reads it."""

    public: str
    text: str = field(repr=False)


def make_paper_key() -> PaperKey:
    """Make an Ed25519 key from the system's randomness.

    Its text is OpenSSH's own form: typed into a file of mode 0600 it signs with ``ssh-keygen``,
    and with nothing of ours.
    """
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return PaperKey(public, text)
