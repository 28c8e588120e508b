"""Writes a whole log into a folder that verifies without us: C2SP tlog-tiles, and what we add.

```
checkpoint                 the newest cosigned head
tile/<L>/<N>[.p/<W>]       hashes, full and partial
tile/entries/<N>[.p/<W>]   entries
heads                      every commit's cosigned head in order, each u16 big-endian length + note
attachment/<sha256>        what entries name
policy                     whose signatures count, plain C2SP tlog-policy
trust                      the trust file, as given
```
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError, UnavailableError, UnprovenError
from breakglass.http.client import Peer
from breakglass.http.request_signer import RequestSigner
from breakglass.ledger.attachments import AttachmentStore
from breakglass.ledger.feed import Feed, Published
from breakglass.ledger.journal import Head
from breakglass.ledger.merkle_frontier import GrowingTree
from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.process.folder import sync_folder
from breakglass.submit.blob_upload import ATTACHMENT_BYTES_AT_MOST, file_parts, get_attachment
from breakglass.submit.record_header import read_numbering
from breakglass.tlog.checkpoint import parse_checkpoint
from breakglass.tlog.hashing import leaf_hash
from breakglass.tlog.note import Note
from breakglass.tlog.tiles import TILE_WIDTH, encode_bundle, entries_path, tile_path

Progress = Callable[[int, int], None]
"""Told entries done, and entries in all (0 while that is not known)."""


@dataclass(frozen=True)
class Source:
    """Where a log is read from."""

    commits: Callable[[], Iterator[Published]]
    attachment: Callable[[str], Iterator[bytes]]  # part by part; the digest is checked here


def export(
    source: Path | str,
    to: Path,
    *,
    policy_text: str,
    trust: bytes = b"",
    signer: RequestSigner | None = None,
    progress: Progress = lambda done, of: None,
) -> int:
    """Write the log at ``source`` into the new folder ``to``; returns the number of entries.

    Args:
        source: a ledger's folder (it may be running) or its address.
        to: must not exist; it appears when it is complete.
        policy_text: the tlog-policy of those who will verify.
        trust: the trust file's bytes; no such file if empty.
        signer: of somebody to whom the ledger at an address shows its entries.
        progress: told after each commit.

    Raises:
        RefusedError: ``to`` already exists, or the log has no witnessed entry.
        UnavailableError: the ledger is away.
        UnprovenError: its entries do not lead to its heads.
    """
    if to.exists():
        raise RefusedError(
            f"{str(to)!r} already exists; nothing was written", name=ErrorName.EXISTS
        )
    draft = to.with_name(f".{to.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        size = _Exporter(draft, progress).write(_opened(source, signer))
        (draft / "policy").write_text(policy_text, "utf-8")
        if trust:
            (draft / "trust").write_bytes(trust)
        os.rename(draft, to)
        sync_folder(to.parent)
    except OSError as error:
        raise UnavailableError(f"{str(to)!r} could not be written: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return size


def _opened(source: Path | str, signer: RequestSigner | None) -> Source:
    if isinstance(source, Path) and (source / "data" / "journal.sqlite").exists():
        journal = SqliteJournal(source / "data" / "journal.sqlite")
        store = AttachmentStore(source / "data" / "attachments")
        feed = Feed(journal)
        return Source(
            lambda: _all(lambda at: feed.after(at, timedelta(0))),
            lambda digest: store.read(digest).parts,
        )
    neighbour = Peer(source, name="ledger", within=timedelta(seconds=30), signer=signer)

    def fetched(digest: str) -> Iterator[bytes]:
        with tempfile.TemporaryFile() as file:
            get_attachment(neighbour, digest, ATTACHMENT_BYTES_AT_MOST, file)
            yield from file_parts(file)

    return Source(lambda: _all(lambda at: _asked(neighbour, at)), fetched)


def _all(after: Callable[[int], list[Published]]) -> Iterator[Published]:
    at = 0
    while commits := after(at):
        yield from commits
        at = commits[-1].head.size


def _asked(neighbour: Peer, at: int) -> list[Published]:
    answer = neighbour.read(f"/entries?from={at}&wait=0").json()
    try:
        return [
            Published(
                each["first"],
                _head(each["head"].encode()),
                [note.encode() for note in each["entries"]],
            )
            for each in answer["commits"]
        ]
    except (KeyError, TypeError, AttributeError, BreakglassError) as error:
        raise UnavailableError(
            f"{neighbour.name} answered no commits", name=ErrorName.NONSENSE
        ) from error


def _head(note: bytes) -> Head:
    return Head(parse_checkpoint(note)[0].size, note, note)


class _Exporter:
    """Writes the files of one export."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder = folder
        self._progress = progress
        self._tree = GrowingTree(_Nothing(), 0)
        self._bundle: list[bytes] = []

    def write(self, source: Source) -> int:
        newest: Published | None = None
        with (self._folder / "heads").open("wb") as heads:
            for commit in source.commits():
                cosigned = commit.head.cosigned or b""
                self._take(commit)
                heads.write(len(cosigned).to_bytes(2, "big") + cosigned)
                for digest in attachments(commit.notes):
                    self._attach(digest, source)
                newest = commit
                self._progress(self._tree.size, 0)
        if newest is None:
            raise RefusedError(
                "the log has no witnessed entry; nothing was written", name=ErrorName.EMPTY
            )
        self._finish(newest.head.cosigned or b"")
        return self._tree.size

    def _take(self, commit: Published) -> None:
        if commit.first != self._tree.size:
            raise UnprovenError(f"entries {self._tree.size} to {commit.first} were left out")
        for note in commit.notes:
            self._bundle.append(note)
            for level, n, hashes in self._tree.extend([leaf_hash(note)]):
                self._put(tile_path(level, n), hashes)
            if len(self._bundle) == TILE_WIDTH:
                n = self._tree.size // TILE_WIDTH - 1
                self._put(entries_path(n), encode_bundle(self._bundle))
                self._bundle = []
        self._tree.forget()
        checkpoint, _ = parse_checkpoint(commit.head.cosigned or b"")
        if (checkpoint.size, checkpoint.root) != (self._tree.size, self._tree.root()):
            raise UnprovenError(
                f"the ledger's entries do not lead to its head of size {checkpoint.size}",
                name=ErrorName.INCONSISTENT_HEAD,
            )

    def _finish(self, checkpoint: bytes) -> None:
        for level, n, hashes in self._tree.unfinished():
            self._put(tile_path(level, n, len(hashes) // 32), hashes)
        if self._bundle:
            n = self._tree.size // TILE_WIDTH
            self._put(entries_path(n, len(self._bundle)), encode_bundle(self._bundle))
        self._put("checkpoint", checkpoint)

    def _attach(self, digest: str, source: Source) -> None:
        target = self._made(f"attachment/{digest}")
        sha256 = hashlib.sha256()
        with target.open("wb") as file:
            for part in source.attachment(digest):
                sha256.update(part)
                file.write(part)
        if sha256.hexdigest() != digest:
            raise UnprovenError(
                f"attachment {digest} came with other bytes", name=ErrorName.ATTACHMENT
            )

    def _put(self, path: str, data: bytes) -> None:
        self._made(path).write_bytes(data)

    def _made(self, path: str) -> Path:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


class _Nothing:
    """The tiles of an empty log."""

    def hashes(self, level: int, start: int, stop: int) -> list[bytes]:
        raise UnprovenError("an export reads no tiles")


def attachments(notes: Iterable[bytes]) -> list[str]:
    """Return the digests that these notes' attach lines name, each once.

    Raises:
        MalformedError: a note with attach lines is no record.
    """
    found: dict[str, None] = {}
    for note in notes:
        if b"\nattach sha256:" in note:
            for digest, _ in read_numbering(Note.parse(note).text).attachments:
                found[digest] = None
    return list(found)
