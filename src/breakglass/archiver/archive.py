"""The archive of one log: what is in the store, and how a commit enters it.

Objects under ``<hex sha256(origin)>/``: ``meta/genesis``, ``seg/<12 digits>``, full ``tile/…``
of hashes and entries, ``attachment/<sha256>`` and ``recording/<sha256>``
(``attachment_names.py``), ``cp/<size, 12 digits>`` (heads in their final form). Each is put once;
a repeated put of the same bytes is harmless, of other bytes an alarm.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from breakglass.archiver.attachment_names import (
    AGE_HEADER,
    attachment_folder,
    attachment_names,
)
from breakglass.archiver.object_store import ObjectStore
from breakglass.archiver.segment import NO_PREVIOUS, Segment, segment_digest
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError, UnprovenError
from breakglass.submit.blob_upload import measured
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint
from breakglass.tlog.edge import TreeEdge
from breakglass.tlog.hashing import EMPTY_ROOT, HASH_BYTES, leaf_hash, root_of
from breakglass.tlog.tiles import (
    TILE_WIDTH,
    edge_from_tiles,
    encode_bundle,
    entries_path,
    tile_path,
)


class Archive:
    """One log's archive. Used under its owner's lock.

    Args:
        store: where objects go.
        origin: the log's name.
        genesis: what ``meta/genesis`` says of it and of us.
        scratch: a folder on a disk for nameless files of 64 MiB; the system's if not given.

    Raises:
        MisconfiguredError: what is stored contradicts itself.
    """

    def __init__(
        self, store: ObjectStore, origin: str, genesis: bytes, scratch: Path | None = None
    ) -> None:
        self._store = store
        self._scratch = scratch
        self._prefix = hashlib.sha256(origin.encode()).hexdigest()
        self.last = Checkpoint(origin, 0, EMPTY_ROOT)
        self.last_note = b""
        self._segments = 0
        self._previous = NO_PREVIOUS
        self._edge = TreeEdge()
        self._rows: list[list[bytes]] = [[]]  # the unfinished tile of each level
        self._bundle: list[bytes] = []  # the unfinished bundle
        self._genesis = genesis
        self._resume()

    def grown(self, checkpoint: Checkpoint, entries: Sequence[bytes]) -> TreeEdge:
        """Check that the log with these entries has the root that it signed; keeps nothing.

        Raises:
            UnprovenError: it has not.
        """
        edge = self._edge.copy()
        edge.extend(map(leaf_hash, entries))
        if (edge.size, edge.root()) != (checkpoint.size, checkpoint.root):
            raise UnprovenError(
                f"{len(entries)} entries from {self._edge.size} do not lead to the head of size"
                f" {checkpoint.size}",
                name=ErrorName.SEGMENT,
            )
        return edge

    def add(self, checkpoint: Checkpoint, head: bytes, entries: Sequence[bytes]) -> None:
        """Store a commit; every object of it is durable when this returns.

        Raises:
            UnprovenError: the entries do not lead to the head, or the store holds other bytes
                under a name of it: two writers, or a rewritten log.
            UnavailableError: the store fails; add it again.
        """
        # (1) The entries make the root that is signed.
        edge = self.grown(checkpoint, entries)
        # (2) Full tiles and bundles, before the segment that counts them: a crash in between
        #     leaves tiles that the same commit, repeated, finds as its own.
        rows, bundle = [list(row) for row in self._rows], list(self._bundle)
        for at, entry in enumerate(entries, start=self._edge.size):
            bundle.append(entry)
            if len(bundle) == TILE_WIDTH:
                self._put(entries_path(at // TILE_WIDTH), encode_bundle(bundle))
                bundle = []
            self._fill(rows, leaf_hash(entry), at)
        # (3) The segment. From here a restart counts this commit, and cosigns it when asked again.
        data = Segment(self._previous, self._edge.size, head, tuple(entries)).encoded()
        if self._segments == 0:
            self._put("meta/genesis", self._genesis)
        self._put(f"seg/{self._segments:012d}", data)
        self._segments += 1
        self._previous = segment_digest(data)
        self._edge, self._rows, self._bundle = edge, rows, bundle
        self.last, self.last_note = checkpoint, head

    def keep_final(self, size: int, note: bytes) -> None:
        """Keep the final form of a head: with the cosignatures that all followers saw."""
        self._put(f"cp/{size:012d}", note)

    def keep_attachment(self, digest: str, fetch: Callable[[BinaryIO], object]) -> None:
        """Keep an attachment, fetched unless it is stored; never whole in memory.

        Args:
            digest: SHA-256 in hex.
            fetch: writes the bytes into an empty file.

        Raises:
            UnprovenError: ``attachment``: other bytes were fetched; ``archive_differs``: somebody
                put other bytes under this name before us, so nothing may be cosigned.
            UnavailableError: it could not be fetched or stored.
        """
        with tempfile.TemporaryFile(dir=self._scratch) as file:
            # The file has no name: whatever happens to us, nothing of it is left.
            if not self._stands(digest, file):
                _emptied(file)
                fetch(file)
                if measured(file)[0] != digest:
                    raise UnprovenError(
                        f"attachment {digest} came with other bytes", name=ErrorName.ATTACHMENT
                    )
            # Its own bytes say under which prefix, and so for how long, it lies. Also what stands
            # is put again: only then is it known to be durable, and locked.
            file.seek(0)
            folder = attachment_folder(file.read(len(AGE_HEADER)))
            name = f"{self._prefix}/{folder}/{digest}"
            if not self._store.put_file_if_absent(name, file):
                self._check_ours(name, digest)

    def _stands(self, digest: str, file: BinaryIO) -> bool:
        """Read what stands under either name; false if these bytes do not."""
        for name in attachment_names(self._prefix, digest):
            _emptied(file)
            # Other bytes under the name that is not its own concern nobody: it is free for
            # whoever may put, and nothing is looked for there alone.
            if self._store.get_into(name, file) and measured(file)[0] == digest:
                return True
        return False

    def _check_ours(self, name: str, digest: str) -> None:
        with tempfile.TemporaryFile(dir=self._scratch) as file:
            self._store.get_into(name, file)
            # The name is free for whoever may put: what stands under it counts by its bytes alone.
            if measured(file)[0] != digest:
                raise UnprovenError(
                    f"object {name!r} stands with other bytes", name=ErrorName.ARCHIVE_DIFFERS
                )

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        """Read stored hashes (``HashReader``), for a restart."""
        n = start // TILE_WIDTH
        stored = self._store.get(f"{self._prefix}/{tile_path(level, n)}")
        if stored is not None:
            row = [stored[at : at + HASH_BYTES] for at in range(0, len(stored), HASH_BYTES)]
            return row[start - n * TILE_WIDTH : stop - n * TILE_WIDTH]
        if level == 0:
            return [leaf_hash(entry) for entry in self._bundle[: stop - start]]
        below = ((place * TILE_WIDTH, (place + 1) * TILE_WIDTH) for place in range(start, stop))
        return [root_of(self.hashes(level - 1, *each)) for each in below]

    def _fill(self, rows: list[list[bytes]], carry: bytes, at: int) -> None:
        level = 0
        while True:
            if level == len(rows):
                rows.append([])
            rows[level].append(carry)
            if len(rows[level]) < TILE_WIDTH:
                return
            self._put(tile_path(level, at // TILE_WIDTH ** (level + 1)), b"".join(rows[level]))
            carry, rows[level] = root_of(rows[level]), []
            level += 1

    def _put(self, name: str, data: bytes) -> None:
        full = f"{self._prefix}/{name}"
        if not self._store.put_if_absent(full, data) and self._store.get(full) != data:
            raise UnprovenError(
                f"object {full!r} already exists, with other bytes: two writers, or a log that"
                " was rewritten; not cosigned",
                name=ErrorName.ARCHIVE_DIFFERS,
            )

    def _resume(self) -> None:
        """Find where we stand from the last segment; torn temporary files have no name yet."""
        self._segments = self._count()
        if not self._segments:
            return
        data = self._segment(self._segments - 1)
        try:
            segment = Segment.parse(data)
        except MalformedError as error:
            raise MisconfiguredError(
                f"object {self._segment_name(self._segments - 1)!r} is damaged: {error}; not"
                " started",
                name=ErrorName.ARCHIVE_DAMAGED,
                hint="what is wrong, and the way out: breakglass ledger fsck ARCHIVER-FOLDER",
            ) from error
        self.last, _ = parse_checkpoint(segment.head)
        self.last_note, self._previous = segment.head, segment_digest(data)
        size = self.last.size
        self._bundle = self._unfinished(size)
        self._edge = edge_from_tiles(self, size)
        self._rows = []
        level = 0
        while size >> (8 * level):
            count = size >> (8 * level)
            first = count // TILE_WIDTH * TILE_WIDTH
            self._rows.append(list(self.hashes(level, first, count)) if count > first else [])
            level += 1
        if self._edge.root() != self.last.root:
            raise MisconfiguredError(
                f"archive of {self.last.origin!r} does not lead to its last head, of size {size}"
                "; not started",
                name=ErrorName.ARCHIVE_DAMAGED,
            )

    def _count(self) -> int:
        """Count the segments by probing names: they are gapless."""
        high = 1
        while self._store.get(self._segment_name(high - 1)) is not None:
            high *= 2
        low = high // 2  # ``low`` of them are there
        while low + 1 < high:
            middle = (low + high) // 2
            there = self._store.get(self._segment_name(middle - 1)) is not None
            low, high = (middle, high) if there else (low, middle)
        return low

    def _unfinished(self, size: int) -> list[bytes]:
        """Read the entries of the bundle that is not full, from the last segments."""
        wanted = size % TILE_WIDTH
        entries: list[bytes] = []
        number = self._segments
        while len(entries) < wanted:
            number -= 1
            entries = [*Segment.parse(self._segment(number)).entries, *entries]
        return entries[len(entries) - wanted :]

    def _segment(self, number: int) -> bytes:
        data = self._store.get(self._segment_name(number))
        if data is None:
            raise MisconfiguredError(
                f"archive lacks segment {number}", name=ErrorName.ARCHIVE_DAMAGED
            )
        return data

    def _segment_name(self, number: int) -> str:
        return f"{self._prefix}/seg/{number:012d}"


def _emptied(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()
