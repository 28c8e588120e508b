"""Bytes that lie beside the log, under their SHA-256: on disk before a note may name them.

```
data/attachments/
  .unfinished/.<word>            an upload under way; swept at every start
  waiting/<key>/<sha256>         whole, by this submitter, and no record names it yet
  <2 hex>/<sha256>               named by a record: kept for good
```
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError, UnavailableError, reason
from breakglass.process.folder import make_folder, sync_folder
from breakglass.submit.blob_upload import PART_BYTES

WAITING = "waiting"
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Stored:
    """An attachment that was found whole; ``parts`` reads it once."""

    size: int
    parts: Iterator[bytes]


class Attachments(Protocol):
    """Keeps attachments; safe under threads. One contract suite for folder and PostgreSQL.

    What a call returned from has survived a crash of the machine. After ``UnavailableError``
    nothing may be assumed: the attachment may be there, whole, or not at all.
    """

    def take(self, file: BinaryIO, digest: str, size: int, submitter: bytes) -> None:
        """Keep ``size`` bytes for now: until a record names them, or ``forget``. Again is harmless.

        Args:
            file: holds exactly the bytes of ``digest``; may be moved away by this call.
            digest: SHA-256 in hex.
            size: in bytes.
            submitter: the public key of who brought it.

        Raises:
            UnavailableError: the store refuses.
        """
        ...

    def keep(self, digests: Sequence[str]) -> None:
        """Keep these for good: a record that names them is about to be accepted.

        Raises:
            RefusedError: ``attachment_missing``; one is not there (any more).
            UnavailableError: the store refuses.
        """
        ...

    def size(self, digest: str) -> int | None:
        """Return how many bytes are stored under ``digest``; ``None`` if there are none."""
        ...

    def read(self, digest: str) -> Stored:
        """Read an attachment, checked whole before its first byte is given.

        Raises:
            RefusedError: ``not_found``.
            UnavailableError: ``damaged``; or the store is away, also while it is read.
        """
        ...

    def waiting_bytes(self, submitter: bytes) -> int:
        """Return how many bytes of this submitter's no record names."""
        ...

    def forget(self, older_than: timedelta) -> int:
        """Let go of those that no record has named for so long; returns how many."""
        ...

    def named(self) -> Iterator[str]:
        """Give the digests of all that records name, or once were to name, in order."""
        ...


class AttachmentStore:
    """``Attachments`` in a folder, made if missing. One process may write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[str, int] = {}  # of those known to be durable, and named
        self._lock = threading.Lock()
        make_folder(folder / WAITING)

    def take(self, file: BinaryIO, digest: str, size: int, submitter: bytes) -> None:
        """See ``Attachments.take``; ``file`` lies on the same file system and has a name."""
        target = self._folder / WAITING / submitter.hex() / check_digest(digest)
        try:
            if self.size(digest) is not None:
                return
            os.fsync(file.fileno())
            make_folder(target.parent)
            # A crash before the rename leaves a dotted file that the next start sweeps; one
            # behind it leaves an attachment that waits, whole, whether or not anybody was told.
            os.replace(file.name, target)
            sync_folder(target.parent)
        except OSError as error:
            raise not_stored(digest, error) from error

    def keep(self, digests: Sequence[str]) -> None:
        """See ``Attachments.keep``."""
        for digest in digests:
            with self._lock:  # ``forget`` takes none that is being named
                if digest not in self._sizes:
                    self._keep(digest)

    def _keep(self, digest: str) -> None:
        target = self._named(digest)
        try:
            if not target.exists():
                waiting = self._found_waiting(digest)
                if waiting is None:
                    raise RefusedError(
                        f"attachment {digest} is not here any more",
                        name=ErrorName.ATTACHMENT_MISSING,
                    )
                make_folder(target.parent)
                # A crash before this leaves it waiting; behind it, an attachment that no record
                # names, which ``ledger fsck`` tells. The record comes only after it.
                os.replace(waiting, target)
            # Always: the name may stem from a process that died before its fsync.
            sync_folder(target.parent)
            self._sizes[digest] = target.stat().st_size
        except OSError as error:
            raise not_stored(digest, error) from error

    def size(self, digest: str) -> int | None:
        """See ``Attachments.size``."""
        with self._lock:
            known = self._sizes.get(digest)
        if known is not None:
            return known
        path = self._path(digest)
        with contextlib.suppress(OSError):
            return path.stat().st_size if path else None
        return None

    def read(self, digest: str) -> Stored:
        """See ``Attachments.read``; costs two passes over the file."""
        path = self._path(digest)
        try:
            if path is None:
                raise FileNotFoundError
            file = path.open("rb")
        except OSError as error:
            raise RefusedError(
                f"there is no attachment {digest}", name=ErrorName.NOT_FOUND
            ) from error
        sha256 = hashlib.sha256()
        try:
            while part := file.read(PART_BYTES):
                sha256.update(part)
            size = file.tell()
        except OSError as error:
            file.close()
            raise UnavailableError(
                f"attachment {digest} cannot be read: {reason(error)}"
            ) from error
        if sha256.hexdigest() != digest:
            file.close()
            raise damaged(digest)
        return Stored(size, _parts(file))

    def waiting_bytes(self, submitter: bytes) -> int:
        """See ``Attachments.waiting_bytes``."""
        found = 0
        for path in _files(self._folder / WAITING / submitter.hex()):
            with contextlib.suppress(FileNotFoundError):  # it was named meanwhile
                found += path.stat().st_size
        return found

    def forget(self, older_than: timedelta) -> int:
        """See ``Attachments.forget``; by the time of the file."""
        before = time.time() - older_than.total_seconds()
        gone = 0
        for folder in sorted((self._folder / WAITING).iterdir()):
            for path in _files(folder):
                with self._lock, contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < before:
                        path.unlink()
                        gone += 1
        return gone

    def named(self) -> Iterator[str]:
        """Give the digests of all that records name, or once were to name, in order."""
        for folder in sorted(self._folder.iterdir()):
            if len(folder.name) == 2:
                yield from (path.name for path in _files(folder))

    def _path(self, digest: str) -> Path | None:
        named = self._named(digest)
        if named.exists():
            return named
        # Between the two looks it may have been named.
        return self._found_waiting(digest) or (named if named.exists() else None)

    def _found_waiting(self, digest: str) -> Path | None:
        with contextlib.suppress(FileNotFoundError):
            for folder in sorted((self._folder / WAITING).iterdir()):
                if (folder / digest).exists():
                    return folder / digest
        return None

    def _named(self, digest: str) -> Path:
        return self._folder / check_digest(digest)[:2] / digest


def check_digest(digest: str) -> str:
    """Return ``digest`` if it is a SHA-256 in hex.

    Raises:
        MalformedError: ``wrong_digest``; it is none.
    """
    if len(digest) != 64 or set(digest) - _HEX:
        raise MalformedError(f"{digest[:80]!r} is no SHA-256 in hex", name=ErrorName.WRONG_DIGEST)
    return digest


def not_stored(digest: str, error: OSError) -> UnavailableError:
    """Say that the disk refuses."""
    return UnavailableError(
        f"attachment {digest} could not be stored: {error}; nothing may name it yet",
        name=ErrorName.NOT_STORED,
        hint="put it again when there is room on the ledger's disk",
    )


def damaged(digest: str) -> UnavailableError:
    """Say that stored bytes are not those of their name."""
    return UnavailableError(
        f"attachment {digest} is damaged on disk; nothing of it was given",
        name=ErrorName.DAMAGED,
        hint="the archive has it too; see what else is wrong: breakglass ledger fsck FOLDER",
    )


def _parts(file: BinaryIO) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while part := file.read(PART_BYTES):
            yield part


def _files(folder: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return []
