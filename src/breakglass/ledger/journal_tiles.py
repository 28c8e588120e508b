"""Hashes of any part of the log, read from the journal: full tiles as stored, the rest computed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from breakglass.ledger.journal import Journal, JournalError
from breakglass.tlog.hashing import HASH_BYTES, leaf_hash, root_of
from breakglass.tlog.tiles import TILE_WIDTH


class JournalTiles:
    """A ``HashReader`` over a journal; safe under threads."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        # Full tiles never change, so their roots may be kept. 64 bytes each or so.
        self._tile_root = lru_cache(maxsize=16 * 1024)(self._tile_root_read)

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        """See ``HashReader``.

        Raises:
            JournalError: the journal lacks what its head implies.
        """
        n = start // TILE_WIDTH
        first = n * TILE_WIDTH
        stored = self._journal.tile(level, n)
        if stored is not None:
            row = [stored[at : at + HASH_BYTES] for at in range(0, len(stored), HASH_BYTES)]
            return row[start - first : stop - first]
        if level == 0:
            found = [leaf_hash(note) for note in self._journal.notes(start, stop)]
        else:
            found = [self._tile_root(level - 1, place) for place in range(start, stop)]
        if len(found) != stop - start:
            raise JournalError(f"journal lacks entries between {start} and {stop}")
        return found

    def _tile_root_read(self, level: int, n: int) -> bytes:
        return root_of(self.hashes(level, n * TILE_WIDTH, (n + 1) * TILE_WIDTH))
