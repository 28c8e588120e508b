"""Bytes that lie beside the log, under their SHA-256: on disk before a note may name them."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

from breakglass.errors import MalformedError, RefusedError, UnavailableError
from breakglass.wire.folder import make_folder, sync_folder, write_synced

_HEX = frozenset("0123456789abcdef")


class AttachmentStore:
    """A folder of attachments; safe under threads.

    Args:
        folder: made if missing.
        bytes_at_most: longer ones are refused.
    """

    def __init__(self, folder: Path, bytes_at_most: int) -> None:
        self._folder = folder
        self._bytes_at_most = bytes_at_most
        self._sizes: dict[str, int] = {}  # of those known to be durable
        self._lock = threading.Lock()
        make_folder(folder)

    def put(self, digest: str, data: bytes) -> None:
        """Keep ``data``; file and name are on disk when this returns. Again is harmless.

        Raises:
            MalformedError: ``digest`` is not the data's, or the data is too long.
            UnavailableError: the disk refuses.
        """
        path = self._path(digest)
        if len(data) > self._bytes_at_most:
            raise MalformedError(
                f"attachment of {len(data)} bytes, {self._bytes_at_most} at most", name="too_large"
            )
        if hashlib.sha256(data).hexdigest() != digest:
            raise MalformedError(f"attachment is not the bytes of {digest}", name="wrong_digest")
        temporary = path.with_name(f".{digest}.{secrets.token_hex(4)}")
        try:
            if self.size(digest) is None:
                make_folder(path.parent)
                write_synced(temporary, data)
                # A crash before the rename leaves a dotted file that nobody reads.
                os.replace(temporary, path)
            # Always, since the name may stem from a call that died before syncing it.
            sync_folder(path.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise UnavailableError(
                f"attachment {digest} could not be stored: {error}; nothing may name it yet",
                name="not_stored",
                hint="put it again when there is room on the ledger's disk",
            ) from error
        with self._lock:
            self._sizes[digest] = len(data)

    def get(self, digest: str) -> bytes:
        """Return the bytes.

        Raises:
            RefusedError: ``not_found``.
            UnavailableError: what lies there is damaged.
        """
        try:
            data = self._path(digest).read_bytes()
        except OSError as error:
            raise RefusedError(f"there is no attachment {digest}", name="not_found") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise UnavailableError(f"attachment {digest} is damaged on disk", name="damaged")
        return data

    def size(self, digest: str) -> int | None:
        """Return how many bytes are stored under ``digest``; ``None`` if there are none."""
        with self._lock:
            known = self._sizes.get(digest)
        if known is not None:
            return known
        path = self._path(digest)
        try:
            size = path.stat().st_size
            # Renamed by a process that died before its fsync of the folder, perhaps.
            sync_folder(path.parent)
        except OSError:
            return None
        with self._lock:
            self._sizes[digest] = size
        return size

    def digests(self) -> Iterator[str]:
        """Name all that is stored, in order."""
        for folder in sorted(self._folder.iterdir()):
            for path in sorted(folder.iterdir()):
                if not path.name.startswith("."):
                    yield path.name

    def _path(self, digest: str) -> Path:
        if len(digest) != 64 or set(digest) - _HEX:
            raise MalformedError(f"{digest[:80]!r} is no SHA-256 in hex", name="wrong_digest")
        return self._folder / digest[:2] / digest
