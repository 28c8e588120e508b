"""Fields as SSH writes them: lengths first, integers in one spelling.

Source: RFC 4251 section 5.
"""

from __future__ import annotations

import struct

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError


def string(data: bytes) -> bytes:
    """Write a string: its length in 4 bytes, then its bytes."""
    return struct.pack(">I", len(data)) + data


def strings(*parts: bytes) -> bytes:
    """Write several strings, one behind the other."""
    return b"".join(map(string, parts))


def mpint(number: int) -> bytes:
    """Write an integer of zero or more in its shortest form.

    >>> mpint(0x80).hex(), mpint(0).hex()
    ('000000020080', '00000000')
    """
    return string(number.to_bytes((number.bit_length() + 8) // 8, "big") if number else b"")


class Reader:
    """Takes fields off the front of some bytes.

    Each method raises ``MalformedError``, by ``name``, where the bytes end too early.
    """

    def __init__(self, data: bytes, what: str, name: ErrorName) -> None:
        self._data, self._at, self._what, self._name = data, 0, what, name

    def _take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise self._bad(f"{count} bytes wanted, {len(piece)} left")
        self._at += count
        return piece

    def byte(self) -> int:
        """Take one byte."""
        return self._take(1)[0]

    def number(self) -> int:
        """Take an integer of four bytes."""
        return int.from_bytes(self._take(4), "big")

    def string(self) -> bytes:
        """Take a string."""
        return self._take(self.number())

    def mpint(self) -> int:
        """Take an integer of zero or more in its shortest form.

        Raises:
            MalformedError: negative, or with a zero byte in front that no sign needs.
        """
        data = self.string()
        if data[:1] >= b"\x80":
            raise self._bad("a negative integer")
        if data[:1] == b"\0" and data[1:2] < b"\x80":
            raise self._bad("an integer with zeros in front")
        return int.from_bytes(data, "big")

    def end(self) -> None:
        """Check that nothing is left."""
        if self._at != len(self._data):
            raise self._bad("bytes left over at the end")

    def _bad(self, why: str) -> MalformedError:
        return MalformedError(f"{self._what}: {why}", name=self._name)
