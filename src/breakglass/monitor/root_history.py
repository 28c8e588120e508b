"""The root of the followed log at every size it has had."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any, cast

from breakglass.canonical import Json
from breakglass.errors import MalformedError
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State
from breakglass.tlog.hashing import EMPTY_ROOT, root_of
from breakglass.tlog.merkle import leaf_hash
from breakglass.tlog.tile_proofs import (
    TILE_WIDTH,
    consistency_from_tiles,
    inclusion_from_tiles,
    root_from_tiles,
)

_HASH = 32  # bytes
_TILE = TILE_WIDTH * _HASH


class RootHistory:
    """A projection: 32 bytes an entry, in memory. Read under the view's lock."""

    def __init__(self) -> None:
        self.name = "roots"
        self._levels = [bytearray()]

    @property
    def size(self) -> int:
        """Entries so far."""
        return len(self._levels[0]) // _HASH

    def take(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take the next entry."""
        self.append(leaf_hash(entry.note))

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        self._levels[0] += leaf
        level = 0
        while len(self._levels[level]) % _TILE == 0:
            stop = len(self._levels[level]) // _HASH
            full = root_of(self.hashes(level, stop - TILE_WIDTH, stop))
            level += 1
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += full

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        """Return stored hashes; see ``HashReader``."""
        stored = self._levels[level]
        return [bytes(stored[at : at + _HASH]) for at in range(start * _HASH, stop * _HASH, _HASH)]

    def root(self, size: int) -> bytes:
        """Return the root of the first ``size`` entries, which must be here."""
        return root_from_tiles(self, size) if size else EMPTY_ROOT

    def growth(self, old: int, new: int) -> list[bytes]:
        """Return the consistency proof between two sizes that are here."""
        return consistency_from_tiles(self, old, new)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the path from an entry to the root of a size that is here."""
        return inclusion_from_tiles(self, index, size)

    def form(self) -> Json:
        """Return every level in base64."""
        return [base64.b64encode(level).decode() for level in self._levels]

    def restore(self, form: Json, state: State) -> None:
        """Become what ``form`` returned.

        Raises:
            MalformedError: not so many hashes as the state has entries.
        """
        try:
            texts = cast("list[Any]", form)
            levels = [bytearray(base64.b64decode(each, validate=True)) for each in texts]
        except (TypeError, ValueError, binascii.Error) as error:
            raise MalformedError(f"roots: no hashes in base64: {error}") from error
        wanted: list[int] = []
        left = state.size
        while left or not wanted:
            wanted.append(left * _HASH)
            left //= TILE_WIDTH
        if [len(level) for level in levels] != wanted:
            raise MalformedError(f"roots: not the hashes of {state.size} entries")
        self._levels = levels

    def digest(self) -> str:
        """Return the SHA-256 over size and root, which say all of it."""
        return hashlib.sha256(f"{self.size}\n".encode() + self.root(self.size)).hexdigest()

    def forget(self) -> None:
        """Be empty again."""
        self._levels = [bytearray()]
