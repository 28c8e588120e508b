"""The right edge of a growing tree: all that a root and the next append need."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.tlog.hashing import EMPTY_ROOT, HASH_BYTES, node_hash
from breakglass.tlog.spelling import MAX_NUMBER


class TreeEdge:
    """A tree of any size in at most 63 hashes: the roots of its complete subtrees, largest first.

    Appending costs one hash on average. Not safe under threads. An owner that may have to take
    an append back keeps a ``copy`` from before it.

    >>> edge = TreeEdge()
    >>> edge.root() == EMPTY_ROOT
    True
    >>> edge.append(sha256(b"\\0entry").digest())
    >>> edge.size
    1
    """

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """Take up an edge that was kept.

        Args:
            size: leaves in the tree.
            hashes: one for each bit that is set in ``size``, the highest first.

        Raises:
            MalformedError: ``bad_edge``; the hashes are too many, too few or of another width.
        """
        self._size = size
        self._hashes = list(hashes)
        if not 0 <= size <= MAX_NUMBER or len(self._hashes) != size.bit_count():
            raise MalformedError(
                f"edge of size {size} with {len(self._hashes)} hashes", name=ErrorName.BAD_EDGE
            )
        if any(len(digest) != HASH_BYTES for digest in self._hashes):
            raise MalformedError(f"edge: a hash is not {HASH_BYTES} bytes", name=ErrorName.BAD_EDGE)

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Roots of the complete subtrees, the largest first."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash at the right."""
        self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes at the right, in order.

        Raises:
            MalformedError: ``bad_edge``; a leaf is not 32 bytes. The leaves before it were added.
        """
        hashes = self._hashes
        for leaf in leaves:
            if len(leaf) != HASH_BYTES:
                raise MalformedError(
                    f"edge: a leaf hash is {HASH_BYTES} bytes, got {len(leaf)}",
                    name=ErrorName.BAD_EDGE,
                )
            # Each trailing 1 of the size is a complete subtree as large as the one at hand.
            carry, size = leaf, self._size
            while size & 1:
                carry = sha256(b"\x01" + hashes.pop() + carry).digest()
                size >>= 1
            hashes.append(carry)
            self._size += 1

    def root(self) -> bytes:
        """Return the root of the tree as it stands; costs at most 62 hashes."""
        if not self._hashes:
            return EMPTY_ROOT
        root = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            root = node_hash(left, root)
        return root

    def copy(self) -> TreeEdge:
        """Return an edge that grows on its own from here."""
        return TreeEdge(self._size, self._hashes)

    def encoded(self) -> bytes:
        """Write the edge as eight bytes of size, big-endian, and the hashes."""
        return self._size.to_bytes(8, "big") + b"".join(self._hashes)

    @classmethod
    def parse(cls, data: bytes) -> TreeEdge:
        """Read what ``encoded`` wrote.

        Raises:
            MalformedError: ``bad_edge``; of another length than the size asks for.
        """
        if len(data) < 8 or (len(data) - 8) % HASH_BYTES:
            raise MalformedError(f"edge of {len(data)} bytes", name=ErrorName.BAD_EDGE)
        starts = range(8, len(data), HASH_BYTES)
        return cls(int.from_bytes(data[:8], "big"), [data[at : at + HASH_BYTES] for at in starts])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeEdge):
            return NotImplemented
        return (self._size, self._hashes) == (other._size, other._hashes)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"TreeEdge(size={self._size}, root={self.root().hex()[:16]}…)"
