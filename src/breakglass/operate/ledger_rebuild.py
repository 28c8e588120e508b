"""The whole log again from its archive alone: a copy that anybody verifies, and a ledger's journal.

Nothing is asked of the first host but the trust file, which everybody has: it names the log's key
and pins its genesis.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from breakglass.archiver.archived_log import ArchivedLog
from breakglass.archiver.rebuild import Rebuilt, open_store, write_folder
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnprovenError
from breakglass.ledger.restore import Kept, refill
from breakglass.process.folder import write_whole
from breakglass.records.trust import Trust
from breakglass.tlog.checkpoint import Checkpoint, check_log_signature, parse_checkpoint
from breakglass.tlog.note import Note, VerifierKey

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Source:
    """Where the archive is: an archiver's folder, a store's folder or ``s3://bucket/prefix``."""

    where: str
    region: str = ""
    endpoint: str = ""
    path_style: bool = False
    credentials: str = ""


@dataclass(frozen=True)
class Copied:
    """What was written; ``root`` in hexadecimal."""

    rebuilt: Rebuilt
    root: str
    unwitnessed: int


def copy_of(
    source: Source, trust: Trust, to: Path, head: bytes | None, progress: Progress
) -> Copied:
    """Write the archived log into the new folder ``to``, as ``breakglass ledger export`` would.

    Args:
        source: where the archive is.
        trust: any version of the trust file.
        to: must not stand.
        head: a checkpoint that somebody kept; the archive must reach it, with its very root. It
            also serves as the newest head's final form if the archive does not hold that yet.
        progress: told entries written so far.

    Raises:
        BreakglassError: as ``archiver.rebuilding.write_folder``; nothing was written.
    """
    keys = _log_keys(trust)
    expected = _checked(head, keys) if head is not None else None
    done = write_folder(_archived(source, keys, expected), to, progress=progress)
    if head is not None and expected is not None and expected.size == done.size:
        _finish(to, head)
    checkpoint, _ = parse_checkpoint((to / "checkpoint").read_bytes())
    final = _final_size(to)
    write_whole(to / "policy", trust.tlog.text.encode(), 0o644)
    return Copied(done, checkpoint.root.hex(), done.size - final)


def journal_of(source: Source, trust: Trust, folder: Path, progress: Progress) -> int:
    """Write the journal of the ledger in ``folder`` from the archive; returns its size.

    Raises:
        BreakglassError: as ``ArchivedLog.commits`` and ``refill``; no journal is left then.
    """
    keys = _log_keys(trust)
    archived = _archived(source, keys, None)

    def named() -> dict[str, None]:
        return dict.fromkeys(each for commit in archived.commits() for each in commit.attachments)

    def commits() -> Iterator[Kept]:
        for commit in archived.commits():
            finals = {parse_checkpoint(note)[0].size: note for note in commit.finals}
            start = commit.first
            # A head within the commit has a final form too where the archive took up two at once.
            for size in sorted({*finals, commit.head.size}):
                entries = commit.entries[start - commit.first : size - commit.first]
                final = finals.get(size, b"")
                signed = commit.head_note if size == commit.head.size else _signed(final, keys)
                yield Kept(entries, size, signed, final)
                start = size
            progress(start)

    return refill(folder, commits(), named, archived.attachment)


def _archived(
    source: Source, keys: Sequence[VerifierKey], expected: Checkpoint | None
) -> ArchivedLog:
    more = Namespace(
        region=source.region,
        endpoint=source.endpoint,
        path_style=source.path_style,
        credentials=source.credentials,
    )
    return ArchivedLog(open_store(source.where, more), keys[0].name, keys, expected)


def _log_keys(trust: Trust) -> list[VerifierKey]:
    keys = [each.vkey for each in trust.tlog.logs]
    if len({key.name for key in keys}) != 1:
        raise MisconfiguredError("the trust file names several logs; nothing was read")
    return keys


def _checked(head: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    checkpoint, note = parse_checkpoint(head)
    check_log_signature(checkpoint, note, keys)
    return checkpoint


def _signed(cosigned: bytes, keys: Sequence[VerifierKey]) -> bytes:
    _, note = parse_checkpoint(cosigned)
    own = {(key.name, key.key_id) for key in keys}
    lines = tuple(line for line in note.lines if (line.name, line.key_id) in own)
    return Note(note.text, lines).encoded()


def _finish(to: Path, head: bytes) -> None:
    if _final_size(to) < parse_checkpoint(head)[0].size:
        heads = (to / "heads").read_bytes() + len(head).to_bytes(2, "big") + head
        write_whole(to / "heads", heads, 0o644)
        write_whole(to / "checkpoint", head, 0o644)


def _final_size(to: Path) -> int:
    """Return the size of the last head that the copy holds in its final form."""
    data, at, size = (to / "heads").read_bytes(), 0, 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        size = parse_checkpoint(data[start:at])[0].size
    return size


def check_whole(copied: Copied) -> None:
    """Refuse to judge records whose heads nobody is shown to have witnessed.

    Raises:
        UnprovenError: ``unwitnessed``; the copy stands, and its tree is right.
    """
    if copied.unwitnessed:
        raise UnprovenError(
            f"the tree is whole, and the newest {copied.unwitnessed} records cannot be judged: the"
            " archive lacks their head's final cosignatures",
            name=ErrorName.UNWITNESSED,
            hint="give a checkpoint that somebody kept: --head FILE",
        )
