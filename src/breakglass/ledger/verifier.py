"""Verifies an exported log without any server: every entry, hash and head, bottom up.

What each record means and who may say it is for the caller, who can read records: ``entries``
gives them with the heads they were committed under.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.ledger.export import Progress, attachments
from breakglass.ledger.parallel_proofs import prove_heads
from breakglass.submit.blob_upload import measured
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint
from breakglass.tlog.edge import TreeEdge
from breakglass.tlog.hashing import HASH_BYTES, leaf_hash, root_of
from breakglass.tlog.policy import TlogPolicy
from breakglass.tlog.proof import ProvenHead, verify_head
from breakglass.tlog.tiles import (
    TILE_WIDTH,
    decode_bundle,
    entries_path,
    root_from_tiles,
    tile_path,
)


@dataclass(frozen=True)
class VerifiedEntry:
    """An entry of a verified log, with the head of its own commit and that head's cosigners."""

    index: int
    note: bytes
    cosigned: dict[str, datetime]
    head: bytes


def verify_tree(
    folder: Path, policy: TlogPolicy, progress: Progress = lambda done, of: None
) -> ProvenHead:
    """Check the checkpoint's signatures, and every entry and tile up to its root.

    Raises:
        MalformedError: a file is not in its form.
        UnprovenError: ``altered_entry``, with its index; ``altered_tile``, ``missing``;
            ``root``; or what ``verify_head`` says of the checkpoint.
    """
    head = verify_head(_read(folder, "checkpoint"), policy)
    size = head.checkpoint.size
    row = _check_entries(folder, size, progress)
    # Each level's full tiles give the hashes of the level above.
    level = 1
    while row:
        row = _check_row(folder, level, row)
        level += 1
    if root_from_tiles(_FolderTiles(folder, size), size) != head.checkpoint.root:
        raise UnprovenError(
            f"the tiles do not lead to the root of the checkpoint of size {size}",
            name=ErrorName.ROOT,
        )
    return head


def verify_heads(
    folder: Path,
    policy: Callable[[], TlogPolicy] | TlogPolicy,
    checkpoint: Checkpoint,
    cores: int = 0,
) -> Iterator[VerifiedEntry]:
    """Check every commit's head against the entries before it, and give the entries in order.

    Args:
        folder: already through ``verify_tree``.
        policy: or what gives it, asked before each commit, by an owner that follows the trust
            file's changes in the entries.
        checkpoint: the newest head, from ``verify_tree``.
        cores: how many check signatures; 0 takes all that we may.

    Raises:
        MalformedError: a file is not in its form.
        UnprovenError: a head is not signed, not witnessed, or not of these entries.
    """
    edge = TreeEdge()
    notes = _entries(folder, checkpoint.size)
    asked = (lambda: policy) if isinstance(policy, TlogPolicy) else policy
    for note, proven in prove_heads(_heads(folder), asked, cores):
        end = proven.checkpoint.size
        found = []
        for index in range(edge.size, min(end, checkpoint.size)):
            entry = next(notes)
            edge.append(leaf_hash(entry))
            found.append(VerifiedEntry(index, entry, proven.cosigners, note))
        if (edge.size, edge.root()) != (end, proven.checkpoint.root) or not found:
            raise UnprovenError(f"head of size {end} is not of these entries", name=ErrorName.HEADS)
        yield from found
    if edge.size != checkpoint.size:
        raise UnprovenError(
            f"heads end at size {edge.size}, the checkpoint is of {checkpoint.size}",
            name=ErrorName.HEADS,
        )


def root_at(folder: Path, size: int) -> bytes:
    """Return the root of the first ``size`` entries of a copy.

    Raises:
        MalformedError, UnprovenError: the copy does not hold so many.
    """
    edge = TreeEdge()
    for entry in islice(entries(folder), size):
        edge.append(leaf_hash(entry))
    if edge.size < size:
        raise UnprovenError(
            f"the copy ends at {edge.size} entries and does not lead to size {size}",
            name=ErrorName.MISSING,
        )
    return edge.root()


def verify_attachments(folder: Path, size: int) -> int:
    """Check that every attachment that an entry names is there; returns how many.

    Raises:
        UnprovenError: one is missing or altered.
    """
    found: set[str] = set()
    for entry in _entries(folder, size):
        found.update(attachments([entry]))
    for digest in sorted(found):
        if _digest(folder, f"attachment/{digest}") != digest:
            raise UnprovenError(f"attachment {digest} was altered", name=ErrorName.ATTACHMENT)
    return len(found)


def entries(folder: Path) -> Iterator[bytes]:
    """Give the entries of a copy up to the size that its checkpoint claims; nothing is checked.

    Raises:
        MalformedError: a file is not in its form.
        UnprovenError: ``missing``.
    """
    claimed, _ = parse_checkpoint(_read(folder, "checkpoint"))
    yield from _entries(folder, claimed.size)


def _check_entries(folder: Path, size: int, progress: Progress) -> list[bytes]:
    """Check bundles against level 0; returns the roots of its full tiles."""
    roots = []
    for n in range(-(-size // TILE_WIDTH)):
        start = n * TILE_WIDTH
        width = min(TILE_WIDTH, size - start)
        leaves = [leaf_hash(entry) for entry in _bundle(folder, n, width)]
        tile = _read(folder, tile_path(0, n, width))
        if b"".join(leaves) != tile:
            raise _altered(start, leaves, tile)
        if width == TILE_WIDTH:
            roots.append(root_of(leaves))
        progress(start + width, size)
    return roots


def _check_row(folder: Path, level: int, row: Sequence[bytes]) -> list[bytes]:
    roots = []
    for start in range(0, len(row), TILE_WIDTH):
        hashes = row[start : start + TILE_WIDTH]
        path = tile_path(level, start // TILE_WIDTH, len(hashes))
        if _read(folder, path) != b"".join(hashes):
            raise UnprovenError(
                f"{path!r} does not hold the hashes below it", name=ErrorName.ALTERED_TILE
            )
        if len(hashes) == TILE_WIDTH:
            roots.append(root_of(hashes))
    return roots


def _altered(start: int, leaves: Sequence[bytes], tile: bytes) -> UnprovenError:
    for at, leaf in enumerate(leaves):
        if tile[at * HASH_BYTES : (at + 1) * HASH_BYTES] != leaf:
            return UnprovenError(
                f"entry {start + at} is not the one that was logged", name=ErrorName.ALTERED_ENTRY
            )
    return UnprovenError(f"tile from entry {start} is too long", name=ErrorName.ALTERED_TILE)


def _entries(folder: Path, size: int) -> Iterator[bytes]:
    for n in range(-(-size // TILE_WIDTH)):
        yield from _bundle(folder, n, min(TILE_WIDTH, size - n * TILE_WIDTH))


def _bundle(folder: Path, n: int, width: int) -> list[bytes]:
    path = entries_path(n, width)
    entries = decode_bundle(_read(folder, path))
    if len(entries) != width:
        raise MalformedError(f"{path!r} holds {len(entries)} entries", name=ErrorName.BAD_BUNDLE)
    return entries


def _heads(folder: Path) -> Iterator[bytes]:
    data = _read(folder, "heads")
    at = 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data):
            raise MalformedError("'heads' is cut short")
        yield data[start:at]


def _read(folder: Path, path: str) -> bytes:
    try:
        return (folder / path).read_bytes()
    except OSError as error:
        raise UnprovenError(
            f"{path!r} cannot be read: {error.strerror}", name=ErrorName.MISSING
        ) from error


def _digest(folder: Path, path: str) -> str:
    try:
        with (folder / path).open("rb") as file:
            return measured(file)[0]
    except OSError as error:
        raise UnprovenError(
            f"{path!r} cannot be read: {error.strerror}", name=ErrorName.MISSING
        ) from error


class _FolderTiles:
    """Hashes from the folder's tiles (``HashReader``)."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        n = start // TILE_WIDTH
        width = min(TILE_WIDTH, (self._size >> (8 * level)) - n * TILE_WIDTH)
        data = _read(self._folder, tile_path(level, n, width))
        row = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
        return row[start - n * TILE_WIDTH : stop - n * TILE_WIDTH]
