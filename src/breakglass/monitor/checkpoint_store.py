"""Every head that anybody ever showed us, and the evidence where two of them contradict.

Neither can be made again from the log, so both are backed up: docs/reference/backup.md.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from breakglass.clock import format_time
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.monitor.root_history import RootHistory
from breakglass.process.database import Database
from breakglass.process.folder import make_folder, write_whole
from breakglass.tlog.checkpoint import Checkpoint

_SCHEMA = """
create table if not exists heads(
    by_whom text not null, size integer not null, text text not null, note blob not null,
    seen text not null, primary key (by_whom, size, text)
) strict;
"""


@dataclass(frozen=True)
class Head:
    """A head as somebody served it, signed by the log; ``by`` says who served it."""

    by: str
    checkpoint: Checkpoint
    note: bytes


class CheckpointStore:
    """See the module; safe under threads."""

    def __init__(self, folder: Path) -> None:
        """Open ``heads.sqlite`` and ``evidence`` in ``folder``, or make them.

        Raises:
            MisconfiguredError: they cannot be used.
        """
        self._evidence = folder / "evidence"
        try:
            make_folder(self._evidence)
        except OSError as error:
            raise MisconfiguredError(
                f"{str(self._evidence)!r} cannot be used: {error}; not started"
            ) from error
        self._file = Database(
            folder / "heads.sqlite", what="kept heads", durability="full", schema=_SCHEMA
        )

    def keep(self, head: Head, now: datetime) -> None:
        """Keep a head; one that is here already is left as it is.

        Raises:
            UnavailableError: the disk refuses.
        """
        seen = format_time(now)
        row = (head.by, head.checkpoint.size, head.checkpoint.text, head.note, seen)
        try:
            self._file.do("insert or ignore into heads values (?, ?, ?, ?, ?)", *row)
        except sqlite3.Error as error:
            raise UnavailableError(f"a head could not be kept: {error}") from error

    def accuse(self, ours: Head, theirs: Head, roots: RootHistory, now: datetime) -> str:
        """Write both heads into a file that proves by itself that there are two histories.

        ``growth`` proves that ``ours`` begins with ``our_root`` at the size of ``theirs``, which
        has another root there.

        Returns:
            the file's name.

        Raises:
            UnavailableError: the disk refuses.
        """
        old, new = theirs.checkpoint.size, ours.checkpoint.size
        value = {
            "found_at": format_time(now),
            "origin": ours.checkpoint.origin,
            "ours": {"by": ours.by, "head": ours.note.decode()},
            "theirs": {"by": theirs.by, "head": theirs.note.decode()},
            "size": old,
            "our_root": roots.root(old).hex(),
            "growth": [each.hex() for each in roots.growth(old, new)] if old else [],
        }
        return self._write(theirs.note, value)

    def accuse_follower(self, folder: Path, why: str, now: datetime) -> str:
        """Copy what a follower kept when it stopped: its folder is a cache and may be deleted."""
        heads = {
            path.name: path.read_text("utf-8", "replace")
            for path in sorted((folder / "evidence").glob("*"))
        }
        value = {"found_at": format_time(now), "why": why, "heads": heads}
        return self._write(json.dumps(heads).encode(), value)

    def _write(self, names: bytes, value: object) -> str:
        name = f"{hashlib.sha256(names).hexdigest()[:16]}.json"
        try:
            write_whole(self._evidence / name, json.dumps(value, indent=1).encode() + b"\n")
        except OSError as error:
            raise UnavailableError(f"evidence could not be kept: {error}") from error
        return name

    @property
    def evidence(self) -> tuple[str, ...]:
        """The names of the evidence files; while there is one, the ledger is not believed."""
        return tuple(sorted(path.name for path in self._evidence.glob("*.json")))

    @property
    def count(self) -> int:
        """How many different heads were seen."""
        return int(self._file.one("select count(*) from heads")[0])

    def close(self) -> None:
        """Close the file."""
        self._file.close()
