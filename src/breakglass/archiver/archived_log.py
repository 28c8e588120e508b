"""The whole log from the archive alone: every commit, in order, or a refusal that names the object.

For the day on which nothing else is left. An object store is read through ``ObjectStore``, so S3
gives the oldest version of each name, and names under delete markers too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from breakglass.archiver.attachment_names import attachment_names
from breakglass.archiver.object_store import ObjectStore
from breakglass.archiver.segment import NO_PREVIOUS, Segment, segment_digest
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError, UnprovenError
from breakglass.submit.blob_upload import measured
from breakglass.submit.record_header import read_numbering
from breakglass.tlog.checkpoint import Checkpoint, check_log_signature, parse_checkpoint
from breakglass.tlog.edge import TreeEdge
from breakglass.tlog.hashing import leaf_hash
from breakglass.tlog.note import Note, VerifierKey
from breakglass.tlog.tile_rows import TileRows


@dataclass(frozen=True)
class ArchivedCommit:
    """One commit as it was archived, checked.

    Attributes:
        number: of its segment, from zero.
        first: index of its first entry.
        entries: as they were received.
        head: what the log said of itself with them; its signature holds.
        head_note: that head's note, as the log signed it.
        finals: heads of sizes in this commit with the cosignatures that all followers saw, in
            order; the newest heads have none yet, as they come with the next commit.
        attachments: SHA-256 of what the entries name, each once in a commit.
    """

    number: int
    first: int
    entries: tuple[bytes, ...]
    head: Checkpoint
    head_note: bytes
    finals: tuple[bytes, ...]
    attachments: tuple[str, ...]


@dataclass(frozen=True)
class _Mark:
    """A head that the log must pass through, and the object that holds it; none if it was given."""

    where: str
    head: Checkpoint
    note: bytes

    @property
    def known_by(self) -> str:
        return f"object {self.where!r}" if self.where else "who asks"

    def wrong(self, why: str) -> UnprovenError:
        if self.where:
            return _altered(self.where, why)
        return UnprovenError(f"the archive is of another history than the head given: {why}",
                             name=ErrorName.ARCHIVE_ALTERED)  # fmt: skip


class ArchivedLog:
    """Reads the archive of one log; nothing is kept but the tree's edge and unfinished tiles.

    Args:
        store: where the archive lies.
        origin: the log.
        keys: the log's keys, known from elsewhere; one that signed any head must be among them.
        expected: a head that somebody kept: the archive must reach it, with its very root.
            Without one, a tail that is gone (which a lock prevents) shows only if a later head
            was kept in its final form.
        missing_tile: told the name and the bytes of a tile that is not there; ``None``: that is a
            hole. It follows from the entries, so nothing is lost with it.
    """

    def __init__(
        self,
        store: ObjectStore,
        origin: str,
        keys: Sequence[VerifierKey],
        expected: Checkpoint | None = None,
        missing_tile: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self._store = store
        self._prefix = hashlib.sha256(origin.encode()).hexdigest()
        self._origin = origin
        self._keys = tuple(keys)
        self._expected = expected
        self._missing_tile = missing_tile

    def commits(self) -> Iterator[ArchivedCommit]:
        """Give every commit in order; the first thing that does not fit ends it.

        Raises:
            RefusedError: ``archive_empty``; nothing of this log is stored.
            UnprovenError: ``archive_hole``, an object lacks; ``archive_altered``, one does not
                hold. The message names it.
            UnavailableError: the store fails.
        """
        marks = self._marks()
        mark = next(marks, None)
        edge, rows, previous, number = TreeEdge(), TileRows(), NO_PREVIOUS, -1
        for number, data in enumerate(self._segments()):
            name = self._segment_name(number)
            # (1) Form, the log's signature, and the chain.
            segment, head, named = self._parsed(name, data)
            if segment.previous != previous:
                raise _altered(name, f"it follows {segment.previous[:16]}…, not {previous[:16]}…")
            if segment.first != edge.size:
                raise _altered(name, f"it begins at {segment.first}, wanted {edge.size}")
            # (2) The tree, through every head that is known in between.
            passed: list[_Mark] = []
            while mark is not None and mark.head.size <= head.size:
                passed.append(mark)
                mark = next(marks, None)
            edge = _grown(edge, segment.entries, [*passed, _Mark(name, head, b"")])
            # (3) The tiles that an archiver starts from are those that the entries make.
            self._check_tiles(rows, segment.entries)
            finals = tuple(each.note for each in passed if each.note)
            yield ArchivedCommit(
                number, segment.first, segment.entries, head, segment.head, finals, named
            )
            previous = segment_digest(data)
        if mark is not None:
            raise UnprovenError(
                f"object {self._segment_name(number + 1)!r} is missing: the segments end at"
                f" {edge.size}, and {mark.known_by} has a head of size {mark.head.size}",
                name=ErrorName.ARCHIVE_HOLE,
            )
        if number < 0:
            raise RefusedError(
                f"nothing of {self._origin!r} is archived", name=ErrorName.ARCHIVE_EMPTY
            )

    def genesis(self) -> bytes:
        """Return what the archiver said of the log and of itself when it began.

        Raises:
            UnprovenError: ``archive_hole``; it is missing.
        """
        return self._read(f"{self._prefix}/meta/genesis")

    def attachment(self, digest: str, into: BinaryIO) -> None:
        """Write an attachment into an empty file, checked; it stands under one of two names.

        Raises:
            UnprovenError: ``archive_hole`` or ``archive_altered``; the file holds nothing of use.
        """
        altered = ""
        names = attachment_names(self._prefix, digest)
        for name in names:
            into.seek(0)
            into.truncate()
            try:
                stands = self._store.get_into(name, into)
            except UnprovenError:
                stands, altered = False, name
            if stands:
                if measured(into)[0] == digest:
                    return
                altered = name
        if altered:
            raise _altered(altered, "its bytes have another SHA-256")
        raise UnprovenError(
            f"object {names[0]!r} is missing, and {names[1]!r} too", name=ErrorName.ARCHIVE_HOLE
        )

    def _segments(self) -> Iterator[bytes]:
        """Read segments by the listing, so that a hole is not taken for the end."""
        for number, name in enumerate(self._store.list(f"{self._prefix}/seg/")):
            wanted = self._segment_name(number)
            if name != wanted:
                raise UnprovenError(
                    f"object {wanted!r} is missing, and {name!r} is there",
                    name=ErrorName.ARCHIVE_HOLE,
                )
            yield self._read(name)

    def _parsed(self, name: str, data: bytes) -> tuple[Segment, Checkpoint, tuple[str, ...]]:
        try:
            segment = Segment.parse(data)
            named = _attachments(segment.entries)
        except MalformedError as error:
            raise _altered(name, str(error)) from error
        return segment, self._signed(name, segment.head), named

    def _signed(self, name: str, note: bytes) -> Checkpoint:
        try:
            head, parsed = parse_checkpoint(note)
            check_log_signature(head, parsed, self._keys)
        except (MalformedError, UnprovenError) as error:
            raise _altered(name, str(error)) from error
        if head.origin != self._origin:
            raise _altered(name, f"it is of log {head.origin!r}")
        return head

    def _marks(self) -> Iterator[_Mark]:
        """Give the heads that are known beside the segments', by size."""
        expected = self._expected
        for name in self._store.list(f"{self._prefix}/cp/"):
            note = self._read(name)
            head = self._signed(name, note)
            if name != f"{self._prefix}/cp/{head.size:012d}":
                raise _altered(name, f"it holds a head of size {head.size}")
            if expected is not None and expected.size <= head.size:
                yield _Mark("", expected, b"")
                expected = None
            yield _Mark(name, head, note)
        if expected is not None:
            yield _Mark("", expected, b"")

    def _check_tiles(self, rows: TileRows, entries: Sequence[bytes]) -> None:
        for entry in entries:
            for path, made in rows.add(entry):
                name = f"{self._prefix}/{path}"
                if self._missing_tile is not None and self._store.get(name) is None:
                    self._missing_tile(name, made)
                elif self._read(name) != made:
                    raise _altered(name, "it is not what the entries make")

    def _read(self, name: str) -> bytes:
        try:
            data = self._store.get(name)
        except UnprovenError as error:
            raise _altered(name, str(error)) from error
        if data is None:
            raise UnprovenError(f"object {name!r} is missing", name=ErrorName.ARCHIVE_HOLE)
        return data

    def _segment_name(self, number: int) -> str:
        return f"{self._prefix}/seg/{number:012d}"


def _grown(edge: TreeEdge, entries: Sequence[bytes], marks: Sequence[_Mark]) -> TreeEdge:
    """Return the edge with these entries, which has the root of each mark at its size."""
    grown, start = edge.copy(), edge.size
    for mark in marks:
        upto = mark.head.size - start
        if not 0 <= upto <= len(entries):
            raise mark.wrong(f"size {mark.head.size} is not in entries from {start}")
        grown.extend(leaf_hash(entry) for entry in entries[grown.size - start : upto])
        if grown.root() != mark.head.root:
            raise mark.wrong(f"the entries do not lead to its size {mark.head.size}")
    if grown.size != start + len(entries):
        raise marks[-1].wrong(f"it holds entries behind its size {grown.size}")
    return grown


def _attachments(entries: Sequence[bytes]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for entry in entries:
        if b"\nattach sha256:" in entry:
            for digest, _ in read_numbering(Note.parse(entry).text).attachments:
                found[digest] = None
    return tuple(found)


def _altered(name: str, why: str) -> UnprovenError:
    return UnprovenError(f"object {name!r} is altered: {why}", name=ErrorName.ARCHIVE_ALTERED)
