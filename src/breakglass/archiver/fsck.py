"""Examines an archive: every object against every other, and what a crash or a cut left.

Segments are history: one that is cut short or altered is told, with the way out, and never touched.
Tiles follow from the segments; a missing one is put again. Nothing that stands is overwritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from breakglass.archiver.archived_log import ArchivedLog
from breakglass.archiver.attachment_names import ATTACHMENTS, RECORDINGS
from breakglass.archiver.object_store import ObjectStore, PosixObjectStore
from breakglass.archiver.rebuild import open_store
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnprovenError
from breakglass.process.folder import held
from breakglass.process.served_logs import read_logs
from breakglass.tlog.note import VerifierKey


@dataclass(frozen=True)
class ArchiveFinding:
    """One thing, in words for a person; ``label``: wrong, derived, lost, or left (harmless)."""

    name: str  # segment, tile, attachment_lost, attachment_unnamed, unfinished
    what: str
    label: str

    @property
    def history(self) -> bool:
        """Whether history is damaged: nothing here can help."""
        return self.label == "wrong"


@dataclass
class Examined:
    """What an examination of an archive has found; ``tiles`` are missing, as entries make them."""

    size: int = 0
    findings: list[ArchiveFinding] = field(default_factory=list)
    tiles: dict[str, bytes] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether history is whole, whatever else is wrong."""
        return not any(finding.history for finding in self.findings)

    @property
    def derived(self) -> bool:
        """Whether there is something to mend."""
        return bool(self.tiles)

    @property
    def more(self) -> int:
        """How many findings are not told: none."""
        return 0

    def add(self, name: str, what: str, label: str) -> None:
        """Note a finding."""
        self.findings.append(ArchiveFinding(name, what, label))


def check_archive(folder: Path, *, mending: bool = False) -> Examined:
    """Examine the archive of an archiver's folder; returns what was found before mending.

    Args:
        folder: of an archiver, which may run while its archive is only examined.
        mending: put missing tiles, and remove puts that broke off; the archiver must be stopped.

    Raises:
        MisconfiguredError: no archiver's folder; or it runs, and its archive should be mended.
        RefusedError: history is damaged, so nothing was mended.
        UnavailableError: the store fails.
    """
    with held(folder) if mending else contextlib.nullcontext():
        store, found = open_store(str(folder)), Examined()
        for origin, keys in sorted(read_logs(folder / "logs").items()):
            _examine_log(store, origin, keys, found)
        left = store.unfinished() if isinstance(store, PosixObjectStore) else []
        for path in left:
            found.add("unfinished", f"{path.name!r} is a put, under way or broken off", "left")
        if mending:
            _mend(store, found, left)
        return found


def _examine_log(
    store: ObjectStore, origin: str, keys: Sequence[VerifierKey], found: Examined
) -> None:
    prefix = hashlib.sha256(origin.encode()).hexdigest()
    tiles: dict[str, bytes] = {}
    archived = ArchivedLog(store, origin, keys, missing_tile=tiles.__setitem__)
    named: dict[str, int] = {}
    size = number = 0
    try:
        for commit in archived.commits():
            size, number = commit.head.size, commit.number + 1
            for digest in commit.attachments:
                named.setdefault(digest, commit.number)
    except RefusedError:
        return  # nothing of this log is archived yet
    except UnprovenError as error:
        found.add("segment", _explained(store, prefix, number, error), "wrong")
        return
    finally:
        found.size += size
    for name in tiles:
        found.add("tile", f"object {name!r} is missing, and follows from the entries", "derived")
    found.tiles.update(tiles)
    _examine_attachments(store, archived, prefix, named, found)


def _explained(store: ObjectStore, prefix: str, number: int, error: UnprovenError) -> str:
    """Say what is wrong with history, and the way out where there is one."""
    last = f"{prefix}/seg/{number:012d}"
    if f"{last!r} is altered" not in error.message or [*store.list(f"{prefix}/seg/")][-1] != last:
        return f"{error.message}; take it from a second copy of the archive"
    return (
        f"{error.message}; it is the last one. If 'ledger fsck' finds the ledger whole: stop the"
        " archiver, move this one object out of the store, start it, and the ledger sends these"
        " entries again. Else take it from a second copy of the archive"
    )


def _examine_attachments(
    store: ObjectStore,
    archived: ArchivedLog,
    prefix: str,
    named: dict[str, int],
    found: Examined,
) -> None:
    with tempfile.TemporaryFile() as file:
        for digest, number in sorted(named.items()):
            try:
                archived.attachment(digest, file)
            except UnprovenError as error:
                past = (
                    "; a recording past its time may be gone"
                    if error.name == ErrorName.ARCHIVE_HOLE
                    else ""
                )
                what = f"{error.message}; segment {number} names it{past}"
                found.add("attachment_lost", what, "lost")
    for folder in (ATTACHMENTS, RECORDINGS):
        for name in store.list(f"{prefix}/{folder}/"):
            if name.rpartition("/")[2] not in named:
                what = f"object {name!r} is named by no entry; a crash before its segment left it"
                found.add("attachment_unnamed", what, "left")


def _mend(store: ObjectStore, found: Examined, left: Sequence[Path]) -> None:
    for finding in found.findings:
        if finding.history:
            raise RefusedError(
                f"history is damaged: {finding.what}; nothing was mended",
                name=ErrorName.ARCHIVE_DAMAGED,
                hint="the ledger's own copy: breakglass ledger fsck LEDGER-FOLDER; history is"
                " never repaired",
            )
    for name, data in found.tiles.items():
        # A crash here leaves some put and some missing: the next examination finds the rest.
        store.put_if_absent(name, data)
    for path in left:
        path.unlink(missing_ok=True)
