"""Tiles made while entries arrive, for whoever lays out a whole log; nothing is written here."""

from __future__ import annotations

from collections.abc import Iterator

from breakglass.tlog.hashing import leaf_hash, root_of
from breakglass.tlog.tiles import TILE_WIDTH, encode_bundle, entries_path, tile_path


class TileRows:
    """The unfinished tile of each level; at most 256 hashes a level and 256 entries are held.

    >>> rows = TileRows()
    >>> [path for _ in range(256) for path, _ in rows.add(b"entry")]
    ['tile/entries/000', 'tile/0/000']
    >>> [path for path, _ in rows.partial()]
    ['tile/1/000.p/1']
    """

    def __init__(self) -> None:
        self._size = 0
        self._bundle: list[bytes] = []
        self._rows: list[list[bytes]] = []

    def add(self, entry: bytes) -> Iterator[tuple[str, bytes]]:
        """Take an entry; gives the path and bytes of each full tile or bundle that it completes.

        The entry is taken when the iterator is exhausted, and not before.
        """
        self._bundle.append(entry)
        if len(self._bundle) == TILE_WIDTH:
            yield entries_path(self._size // TILE_WIDTH), encode_bundle(self._bundle)
            self._bundle = []
        carry, level = leaf_hash(entry), 0
        while True:
            if level == len(self._rows):
                self._rows.append([])
            row = self._rows[level]
            row.append(carry)
            if len(row) < TILE_WIDTH:
                break
            n = self._size // int(TILE_WIDTH ** (level + 1))
            yield tile_path(level, n), b"".join(row)
            carry, self._rows[level] = root_of(row), []
            level += 1
        self._size += 1

    def partial(self) -> Iterator[tuple[str, bytes]]:
        """Give the tiles and the bundle at the right edge that are not full."""
        if self._bundle:
            n, width = divmod(self._size, TILE_WIDTH)
            yield entries_path(n, width), encode_bundle(self._bundle)
        for level, row in enumerate(self._rows):
            if row:
                n = self._size // int(TILE_WIDTH ** (level + 1))
                yield tile_path(level, n, len(row)), b"".join(row)
