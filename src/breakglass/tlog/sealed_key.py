"""A private key under a passphrase, as a text: what is copied or stolen of it signs nothing.

```
breakglass.dev/sealed-key/v1
vkey NAME+ID+BASE64
scrypt 16 8 1 <base64 salt, 16 bytes>
box <base64 nonce, 12 bytes> <base64 sealed PRIVATE+KEY text>
```

The box is ChaCha20-Poly1305 (RFC 8439) under scrypt (RFC 7914) of the passphrase; the lines above
it are its associated data, so the public key that stands in clear is the sealed one's or nothing
opens. The cost is one number for all, 64 MiB and about a quarter of a second: a file that could ask
for more would be a way to stop a process. Why not age: docs/decisions/keys-1-sealed-keys.md.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.tlog.key import VerifierKey
from breakglass.tlog.signer import SignerKey
from breakglass.tlog.spelling import exact_base64, print_base64

HEADER = "breakglass.dev/sealed-key/v1"
_COST = "scrypt 16 8 1"  # log2 N, r, p
_N, _R, _P = 2**16, 8, 1
_SALT_BYTES, _NONCE_BYTES, _KEY_BYTES = 16, 12, 32


@dataclass(frozen=True)
class SealedKey:
    """A sealed key that was read; ``opened`` says whether it is what it claims.

    Attributes:
        verifier: the public half, as it stands in clear.
        salt: 16 bytes.
        nonce: 12 bytes.
        box: the sealed text.
    """

    verifier: VerifierKey
    salt: bytes
    nonce: bytes
    box: bytes

    @classmethod
    def of(cls, key: SignerKey, passphrase: bytes) -> SealedKey:
        """Seal ``key`` under ``passphrase`` with a fresh salt.

        Raises:
            MalformedError: ``no_passphrase``; it is empty.
        """
        salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
        bare = cls(key.verifier, salt, nonce, b"")
        cipher = ChaCha20Poly1305(_derived(passphrase, salt))
        return cls(
            key.verifier, salt, nonce, cipher.encrypt(nonce, key.encoded().encode(), bare._clear)
        )

    @classmethod
    def parse(cls, text: str) -> SealedKey:
        """Read what ``encoded`` wrote.

        Raises:
            MalformedError: ``bad_sealed_key``; of another form, or of another cost.
        """
        lines = text.split("\n")
        if len(lines) != 5 or lines[0] != HEADER or lines[4]:
            raise _malformed(f"expected {HEADER!r} and three lines")
        vkey, cost, box = lines[1].split(" "), lines[2].rpartition(" "), lines[3].split(" ")
        if len(vkey) != 2 or vkey[0] != "vkey" or cost[0] != _COST or len(box) != 3:
            raise _malformed(f"expected 'vkey KEY', '{_COST} SALT' and 'box NONCE SEALED'")
        found = cls(
            VerifierKey.parse(vkey[1]),
            exact_base64(cost[2], "sealed key: salt", ErrorName.BAD_SEALED_KEY),
            exact_base64(box[1], "sealed key: nonce", ErrorName.BAD_SEALED_KEY),
            exact_base64(box[2], "sealed key: box", ErrorName.BAD_SEALED_KEY),
        )
        lengths = (len(found.salt), len(found.nonce))
        if box[0] != "box" or lengths != (_SALT_BYTES, _NONCE_BYTES):
            raise _malformed("salt or nonce is of another length")
        return found

    def encoded(self) -> str:
        """Write the sealed key as a file."""
        sealed = f"box {print_base64(self.nonce)} {print_base64(self.box)}\n"
        return self._clear.decode() + sealed

    def opened(self, passphrase: bytes) -> SignerKey:
        """Open it.

        Raises:
            MalformedError: ``no_passphrase``.
            UnprovenError: ``sealed_key``; another passphrase, or the text was changed. Nobody can
                tell which.
        """
        cipher = ChaCha20Poly1305(_derived(passphrase, self.salt))
        try:
            text = cipher.decrypt(self.nonce, self.box, self._clear)
        except InvalidTag as error:
            raise UnprovenError(
                f"sealed key of {self.verifier.label!r} does not open: another passphrase, or the"
                " file was changed",
                name=ErrorName.SEALED_KEY,
            ) from error
        key = SignerKey.parse(text.decode("ascii", "replace"))
        if key.verifier != self.verifier:
            raise UnprovenError(
                f"sealed key of {self.verifier.label!r} holds another key",
                name=ErrorName.SEALED_KEY,
            )
        return key

    @property
    def _clear(self) -> bytes:
        return f"{HEADER}\nvkey {self.verifier}\n{_COST} {print_base64(self.salt)}\n".encode()


def _derived(passphrase: bytes, salt: bytes) -> bytes:
    if not passphrase:
        raise MalformedError("the passphrase is empty", name=ErrorName.NO_PASSPHRASE)
    return Scrypt(salt=salt, length=_KEY_BYTES, n=_N, r=_R, p=_P).derive(passphrase)


def _malformed(why: str) -> MalformedError:
    return MalformedError(f"sealed key: {why}", name=ErrorName.BAD_SEALED_KEY)
