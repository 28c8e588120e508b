"""``python -m breakglass.archiver.rebuild STORE --to DIR``: a log from its archive alone.

What is written is a C2SP tlog-tiles folder, which any foreign verifier reads:

```
checkpoint                 the newest head, cosigned if the archive holds it so
tile/<L>/<N>[.p/<W>]       hashes, full and partial
tile/entries/<N>[.p/<W>]   entries
heads                      heads in their final form, each u16 big-endian length + note
attachment/<sha256>        what entries name
genesis                    what the archiver said when it began
```
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from breakglass.archiver.archived_log import ArchivedCommit, ArchivedLog
from breakglass.archiver.object_store import ObjectStore, PosixObjectStore
from breakglass.archiver.s3_settings import S3Settings
from breakglass.archiver.s3_store import S3ObjectStore
from breakglass.archiver.settings import ArchiverSettings
from breakglass.clock import SystemClock
from breakglass.error_names import ErrorName
from breakglass.errors import (
    BreakglassError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
    UnprovenError,
)
from breakglass.process.folder import SETTINGS, sync_folder
from breakglass.process.served_logs import read_logs
from breakglass.process.settings import read_settings
from breakglass.tlog.checkpoint import Checkpoint, check_log_signature, parse_checkpoint
from breakglass.tlog.note import VerifierKey
from breakglass.tlog.tile_rows import TileRows

Progress = Callable[[int], None]
"""Told entries written so far."""


@dataclass(frozen=True)
class Rebuilt:
    """What was written; ``missing`` are attachments that are not in the archive any more."""

    size: int
    commits: int
    attachments: int
    missing: tuple[str, ...]


def write_folder(
    archived: ArchivedLog,
    to: Path,
    *,
    may_lack_attachments: bool = False,
    progress: Progress = lambda done: None,
) -> Rebuilt:
    """Write the log into the new folder ``to``, which appears when it is complete.

    Args:
        archived: reads and checks it.
        to: must not stand.
        may_lack_attachments: go on without those that are gone (recordings are kept for a shorter
            time than records); they are told in the answer.
        progress: told after each commit.

    Raises:
        RefusedError: ``exists``, or ``archive_empty``.
        UnprovenError: as ``ArchivedLog.commits``; nothing was written.
        UnavailableError: the store or the disk fails.
    """
    if to.exists():
        raise RefusedError(
            f"{str(to)!r} already exists; nothing was written", name=ErrorName.EXISTS
        )
    draft = to.with_name(f".{to.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        written = _Writing(archived, draft, may_lack_attachments, progress).all()
        # From here it stands whole; a crash before leaves a dotted folder that nobody reads.
        os.rename(draft, to)
        sync_folder(to.parent)
    except OSError as error:
        raise UnavailableError(f"{str(to)!r} could not be written: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return written


class _Writing:
    def __init__(
        self, archived: ArchivedLog, folder: Path, may_lack: bool, progress: Progress
    ) -> None:
        self._archived = archived
        self._folder = folder
        self._may_lack = may_lack
        self._progress = progress
        self._rows = TileRows()
        self._attached: set[str] = set()
        self._missing: list[str] = []

    def all(self) -> Rebuilt:
        last: ArchivedCommit | None = None
        with (self._folder / "heads").open("wb") as heads:
            for commit in self._archived.commits():
                for entry in commit.entries:
                    for path, data in self._rows.add(entry):
                        self._put(path, data)
                for note in commit.finals:
                    heads.write(len(note).to_bytes(2, "big") + note)
                for digest in commit.attachments:
                    self._attach(digest)
                last = commit
                self._progress(commit.head.size)
        assert last is not None  # an empty archive is refused
        for path, data in self._rows.partial():
            self._put(path, data)
        self._put("genesis", self._archived.genesis())
        self._put("checkpoint", last.finals[-1] if _final_of(last) else last.head_note)
        count = len(self._attached) - len(self._missing)
        return Rebuilt(last.head.size, last.number + 1, count, tuple(self._missing))

    def _attach(self, digest: str) -> None:
        if digest in self._attached:
            return
        self._attached.add(digest)
        target = self._made(f"attachment/{digest}")
        try:
            with target.open("w+b") as file:
                self._archived.attachment(digest, file)
        except UnprovenError as error:
            if error.name != ErrorName.ARCHIVE_HOLE or not self._may_lack:
                raise
            target.unlink()
            self._missing.append(digest)

    def _put(self, path: str, data: bytes) -> None:
        self._made(path).write_bytes(data)

    def _made(self, path: str) -> Path:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def _final_of(commit: ArchivedCommit) -> bool:
    """Say whether the commit's own head, not one within it, is held in its final form."""
    text = commit.head.text.encode() + b"\n"
    return bool(commit.finals) and commit.finals[-1].startswith(text)


def open_store(where: str, s3: argparse.Namespace | None = None) -> ObjectStore:
    """Open an archive for reading.

    Args:
        where: the folder of an archiver (its settings say the rest), the folder of a POSIX store,
            or ``s3://bucket/prefix/``.
        s3: ``region``, ``endpoint``, ``path_style`` and ``credentials`` for the last.

    Raises:
        MisconfiguredError: no such folder, or settings that cannot be read.
    """
    if where.startswith("s3://"):
        parts = urlsplit(where)
        given = {key: value for key, value in vars(s3).items() if value} if s3 else {}
        known = {key: given[key] for key in ("region", "endpoint", "path_style") if key in given}
        credentials = Path(given["credentials"]) if "credentials" in given else None
        prefix = parts.path.strip("/")
        settings = S3Settings(
            parts.netloc, prefix=f"{prefix}/" if prefix else "", credentials=credentials, **known
        )
        return S3ObjectStore(settings, SystemClock())
    folder = Path(where)
    if (folder / SETTINGS).exists():
        found = read_settings(folder, ArchiverSettings)
        if found.s3 is not None:
            return S3ObjectStore(found.s3, SystemClock())
        folder = found.store or folder / "data" / "store"
    if not folder.is_dir():
        raise MisconfiguredError(f"{str(folder)!r} is no folder; nothing was read")
    return PosixObjectStore(folder)


def main(argv: Sequence[str]) -> int:
    """Rebuild and tell; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m breakglass.archiver.rebuild",
        description="Rebuild a log from its archive alone, checking every byte of it.",
        epilog="example: python -m breakglass.archiver.rebuild s3://acme-archive --log"
        " ledger.example/one+4ab1c2d3+AVk… --head last-checkpoint --to rebuilt",
    )
    parser.add_argument("store", help="archiver's folder, store's folder, or s3://bucket/prefix/")
    parser.add_argument("--to", type=Path, required=True, help="a folder that does not stand yet")
    parser.add_argument("--log", action="append", default=[], help="the log's verifier key")
    parser.add_argument("--head", type=Path, help="a checkpoint that the archive must reach")
    parser.add_argument("--may-lack-attachments", action="store_true")
    parser.add_argument("--region")
    parser.add_argument("--endpoint", help="of an S3 that is not AWS")
    parser.add_argument("--path-style", action="store_true")
    parser.add_argument("--credentials", help="AWS credentials file")
    given = parser.parse_args(argv)
    try:
        keys = _keys(given)
        expected = _head(given.head, keys) if given.head else None
        archived = ArchivedLog(open_store(given.store, given), keys[0].name, keys, expected)
        done = write_folder(archived, given.to, may_lack_attachments=given.may_lack_attachments)
    except (BreakglassError, OSError) as error:
        print(f"breakglass: error: {error}", file=sys.stderr)
        if isinstance(error, BreakglassError) and error.hint:
            print(f"breakglass: hint: {error.hint}", file=sys.stderr)
        return error.exit_code if isinstance(error, BreakglassError) else 2
    print(json.dumps(asdict(done)))
    return 0


def _keys(given: argparse.Namespace) -> list[VerifierKey]:
    keys = [VerifierKey.parse(each) for each in given.log]
    logs = Path(given.store) / "logs"
    if not keys and logs.is_file():
        keys = [key for of_one in read_logs(logs).values() for key in of_one]
    if not keys or len({key.name for key in keys}) > 1:
        raise MisconfiguredError(
            "which log is not clear: wanted the keys of one, nothing was read",
            hint="give its verifier key with --log; the archive's own word for it proves nothing",
        )
    return keys


def _head(path: Path, keys: Sequence[VerifierKey]) -> Checkpoint:
    head, note = parse_checkpoint(path.read_bytes())
    check_log_signature(head, note, keys)
    return head


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
