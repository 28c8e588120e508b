"""A ledger's journal made again from commits that were kept elsewhere; never over another one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, RefusedError, UnprovenError
from breakglass.ledger.attachments import AttachmentStore
from breakglass.ledger.journal import Commit, Entry, Head, Place
from breakglass.ledger.journal_check import examine
from breakglass.ledger.journal_tiles import JournalTiles
from breakglass.ledger.merkle_frontier import GrowingTree
from breakglass.ledger.settings import LedgerSettings
from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.process.folder import held, make_folder, sync_folder
from breakglass.process.key_store import keeping_of
from breakglass.process.settings import read_settings
from breakglass.submit.record_header import read_numbering, text_digest
from breakglass.tlog.hashing import leaf_hash
from breakglass.tlog.note import Note

_SUFFIXES = ("", "-wal", "-shm")
_NOBODY = bytes(32)  # the key of no submitter: what is kept at once waits for nobody


@dataclass(frozen=True)
class Kept:
    """One commit as it was kept: its head as the log alone signed it, and in its final form.

    ``cosigned`` is empty if the final form was not kept; a ledger then asks for it again.
    """

    entries: tuple[bytes, ...]
    size: int
    signed: bytes
    cosigned: bytes


def refill(
    folder: Path,
    commits: Iterable[Kept],
    named: Callable[[], Iterable[str]],
    fetch: Callable[[str, BinaryIO], None],
) -> int:
    """Write the journal of the ledger in ``folder``, which has none; returns its size.

    Args:
        folder: with ``settings.toml`` and the log's key; the ledger must not run.
        commits: all of them, in order, from the first entry.
        named: gives the SHA-256, in hex, of what the entries name.
        fetch: writes the bytes of one, checked, into an empty file.

    Raises:
        RefusedError: ``journal_stands``; nothing was written.
        MisconfiguredError: the ledger runs, or its journal is in a database.
        UnprovenError: what was written does not lead to its own heads; it was taken away again.
    """
    settings = read_settings(folder, LedgerSettings)
    if settings.journal or settings.postgres is not None:
        raise MisconfiguredError(
            f"the journal of {str(folder)!r} is in a database; nothing was written",
            name=ErrorName.JOURNAL_IN_DATABASE,
            hint="rebuild into a folder of its own, and move it as standby-ledger.md says",
        )
    data = folder / "data"
    make_folder(data)
    target, draft = data / "journal.sqlite", data / ".journal.partial"
    with held(folder):
        if target.exists():
            raise RefusedError(
                f"{str(target)!r} already exists; nothing was written",
                name=ErrorName.JOURNAL_STANDS,
                hint="move it away first: it may hold what nobody else has",
            )
        _take_away(draft)
        # (1) What entries name, before them; a crash leaves attachments that nobody names.
        store = AttachmentStore(data / "attachments")
        for digest in named():
            _take(store, data / "attachments", digest, fetch)
        try:
            # (2) Under another name: a journal cut short would be one that was rolled back.
            size = _filled(draft, commits, folder)
            # (3) From here it stands whole.
            os.rename(draft, target)
            sync_folder(data)
        finally:
            _take_away(draft)
    return size


def _take(
    store: AttachmentStore, folder: Path, digest: str, fetch: Callable[[str, BinaryIO], None]
) -> None:
    """Fetch one attachment into the store, and keep it for good."""
    if store.size(digest) is not None:
        store.keep([digest])  # an earlier run was cut off behind it
        return
    path = folder / f".{digest}"
    with path.open("w+b") as file:
        try:
            fetch(digest, file)
            file.flush()
            store.take(file, digest, os.fstat(file.fileno()).st_size, _NOBODY)
        finally:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
    store.keep([digest])


def _filled(path: Path, commits: Iterable[Kept], folder: Path) -> int:
    journal = SqliteJournal(path)
    try:
        tree, places, before = GrowingTree(JournalTiles(journal), 0), dict[str, Place](), b""
        for kept in commits:
            size = tree.size
            tiles = tree.extend(map(leaf_hash, kept.entries))
            tree.forget()
            entries = [_entry(note, places) for note in kept.entries]
            head = Head(kept.size, kept.signed)
            journal.commit(Commit(size, before, entries, tiles, head))
            if kept.cosigned:
                journal.cosign(kept.size, kept.cosigned)
            before = kept.signed
        found = examine(journal, [keeping_of(folder).verifier()])
        if found.findings:
            raise UnprovenError(
                f"what was kept makes no journal: {found.findings[0].what}; nothing was left",
                name=ErrorName.JOURNAL_DAMAGED,
            )
        return tree.size
    finally:
        journal.close()


def _entry(data: bytes, places: dict[str, Place]) -> Entry:
    """Index an entry by who sent it; where people signed too, by whose chain it continues."""
    note = Note.parse(data)
    numbering = read_numbering(note.text)
    keys = [line.label for line in note.lines]
    here = Place(numbering.seq, numbering.prev)
    key = next((each for each in keys if places.get(each, Place()) == here), keys[0])
    digest = text_digest(note.text)
    places[key] = Place(numbering.seq + 1, digest)
    return Entry(data, key, numbering.id, numbering.seq, digest)


def _take_away(draft: Path) -> None:
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{draft}{suffix}")
