"""A person's age recipient: the public half that shares of seals are encrypted to.

Source: age-encryption.org/v1, «X25519 recipient type»: Bech32 (BIP 173) with prefix ``age``.
"""

from __future__ import annotations

from breakglass.error_names import ErrorName
from breakglass.policy import yaml_fields
from breakglass.policy.yaml_nodes import Node, wrong

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHARACTERS = 62  # 'age1', 52 letters for 32 bytes, 6 of checksum
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_PREFIX = [ord(letter) >> 5 for letter in "age"] + [0] + [ord(letter) & 31 for letter in "age"]


def age_recipient(node: Node) -> str:
    """Read one recipient, ``age1…``.

    Raises:
        MalformedError: with the place; an SSH key, or one letter that is another.
    """
    found = yaml_fields.scalar(node, "an age recipient")
    if found.startswith(("sk-", "ecdsa-", "passkey ")):
        raise wrong(
            node,
            "an age recipient (age1…): age cannot encrypt to sk- or P-256 keys",
            repr(found.split()[0]),
            name=ErrorName.BAD_RECIPIENT,
        )
    if not _holds(found):
        raise wrong(node, "an age recipient (age1…), every letter as it was made",
                    name=ErrorName.BAD_RECIPIENT)  # fmt: skip
    return found


def _holds(text: str) -> bool:
    body = text.removeprefix("age1")
    if len(text) != _CHARACTERS or len(body) != _CHARACTERS - 4 or not set(body) <= set(_LETTERS):
        return False
    values = [_LETTERS.index(letter) for letter in body]
    # 52 letters hold 260 bits; the last 4 are padding, and another spelling if not zero.
    return _checksum([*_PREFIX, *values]) == 1 and not values[51] & 15


def _checksum(values: list[int]) -> int:
    found = 1
    for value in values:
        top = found >> 25
        found = (found & 0x1FFFFFF) << 5 ^ value
        for bit, each in enumerate(_GENERATOR):
            found ^= each if top >> bit & 1 else 0
    return found
