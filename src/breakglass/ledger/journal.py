"""The journal: the ledger's own durable memory, behind a protocol.

SQLite stands in ``sqlite_journal.py``; another store passes the same contract suite,
``tests/contracts/test_journal.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.submit.record_header import NO_PREV


class JournalError(UnavailableError):
    """The store failed; whether the last write counts is unknown until it is read again."""

    default_name = ErrorName.JOURNAL


class ForkedError(MisconfiguredError):
    """The journal holds another head than its writer thought: somebody else writes."""

    default_name = ErrorName.JOURNAL_FORKED


@dataclass(frozen=True)
class Entry:
    """A note on its way into the journal, with what is looked up later."""

    note: bytes
    # The key's label, ``name+hex8``: a name can be found that gives any key the id of another.
    submitter: str
    id: str
    seq: int
    digest: str  # SHA-256 of the note's text, in hex: the next one's ``prev``


@dataclass(frozen=True)
class Place:
    """Where a submitter goes on: the ``seq`` and ``prev`` that its next note must have."""

    next: int = 0
    prev: str = NO_PREV


@dataclass(frozen=True)
class Head:
    """A head of the log: ``signed`` by its key alone, ``cosigned`` once a quorum was met."""

    size: int
    signed: bytes
    cosigned: bytes | None = None


@dataclass(frozen=True)
class Commit:
    """What enters the journal in one step, or not at all.

    Attributes:
        before: the newest head's size as the writer knows it, 0 if there is none.
        before_head: its signed bytes, empty if there is none.
        entries: 1 to 256, from index ``before`` on.
        tiles: tiles that these entries fill: level, number, 8,192 bytes.
        head: the new one, of size ``before + len(entries)``.
    """

    before: int
    before_head: bytes
    entries: Sequence[Entry]
    tiles: Sequence[tuple[int, int, bytes]]
    head: Head


class Journal(Protocol):
    """Keeps entries, full tiles and heads; one writer, any number of readers, under threads.

    What a call returned from has survived a crash of the machine. After ``JournalError`` nothing
    may be assumed: the writer drops what it knows and reads ``newest`` again. Nothing is ever
    changed or deleted, except that a head's ``cosigned`` is set, once.
    """

    def commit(self, commit: Commit) -> None:
        """Write all of ``commit`` if the newest head is ``before_head``; else write nothing.

        Calling twice with the same commit raises ``ForkedError`` the second time.

        Raises:
            ForkedError: the newest head is another one.
            JournalError: the store failed; the commit is there whole or not at all.
        """
        ...

    def cosign(self, size: int, cosigned: bytes) -> bytes:
        """Set the final cosigned form of the head of ``size``; returns what stands.

        The first call decides; later calls change nothing and return the first one's bytes.

        Raises:
            JournalError: no such head, or the store failed.
        """
        ...

    def newest(self) -> Head | None:
        """Return the newest head, cosigned or not; ``None`` in an empty journal."""
        ...

    def newest_cosigned(self) -> Head | None:
        """Return the newest head that has a quorum."""
        ...

    def cosigned_after(self, index: int) -> Head | None:
        """Return the first cosigned head whose tree holds entry ``index``: the entry's own."""
        ...

    def cosigned_before(self, index: int) -> int:
        """Return the size of the last cosigned head that does not hold entry ``index``, or 0."""
        ...

    def head_after(self, size: int) -> Head | None:
        """Return the first head, cosigned or not, that is larger than ``size``."""
        ...

    def head_at(self, size: int) -> Head | None:
        """Return the head of exactly this size."""
        ...

    def notes(self, start: int, stop: int) -> list[bytes]:
        """Return the notes ``start`` to ``stop`` (not included) that there are, in order."""
        ...

    def tile(self, level: int, n: int) -> bytes | None:
        """Return a full tile's 8,192 bytes, or ``None``."""
        ...

    def place(self, submitter: str) -> Place:
        """Return where a submitter (by its key's label) goes on."""
        ...

    def find(self, submitter: str, ident: str) -> int | None:
        """Return the index of a submitter's entry with this record id."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...
