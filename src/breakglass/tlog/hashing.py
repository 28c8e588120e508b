"""The hashes of a Merkle tree.

Source: RFC 6962, section 2.1; the same in RFC 9162.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Hash one entry as a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two children into their parent."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over these leaf hashes; ``EMPTY_ROOT`` for none.

    Works level by level: pairing from the left and carrying an odd last node up gives the same
    tree as splitting at the largest power of two.

    >>> root_of([leaf_hash(b"a")]) == leaf_hash(b"a")
    True
    """
    row = list(leaves)
    if not row:
        return EMPTY_ROOT
    while len(row) > 1:
        pairs = iter(row)
        above = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(pairs, pairs, strict=False)  # an odd last one is left over
        ]
        if len(row) % 2:
            above.append(row[-1])
        row = above
    return row[0]


def split(width: int) -> int:
    """Return the largest power of two below ``width``, where a tree of ``width`` > 1 divides."""
    return 1 << ((width - 1).bit_length() - 1)
