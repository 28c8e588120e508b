"""The growing tree in memory: the right edge with a little behind it, for proofs at hand.

A receipt's proof is against the head just made, so its hashes are all near the right edge. What
lies further back is read from tiles (``journal_tiles.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from breakglass.error_names import ErrorName
from breakglass.errors import UnprovenError
from breakglass.tlog.hashing import EMPTY_ROOT, node_hash, split
from breakglass.tlog.tiles import (
    TILE_WIDTH,
    HashReader,
    consistency_from_tiles,
    edge_from_tiles,
    inclusion_from_tiles,
)

_KEPT = 4 * TILE_WIDTH  # leaves behind the edge whose nodes are kept


class GrowingTree:
    """Appends leaves, fills tiles, gives roots and proofs. Not safe under threads.

    Args:
        reader: of the tiles already stored; ``size`` entries of them.
        size: where to go on from.
    """

    def __init__(self, reader: HashReader, size: int) -> None:
        self._reader = reader
        self.size = size
        # Complete subtrees: (height, place) is the root over leaves place << height and on.
        self._nodes: dict[tuple[int, int], bytes] = {}
        self._ragged: dict[tuple[int, int], bytes] = {}
        start = 0
        edge = iter(edge_from_tiles(reader, size).hashes)
        for height in reversed(range(size.bit_length())):
            if size >> height & 1:
                self._nodes[height, start >> height] = next(edge)
                start += 1 << height
        # The unfinished tile of each level, so that it can be finished.
        level = 0
        while size >> (8 * level):
            count = size >> (8 * level)
            first = count // TILE_WIDTH * TILE_WIDTH
            if count > first:
                row = reader.hashes(level, first, count)
                self._nodes.update(((8 * level, first + at), each) for at, each in enumerate(row))
            level += 1

    def extend(self, leaves: Iterable[bytes]) -> list[tuple[int, int, bytes]]:
        """Add leaf hashes; returns the tiles that became full: level, number, 8,192 bytes."""
        nodes, full = self._nodes, []
        for leaf in leaves:
            height, place = 0, self.size
            nodes[0, place] = carry = leaf
            self.size += 1
            while place & 1:
                carry = sha256(b"\x01" + nodes[height, place - 1] + carry).digest()
                height, place = height + 1, place >> 1
                nodes[height, place] = carry
            for level in range(height // 8 + 1):
                if self.size % TILE_WIDTH ** (level + 1) == 0:
                    full.append(self._tile(level))
        self._ragged.clear()
        return full

    def unfinished(self) -> list[tuple[int, int, bytes]]:
        """Return the partial tiles as they stand: level, number, 32 bytes a hash."""
        found = []
        level = 0
        while count := self.size >> (8 * level):
            first = count // TILE_WIDTH * TILE_WIDTH
            row = b"".join(self._nodes[8 * level, place] for place in range(first, count))
            if row:
                found.append((level, count // TILE_WIDTH, row))
            level += 1
        return found

    def root(self) -> bytes:
        """Return the root of the tree as it stands."""
        return self._root(0, self.size) if self.size else EMPTY_ROOT

    def inclusion(self, index: int) -> list[bytes]:
        """Return the inclusion path of entry ``index`` in the tree as it stands.

        Raises:
            UnprovenError: no such entry.
        """
        if not 0 <= index < self.size:
            raise UnprovenError(
                f"entry {index} is not in a tree of {self.size}", name=ErrorName.INCLUSION
            )
        try:
            start, stop, path = 0, self.size, []
            while stop - start > 1:
                middle = start + split(stop - start)
                if index < middle:
                    path.append(self._root(middle, stop))
                    stop = middle
                else:
                    path.append(self._root(start, middle))
                    start = middle
            return path[::-1]
        except KeyError:
            return inclusion_from_tiles(self._reader, index, self.size)

    def consistency(self, old: int) -> list[bytes]:
        """Return the consistency path from ``old`` entries to the tree as it stands.

        Raises:
            UnprovenError: ``old`` is larger.
        """
        if not 0 < old < self.size:
            return consistency_from_tiles(self._reader, old, self.size)
        try:
            start, stop, path = 0, self.size, []
            while stop != old:
                middle = start + split(stop - start)
                if old <= middle:
                    path.append(self._root(middle, stop))
                    stop = middle
                else:
                    path.append(self._root(start, middle))
                    start = middle
            if start:
                path.append(self._root(start, stop))
            return path[::-1]
        except KeyError:
            return consistency_from_tiles(self._reader, old, self.size)

    def forget(self) -> None:
        """Drop nodes too far behind the edge to be asked for soon."""
        if len(self._nodes) < 8 * _KEPT:
            return
        size = self.size
        self._nodes = {
            (height, place): node
            for (height, place), node in self._nodes.items()
            if place >= (size >> height) - (_KEPT >> height) - 4
            # A tile's own row is needed until the tile is full.
            or (height % 8 == 0 and place >= (size >> height) // TILE_WIDTH * TILE_WIDTH)
        } | self._peaks()

    def _peaks(self) -> dict[tuple[int, int], bytes]:
        peaks, start = {}, 0
        for height in reversed(range(self.size.bit_length())):
            if self.size >> height & 1:
                peaks[height, start >> height] = self._nodes[height, start >> height]
                start += 1 << height
        return peaks

    def _tile(self, level: int) -> tuple[int, int, bytes]:
        n = self.size // TILE_WIDTH ** (level + 1) - 1
        places = range(n * TILE_WIDTH, (n + 1) * TILE_WIDTH)
        return level, n, b"".join(self._nodes[8 * level, place] for place in places)

    def _root(self, start: int, stop: int) -> bytes:
        width = stop - start
        if width & (width - 1) == 0:
            height = width.bit_length() - 1
            return self._nodes[height, start >> height]
        known = self._ragged.get((start, stop))
        if known is None:
            middle = start + split(width)
            known = node_hash(self._root(start, middle), self._root(middle, stop))
            self._ragged[start, stop] = known
        return known
