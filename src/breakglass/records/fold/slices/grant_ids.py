"""The ids of grants that have left: eight bytes each, so that none is ever taken for a new one."""

from __future__ import annotations

import base64
from array import array
from bisect import bisect_left
from collections.abc import Iterable

_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"  # RFC 4648 base32, lower case
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_LENGTH = 12
NOT_AN_ID = -1


def number_of(grant: str) -> int:
    """Return the 60 bits of a grant's id, or ``NOT_AN_ID``.

    >>> number_of("g-aaaaaaaaaaab"), number_of("g-other")
    (1, -1)
    """
    if len(grant) != _LENGTH + 2 or not grant.startswith("g-"):
        return NOT_AN_ID
    number = 0
    for digit in grant[2:]:
        value = _VALUES.get(digit)
        if value is None:
            return NOT_AN_ID
        number = number << 5 | value
    return number


def id_of(number: int) -> str:
    """Return the id of 60 bits.

    >>> id_of(number_of("g-7kq3m2x4p5ab".replace("p5", "p4")))
    'g-7kq3m2x4p4ab'
    """
    return "g-" + "".join(
        _DIGITS[number >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5)
    )


class GrantIds:
    """A set of grant ids that only grows, kept as sorted numbers of 60 bits."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._numbers = array("Q", sorted(set(numbers)))

    def add(self, numbers: Iterable[int]) -> None:
        """Add ids by their numbers, all in one merge."""
        self._numbers = array("Q", sorted({*self._numbers, *numbers}))

    def __contains__(self, grant: object) -> bool:
        number = number_of(grant) if isinstance(grant, str) else NOT_AN_ID
        if number == NOT_AN_ID:
            return False
        at = bisect_left(self._numbers, number)
        return at < len(self._numbers) and self._numbers[at] == number

    def __len__(self) -> int:
        return len(self._numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GrantIds) and self._numbers == other._numbers

    __hash__ = None  # type: ignore[assignment]  # it changes

    def form(self) -> str:
        """Return the one written form: base64 of the sorted numbers, eight bytes each, big-endian.

        >>> GrantIds.read_form(GrantIds([7, 3]).form()) == GrantIds([3, 7])
        True
        """
        data = b"".join(number.to_bytes(8, "big") for number in self._numbers)
        return base64.b64encode(data).decode()

    @classmethod
    def read_form(cls, text: str) -> GrantIds:
        """Read ``form``.

        Raises:
            ValueError: not that form.
        """
        data = base64.b64decode(text, validate=True)
        if len(data) % 8:
            raise ValueError("grant ids have eight bytes each")
        numbers = [int.from_bytes(data[at : at + 8], "big") for at in range(0, len(data), 8)]
        found = cls(numbers)
        if found.form() != text:
            raise ValueError("the grant ids are not in order, each once")
        return found
