"""ECDSA signatures on P-256 in one spelling.

Whoever sees a signature (r, s) can write (r, n - s), which holds as well. Each note and each record
would have a second leaf and a second digest, made by somebody without a key. So s is the lower of
the two: the client writes it so, and verifiers refuse the other half.

Nothing heavy is imported here; the responder's client uses this file too.

Source: SEC 2 section 2.4.2 (the order n); RFC 5656 section 3.1.2 (as SSH writes r and s).
"""

from __future__ import annotations

from dataclasses import dataclass

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.records.signing.ssh_wire import Reader, mpint

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_NUMBER_BYTES = 32


@dataclass(frozen=True)
class P256Signature:
    """The two numbers of a signature, made by one of the readers below: in range, and s the lower.

    ``low`` is for who signs, the other two for who verifies.
    """

    r: int
    s: int

    @classmethod
    def from_mpints(cls, data: bytes) -> P256Signature:
        """Read r and s as SSH writes them.

        Raises:
            MalformedError: ``bad_sshsig``; a second spelling of any kind, zero, or beyond n.
        """
        return cls._checked(*_mpints(data), ErrorName.BAD_SSHSIG)

    @classmethod
    def from_raw(cls, data: bytes) -> P256Signature:
        """Read r and s in 32 bytes each.

        Raises:
            MalformedError: ``bad_passkey``; a second spelling, another length, zero, or beyond n.
        """
        if len(data) != 2 * _NUMBER_BYTES:
            raise MalformedError(
                f"a passkey's signature has {2 * _NUMBER_BYTES} bytes, got {len(data)}",
                name=ErrorName.BAD_PASSKEY,
            )
        r, s = data[:_NUMBER_BYTES], data[_NUMBER_BYTES:]
        return cls._checked(
            int.from_bytes(r, "big"), int.from_bytes(s, "big"), ErrorName.BAD_PASSKEY
        )

    @classmethod
    def low(cls, r: int, s: int) -> P256Signature:
        """Take what a key, an agent or a browser made, with either s."""
        return cls(r, min(s, ORDER - s))

    @classmethod
    def low_of_mpints(cls, data: bytes) -> P256Signature:
        """Take what an SSH key or agent made, with either s.

        Raises:
            MalformedError: ``bad_sshsig``; not two integers in their shortest form.
        """
        return cls.low(*_mpints(data))

    @classmethod
    def _checked(cls, r: int, s: int, name: ErrorName) -> P256Signature:
        if not 1 <= r < ORDER or not 1 <= s < ORDER:
            raise MalformedError("a P-256 signature is out of its range", name=name)
        if s > ORDER // 2:
            raise MalformedError("a P-256 signature is in its second spelling", name=name)
        return cls(r, s)

    def mpints(self) -> bytes:
        """Write r and s as SSH does."""
        return mpint(self.r) + mpint(self.s)

    def raw(self) -> bytes:
        """Write r and s in 32 bytes each."""
        return self.r.to_bytes(_NUMBER_BYTES, "big") + self.s.to_bytes(_NUMBER_BYTES, "big")


def _mpints(data: bytes) -> tuple[int, int]:
    reader = Reader(data, "P-256 signature", ErrorName.BAD_SSHSIG)
    r, s = reader.mpint(), reader.mpint()
    reader.end()
    return r, s
