"""``python -m breakglass.archiver.doctor FOLDER``: what this archive promises, and what it keeps.

For S3 the looks are in ``bucket_examination.py``. A folder of files is looked at for what it can
give at most: nobody who is root on its host is kept from it.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from breakglass.archiver.attachment_names import RECORDINGS
from breakglass.archiver.bucket_examination import BucketExamination, BucketFinding
from breakglass.archiver.retention import FilesSettings
from breakglass.archiver.s3_store import S3ObjectStore
from breakglass.archiver.settings import ArchiverSettings
from breakglass.clock import Clock, SystemClock, format_time
from breakglass.errors import BreakglassError, RefusedError
from breakglass.process.settings import read_settings

__all__ = ["BucketFinding", "examine", "main"]

_FILES_AT_MOST = 200_000


def examine(
    folder: Path, clock: Clock, *, objects_at_most: int = _FILES_AT_MOST, after: str = ""
) -> Iterator[BucketFinding]:
    """Look at the store of an archiver's folder; may be run while the archiver runs.

    Args:
        folder: the process folder, with ``settings.toml``.
        clock: for locks and the comparison of clocks.
        objects_at_most: where a listing stops, and says so.
        after: where it begins.

    Raises:
        MisconfiguredError: the settings cannot be read.
    """
    settings = read_settings(folder, ArchiverSettings)
    if settings.s3 is not None:
        # Evidence is told as findings here; the archiver's own file keeps what it saw itself.
        store = S3ObjectStore(settings.s3, clock, alarm=lambda evidence: None)
        yield from BucketExamination(store, clock, objects_at_most, after).findings()
    else:
        files = settings.store or folder / "data" / "store"
        yield from _files(files, objects_at_most)
        yield _retention(files, settings.files, clock, objects_at_most)


def _files(store: Path, at_most: int) -> Iterator[BucketFinding]:
    yield BucketFinding(
        "limit",
        "out_of_reach",
        f"the archive is a folder, {str(store)!r}: whoever is root on this host can erase it",
        "put it on another host under another administrator, or on S3 with object lock",
    )
    try:
        here, there = os.stat(store).st_uid, os.getuid()
        writable = [
            str(path.relative_to(store))
            for path in islice(store.rglob("[!.]*"), at_most)
            if path.is_file() and path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
        ]
        others = os.stat(store).st_mode & 0o077
    except OSError as error:
        yield BucketFinding("unknown", "files", f"{str(store)!r} cannot be looked at: {error}")
        return
    if here != there and there != 0:
        yield BucketFinding("limit", "owner", f"the folder is of user {here}, and we are {there}")
    if others:
        hint = f"chmod 0700 {store}"
        yield BucketFinding("wrong", "modes", f"{str(store)!r} is open to other users", hint)
    if writable:
        what = f"{len(writable)} objects may be written, {writable[0]!r} among them"
        yield BucketFinding(
            "wrong", "modes", what, "ours are read-only (0400): find out who changed them"
        )
    if not others and not writable:
        yield BucketFinding("good", "modes", "objects are read-only files in a private folder")


def _retention(store: Path, kept: FilesSettings, clock: Clock, at_most: int) -> BucketFinding:
    """Say what a folder promises of times (nothing), and which recordings may go."""
    now, past = clock.now(), []
    for path in islice(store.glob(f"*/{RECORDINGS}/*"), at_most):
        put = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        if put + kept.kept(f"x/{RECORDINGS}/x") < now:
            past.append(str(path.relative_to(store)))
    days = (
        f"retention in its settings: recordings {kept.recordings_kept_days} days,"
        f" records {kept.records_kept_days:,} days"
    )
    if not past:
        what = f"a folder locks nothing; {days}; none expired"
        return BucketFinding("limit", "retention", what)
    return BucketFinding(
        "limit",
        "retention",
        f"a folder locks and deletes nothing; {days}; {len(past)} recordings expired,"
        f" such as {past[0]!r}",
        "delete them if your rules ask for it; the log is then rebuilt with --may-lack-attachments",
    )


def main(argv: Sequence[str]) -> int:
    """Look and tell; returns 0 if nothing is wrong, 3 if something is, or the error's code."""
    parser = argparse.ArgumentParser(
        prog="python -m breakglass.archiver.doctor",
        description="Look at an archive: its lock, versions, policy, and a delete to be refused.",
        epilog="example: python -m breakglass.archiver.doctor org/archiver --json",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object, for machines")
    parser.add_argument("--objects-at-most", type=int, default=_FILES_AT_MOST)
    parser.add_argument("--after", default="", help="go on behind this object")
    given = parser.parse_args(argv)
    clock = SystemClock()
    try:
        found = list(
            examine(given.folder, clock, objects_at_most=given.objects_at_most, after=given.after)
        )
    except BreakglassError as error:
        print(f"breakglass: error: {error}", file=sys.stderr)
        if error.hint:
            print(f"breakglass: hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    if given.json:
        told = {"at": format_time(clock.now()), "findings": [asdict(each) for each in found]}
        print(json.dumps(told, ensure_ascii=False))
    else:
        for each in found:
            print(f"{each.level:8}{each.name:18}{each.what}")
            if each.hint:
                print(f"{'':26}{each.hint}")
    return RefusedError.exit_code if any(each.level == "wrong" for each in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
