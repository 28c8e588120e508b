"""The attachments that a follower has read, in a folder of its cache, checked at each reading."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnavailableError
from breakglass.http.client import Peer
from breakglass.process.folder import make_folder, write_whole
from breakglass.replica.ledger_reads import read_ledger

_FOLDER = "attachments"
_HEX = frozenset("0123456789abcdef")


def kept_attachment(folder: Path, digest: str) -> bytes | None:
    """Return the bytes of this SHA-256 (hex) that a follower's folder keeps; ``None`` if not."""
    kept = folder / _FOLDER / digest
    data = kept.read_bytes() if kept.is_file() else b""
    return data if hashlib.sha256(data).hexdigest() == digest else None


class AttachmentCache:
    """Reads from its folder or, where that has not the very bytes, from the ledger.

    Args:
        folder: the follower's; ``attachments`` in it is made if missing, and may be deleted while
            nothing runs.
        ledger: asked for what is not here.
    """

    def __init__(self, folder: Path, ledger: Peer) -> None:
        make_folder(folder / _FOLDER)
        self._folder = folder
        self._ledger = ledger

    def read(self, digest: str) -> bytes:
        """Return the bytes of this SHA-256 (hex), from the cache or the ledger.

        Raises:
            MalformedError: no digest.
            UnavailableError: the ledger is away, or gave other bytes.
        """
        if len(digest) != 64 or set(digest) - _HEX:
            raise MalformedError(f"{digest[:80]!r} is no SHA-256 in hex")
        if (kept := kept_attachment(self._folder, digest)) is not None:
            return kept
        data = read_ledger(self._ledger, f"/attachment/{digest}", timedelta(seconds=10)).body
        if hashlib.sha256(data).hexdigest() != digest:
            raise UnavailableError(
                f"{self._ledger.name} gave other bytes for attachment {digest}",
                name=ErrorName.NONSENSE,
            )
        write_whole(self._folder / _FOLDER / digest, data)
        return data
