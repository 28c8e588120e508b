"""The one spelling of a number and of bytes.

Two texts that mean the same thing are one too many: a cosignature covers a text, so a head that
can be spelled in two ways can be signed twice. Readers in this room refuse the second way.
"""

from __future__ import annotations

import base64
import binascii
import re

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError

MAX_NUMBER = 2**63 - 1  # a tree size or a POSIX time in every format here fits in 63 bits

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


def exact_decimal(text: str, what: str, name: ErrorName = ErrorName.MALFORMED) -> int:
    """Read a number from 0 to 2^63-1 in ASCII digits, with no sign and no leading zero.

    Args:
        text: the digits.
        what: the thing that is numbered, for the message.
        name: the failure's stable name.

    Raises:
        MalformedError: any other spelling, or too large.

    >>> exact_decimal("300", "tree size")
    300
    """
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_NUMBER:
        raise MalformedError(
            f"{what} {text[:40]!r} is not a decimal number up to 2^63-1 without leading zeros",
            name=name,
        )
    return int(text)


def exact_base64(text: str, what: str, name: ErrorName = ErrorName.MALFORMED) -> bytes:
    """Read standard padded base64 (RFC 4648, section 4) that has no other spelling.

    Raises:
        MalformedError: a foreign character, missing padding, or stray low bits in the last one.

    >>> exact_base64("aGk=", "greeting")
    b'hi'
    """
    found = any_base64(text, what, name)
    if print_base64(found) != text:
        raise MalformedError(f"{what}: base64 is not canonical: {text[-8:]!r}", name=name)
    return found


def any_base64(text: str, what: str, name: ErrorName = ErrorName.MALFORMED) -> bytes:
    """Read standard padded base64, passing over the low bits that padding leaves unused.

    Only for what is judged by its bytes and kept as it was written: signatures, as Go reads them.

    Raises:
        MalformedError: a foreign character, or missing padding.
    """
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError(f"{what}: base64 is broken: {text[:40]!r}", name=name) from error


def print_base64(data: bytes) -> str:
    """Write bytes as ``exact_base64`` reads them."""
    return base64.b64encode(data).decode()
