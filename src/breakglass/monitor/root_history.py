"""The root of the followed log at every size it has had."""

from __future__ import annotations

from collections.abc import Sequence

from breakglass.tlog.hashing import EMPTY_ROOT, root_of
from breakglass.tlog.tile_proofs import (
    TILE_WIDTH,
    consistency_from_tiles,
    inclusion_from_tiles,
    root_from_tiles,
)


class RootHistory:
    """See the module; 32 bytes an entry, in memory, made again from the log at every start."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]

    @property
    def size(self) -> int:
        """Entries so far."""
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        self._levels[0].append(leaf)
        level = 0
        while len(self._levels[level]) % TILE_WIDTH == 0:
            full = root_of(self._levels[level][-TILE_WIDTH:])
            level += 1
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(full)

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        """Return stored hashes; see ``HashReader``."""
        return self._levels[level][start:stop]

    def root(self, size: int) -> bytes:
        """Return the root of the first ``size`` entries, which must be here."""
        return root_from_tiles(self, size) if size else EMPTY_ROOT

    def growth(self, old: int, new: int) -> list[bytes]:
        """Return the consistency proof between two sizes that are here."""
        return consistency_from_tiles(self, old, new)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the path from an entry to the root of a size that is here."""
        return inclusion_from_tiles(self, index, size)
