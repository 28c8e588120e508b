"""The last head that a witness cosigned of each log: one file a log, with two copies in it.

Both copies are overwritten in place and synced once. A file written anew costs two syncs, of its
bytes and of its name, and the log's every commit waits for them. A plain checkpoint is read too:
that is how a person restores a head.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, UnavailableError
from breakglass.process.folder import make_folder, write_whole
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint
from breakglass.tlog.hashing import EMPTY_ROOT

_COPY_BYTES = 4096  # each copy begins with a block of its own, which disks write whole


def origin_hash(origin: str) -> str:
    """Return the name under which a log's head is kept and read: hex SHA-256 of its origin."""
    return hashlib.sha256(origin.encode()).hexdigest()


@dataclass(frozen=True)
class LastHead:
    """The largest head cosigned so far; ``note`` is its bytes with our line, empty if never."""

    checkpoint: Checkpoint
    note: bytes


class Heads:
    """The folder of heads. One writer; its owner's lock makes check and ``keep`` one step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, LastHead] = {}
        self._doubted: set[str] = set()
        make_folder(folder)

    def last(self, origin: str) -> LastHead:
        """Return the last head of a log; size 0 if there was none.

        Raises:
            MisconfiguredError: the file is damaged: to go on from size 0 would let the log
                rewrite what was cosigned.
            UnavailableError: the disk failed before, and still refuses.
        """
        if origin in self._doubted:
            self.renew(origin)
        if origin not in self._known:
            self._known[origin] = self._read(origin)
        return self._known[origin]

    def renew(self, origin: str) -> None:
        """Read a log's head and write it anew, so that it is on disk when this returns.

        What is read back behind a failed sync may stand in the machine's memory alone, and no
        later sync says so.

        Raises:
            MisconfiguredError: as ``last``.
            UnavailableError: the disk refuses.
        """
        self._known.pop(origin, None)
        self._doubted.add(origin)
        head = self._read(origin)
        if head.note:
            # A crash around this leaves the same head, in the old file or in the new one.
            self._write(origin, head.note, anew=True)
        self._doubted.discard(origin)

    def keep(self, head: LastHead) -> None:
        """Replace a log's head; on disk when this returns.

        Raises:
            UnavailableError: the disk refuses. The old or the new head stands: what is on disk is
                read again, and written anew, before the next check.
        """
        origin = head.checkpoint.origin
        self._known.pop(origin, None)
        self._doubted.add(origin)
        self._write(origin, head.note)
        self._doubted.discard(origin)
        self._known[origin] = head

    def _write(self, origin: str, note: bytes, *, anew: bool = False) -> None:
        path = self._folder / origin_hash(origin)
        copy = (hashlib.sha256(note).hexdigest().encode() + b"\n" + note).ljust(_COPY_BYTES, b"\0")
        data = copy * 2 if len(copy) == _COPY_BYTES else note
        try:
            if anew or data == note or not _overwritten(path, data):
                write_whole(path, data)
        except OSError as error:
            raise UnavailableError(f"head could not be kept: {error}; not cosigned") from error

    def _read(self, origin: str) -> LastHead:
        path = self._folder / origin_hash(origin)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return LastHead(Checkpoint(origin, 0, EMPTY_ROOT), b"")
        notes = list(_whole_copies(data)) if len(data) == 2 * _COPY_BYTES else [data]
        try:
            found = [LastHead(parse_checkpoint(note)[0], note) for note in notes]
        except BreakglassError as error:
            raise _damaged(path, str(error)) from error
        if not found:
            raise _damaged(path, "neither copy is whole")
        # A crash may leave a new copy beside an old one. The new one was promised to nobody, and
        # to stand by it costs nothing: the log brought it, and is told its size.
        head = max(found, key=lambda each: each.checkpoint.size)
        if head.checkpoint.origin != origin:
            raise MisconfiguredError(f"kept head {str(path)!r} is of another log; stayed shut")
        return head


def _overwritten(path: Path, data: bytes) -> bool:
    """Overwrite a file of the same length in place, synced; false if there is no such file."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if os.fstat(file).st_size != len(data):
            return False
        # A crash in here leaves each copy old or new. A disk that tears a block tears the one
        # under its hand: the first while the second is old, or the second behind a new first.
        # Were both torn, the witness stays shut until a person restores the head.
        if os.pwrite(file, data, 0) != len(data):
            raise OSError("the disk took a part")
        os.fdatasync(file)  # neither length nor name has changed
    finally:
        os.close(file)
    return True


def _whole_copies(data: bytes) -> Iterator[bytes]:
    for at in (0, _COPY_BYTES):
        digest, _, note = data[at : at + _COPY_BYTES].rstrip(b"\0").partition(b"\n")
        if hashlib.sha256(note).hexdigest().encode() == digest:
            yield note


def _damaged(path: Path, why: str) -> MisconfiguredError:
    return MisconfiguredError(
        f"kept head {str(path)!r} is damaged: {why}; stayed shut",
        name=ErrorName.HEAD_DAMAGED,
        hint="restore it from the log's own checkpoint that carries this witness's line",
    )
