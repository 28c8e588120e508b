"""Roots and proofs from stored tiles, touching one tile a level and the right edge.

Only hashes of complete subtrees are stored. The few others on the right edge are computed here,
and never enter a tile.

Source: C2SP tlog-tiles v0.1.0; RFC 6962, sections 2.1.1 and 2.1.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from breakglass.error_names import ErrorName
from breakglass.errors import UnprovenError
from breakglass.tlog.edge import TreeEdge
from breakglass.tlog.hashing import EMPTY_ROOT, HASH_BYTES, node_hash, root_of, split

TILE_WIDTH = 256
_TILE_HEIGHT = 8  # 2^8 hashes in a tile


class HashReader(Protocol):
    """Reads stored hashes of one log."""

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        """Return the hashes ``start`` to ``stop`` (not included) at a tile level.

        Hash ``i`` at ``level`` is the root over the entries ``i * 256**level`` to
        ``(i + 1) * 256**level``. When the call returns, there are exactly ``stop - start`` of
        32 bytes. It is asked only for hashes that the size at hand implies, of one tile at a
        time, beginning at the tile's first. Calling twice gives the same. After an error
        nothing may be assumed; it is passed on as it is.
        """
        ...


def root_from_tiles(reader: HashReader, size: int) -> bytes:
    """Return the root of the first ``size`` entries; ``EMPTY_ROOT`` for 0.

    Raises:
        UnprovenError: ``tiles``; the reader gave too few hashes, or of another width.
    """
    return _Nodes(reader, size).root(0, size) if size else EMPTY_ROOT


def edge_from_tiles(reader: HashReader, size: int) -> TreeEdge:
    """Return the right edge of the first ``size`` entries, to go on from after a restart.

    Raises:
        UnprovenError: as ``root_from_tiles``.
    """
    nodes = _Nodes(reader, size)
    hashes, start = [], 0
    for height in reversed(range(size.bit_length())):
        if size >> height & 1:
            hashes.append(nodes.complete(height, start >> height))
            start += 1 << height
    return TreeEdge(size, hashes)


def inclusion_from_tiles(reader: HashReader, index: int, size: int) -> list[bytes]:
    """Return the path that ``verify_inclusion`` wants.

    Args:
        reader: of a log with at least ``size`` entries.
        index: the entry, from zero.
        size: entries in the tree to prove against.

    Raises:
        UnprovenError: ``inclusion`` if there is no such entry; ``tiles`` as above.
    """
    if not 0 <= index < size:
        raise UnprovenError(
            f"entry {index} is not in a tree of size {size}", name=ErrorName.INCLUSION
        )
    nodes = _Nodes(reader, size)
    start, stop = 0, size
    path: list[bytes] = []
    while stop - start > 1:
        middle = start + split(stop - start)
        if index < middle:
            path.append(nodes.root(middle, stop))
            stop = middle
        else:
            path.append(nodes.root(start, middle))
            start = middle
    return path[::-1]  # walked from the root down; a proof begins at the leaf


def consistency_from_tiles(reader: HashReader, old: int, new: int) -> list[bytes]:
    """Return the path that ``verify_consistency`` and ``verify_growth`` want.

    Args:
        reader: of a log with at least ``new`` entries.
        old: size that the other side knows; from 0 the proof is empty.
        new: size to prove.

    Raises:
        UnprovenError: ``consistency`` if ``old`` is the larger; ``tiles`` as above.
    """
    if not 0 <= old <= new:
        raise UnprovenError(f"no growth from size {old} to size {new}", name=ErrorName.CONSISTENCY)
    if old in (0, new):
        return []
    nodes = _Nodes(reader, new)
    start, stop = 0, new
    path: list[bytes] = []
    while stop != old:
        middle = start + split(stop - start)
        if old <= middle:
            path.append(nodes.root(middle, stop))
            stop = middle
        else:
            path.append(nodes.root(start, middle))
            start = middle
    if start:  # the old tree is not one complete subtree: its last part has to be told
        path.append(nodes.root(start, stop))
    return path[::-1]


class _Nodes:
    """Computes any node from tiles, each of which is read once."""

    def __init__(self, reader: HashReader, size: int) -> None:
        self._reader = reader
        self._size = size
        self._tiles: dict[tuple[int, int], Sequence[bytes]] = {}

    def root(self, start: int, stop: int) -> bytes:
        """Return the root over entries ``start`` to ``stop``, as a tree of its own."""
        width = stop - start
        if width & (width - 1) == 0:
            height = width.bit_length() - 1
            return self.complete(height, start >> height)
        middle = start + split(width)
        return node_hash(self.root(start, middle), self.root(middle, stop))

    def complete(self, height: int, place: int) -> bytes:
        """Return the root of complete subtree number ``place`` among those of 2^height leaves."""
        level, within = divmod(height, _TILE_HEIGHT)
        first = place << within
        tile, offset = divmod(first, TILE_WIDTH)
        return root_of(self._tile(level, tile)[offset : offset + (1 << within)])

    def _tile(self, level: int, n: int) -> Sequence[bytes]:
        if (level, n) not in self._tiles:
            start = n * TILE_WIDTH
            stop = min(start + TILE_WIDTH, self._size >> (_TILE_HEIGHT * level))
            hashes = self._reader.hashes(level, start, stop)
            if len(hashes) != stop - start or any(len(digest) != HASH_BYTES for digest in hashes):
                raise UnprovenError(
                    f"tile {n} at level {level}: wanted {stop - start} hashes of {HASH_BYTES}"
                    f" bytes, got {len(hashes)} items",
                    name=ErrorName.TILES,
                )
            self._tiles[level, n] = hashes
        return self._tiles[level, n]
