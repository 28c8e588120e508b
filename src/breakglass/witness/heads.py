"""The last head that a witness cosigned of each log: one file a log, replaced whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, UnavailableError
from breakglass.process.folder import make_folder, write_whole
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint
from breakglass.tlog.hashing import EMPTY_ROOT


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
        make_folder(folder)

    def last(self, origin: str) -> LastHead:
        """Return the last head of a log; size 0 if there was none.

        Raises:
            MisconfiguredError: the file is damaged: to go on from size 0 would let the log
                rewrite what was cosigned.
        """
        if origin not in self._known:
            self._known[origin] = self._read(origin)
        return self._known[origin]

    def keep(self, head: LastHead) -> None:
        """Replace a log's head; on disk when this returns.

        Raises:
            UnavailableError: the disk refuses. The old or the new head stands: what is on disk is
                read again before the next check.
        """
        origin = head.checkpoint.origin
        self._known.pop(origin, None)
        try:
            write_whole(self._folder / origin_hash(origin), head.note)
        except OSError as error:
            raise UnavailableError(f"head could not be kept: {error}; not cosigned") from error
        self._known[origin] = head

    def _read(self, origin: str) -> LastHead:
        path = self._folder / origin_hash(origin)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return LastHead(Checkpoint(origin, 0, EMPTY_ROOT), b"")
        try:
            checkpoint = parse_checkpoint(data)[0]
        except BreakglassError as error:
            raise MisconfiguredError(
                f"kept head {str(path)!r} is damaged: {error}; stayed shut",
                name=ErrorName.HEAD_DAMAGED,
                hint="restore it from the log's own checkpoint that carries this witness's line",
            ) from error
        if checkpoint.origin != origin:
            raise MisconfiguredError(f"kept head {str(path)!r} is of another log; stayed shut")
        return LastHead(checkpoint, data)
