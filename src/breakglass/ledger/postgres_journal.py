"""The journal in PostgreSQL: one transaction a commit, fenced by a term number.

A database (or a schema, by the connection's ``search_path``) holds one log. Who may write is in
the one row of ``writer``: every write locks that row and compares its term, so that all writers
queue there, and one whose term is over writes nothing more (``lease.py``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, LiteralString

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.ledger.journal import Commit, ForkedError, Head, JournalError, Place
from breakglass.ledger.postgres_attachments import TABLES
from breakglass.ledger.postgres_calls import PostgresCalls, values_of

if TYPE_CHECKING:
    from breakglass.ledger.postgres_calls import Connection

_SCHEMA: tuple[LiteralString, ...] = (
    "create table entries(place bigint primary key, note bytea not null)",
    "create table ids(submitter text not null, id text not null, place bigint not null,"
    " primary key(submitter, id))",
    "create table submitters(submitter text primary key, next bigint not null, prev text not null)",
    "create table tiles(level int not null, n bigint not null, hashes bytea not null,"
    " primary key(level, n))",
    "create table heads(size bigint primary key, signed bytea not null, cosigned bytea)",
    "create index cosigned_heads on heads(size) where cosigned is not null",
    "create table attachments(digest text not null, part int not null, data bytea not null,"
    " primary key(digest, part))",
    *TABLES,
    "create table lease(one boolean primary key check (one), holder text not null,"
    " address text not null, beat bigint not null)",
    "insert into lease values (true, '', '', 0)",
    # Last: whoever finds this table finds all of them.
    "create table writer(one boolean primary key check (one), term bigint not null)",
    "insert into writer values (true, 0)",
)
_PLACE: LiteralString = (
    "insert into submitters values (%s, %s, %s) on conflict (submitter)"
    " do update set next = excluded.next, prev = excluded.prev"
)
_MADE: LiteralString = "select to_regclass('writer') is not null"
_HEAD: LiteralString = "select size, signed, cosigned from heads"


class FencedError(ForkedError):
    """Another ledger has taken over this journal; we write nothing more, and leave."""

    default_name = ErrorName.FENCED


class PostgresJournal:
    """A ``Journal`` in PostgreSQL; see the protocol for what holds.

    Attributes:
        term: what the writer's row must say for our writes to count. 0, until some ledger has
            taken the lease of this journal.
    """

    def __init__(self, calls: PostgresCalls) -> None:
        """Open the journal, or make its tables.

        Raises:
            MisconfiguredError: PostgreSQL cannot be used.
        """
        self._calls = calls
        self.term = 0
        try:
            # Looked for first: a role that may only use the tables need not be able to make them.
            if calls.read(_MADE) == [(False,)]:
                with calls.writing() as file:
                    # Two ledgers that start at the same time make the tables once.
                    file.execute("select pg_advisory_xact_lock(hashtext('breakglass journal'))")
                    if file.execute(_MADE).fetchone() == (False,):
                        for statement in _SCHEMA:
                            file.execute(statement)
        except JournalError as error:
            raise MisconfiguredError(f"{error}; not started", name=ErrorName.JOURNAL) from error

    def commit(self, commit: Commit) -> None:
        """See ``Journal.commit``; ``FencedError`` too if our term is over."""
        start = commit.before
        last = {entry.submitter: entry for entry in commit.entries}
        with self._fenced() as file:
            # A statement of its own, after the lock: its snapshot holds what the writer before
            # us committed while we waited.
            found = file.execute(f"{_HEAD} order by size desc limit 1", binary=True).fetchone()
            if (found[0], found[1]) != (start, commit.before_head) if found else start:
                raise ForkedError(
                    f"journal's newest head is of size {found[0] if found else 0}, wanted {start};"
                    " nothing was written",
                    hint="another ledger writes this journal; find it before starting again",
                )
            places = [start + at for at in range(len(commit.entries))]
            with file.pipeline():  # all at once; the transaction waits for the answers
                file.execute(
                    "insert into entries select * from unnest(%b::bigint[], %b::bytea[])",
                    (places, [entry.note for entry in commit.entries]),
                )
                file.execute(
                    "insert into ids select * from unnest(%s::text[], %s::text[], %b::bigint[])",
                    (
                        [entry.submitter for entry in commit.entries],
                        [entry.id for entry in commit.entries],
                        places,
                    ),
                )
                for key, entry in last.items():
                    file.execute(_PLACE, (key, entry.seq + 1, entry.digest))
                for level, n, hashes in commit.tiles:
                    file.execute("insert into tiles values (%s, %s, %b)", (level, n, hashes))
                file.execute(
                    "insert into heads values (%s, %b, null)",
                    (commit.head.size, commit.head.signed),
                )

    def cosign(self, size: int, cosigned: bytes) -> bytes:
        """See ``Journal.cosign``; ``FencedError`` too if our term is over."""
        with self._fenced() as file:
            file.execute(
                "update heads set cosigned = %b where size = %s and cosigned is null",
                (cosigned, size),
            )
            query = "select cosigned from heads where size = %s"
            found = file.execute(query, (size,), binary=True).fetchone()
            if found is None:
                raise JournalError(f"journal has no head of size {size}")
            stands: bytes = found[0]
            return stands

    def newest(self) -> Head | None:
        """See ``Journal.newest``."""
        return self._head("order by size desc limit 1")

    def newest_cosigned(self) -> Head | None:
        """See ``Journal.newest_cosigned``."""
        return self._head("where cosigned is not null order by size desc limit 1")

    def cosigned_after(self, index: int) -> Head | None:
        """See ``Journal.cosigned_after``."""
        where: LiteralString = "where cosigned is not null and size > %s order by size limit 1"
        return self._head(where, index)

    def cosigned_before(self, index: int) -> int:
        """See ``Journal.cosigned_before``."""
        head = self._head(
            "where cosigned is not null and size <= %s order by size desc limit 1", index
        )
        return head.size if head else 0

    def head_after(self, size: int) -> Head | None:
        """See ``Journal.head_after``."""
        return self._head("where size > %s order by size limit 1", size)

    def head_at(self, size: int) -> Head | None:
        """See ``Journal.head_at``."""
        return self._head("where size = %s", size)

    def notes(self, start: int, stop: int) -> list[bytes]:
        """See ``Journal.notes``."""
        query: LiteralString = (
            "select note from entries where place >= %s and place < %s order by place"
        )
        return values_of(self._calls.read(query, start, stop))

    def tile(self, level: int, n: int) -> bytes | None:
        """See ``Journal.tile``."""
        rows = self._calls.read("select hashes from tiles where level = %s and n = %s", level, n)
        return rows[0][0] if rows else None

    def place(self, submitter: str) -> Place:
        """See ``Journal.place``."""
        rows = self._calls.read("select next, prev from submitters where submitter = %s", submitter)
        return Place(*rows[0]) if rows else Place()

    def find(self, submitter: str, ident: str) -> int | None:
        """See ``Journal.find``."""
        query: LiteralString = "select place from ids where submitter = %s and id = %s"
        rows = self._calls.read(query, submitter, ident)
        return rows[0][0] if rows else None

    def mend(
        self,
        tiles: Sequence[tuple[int, int, bytes]],
        ids: Sequence[tuple[str, str, int]],
        places: Mapping[str, Place],
    ) -> None:
        """See ``checking.Mendable``. Of any term: it says what every holder would say."""
        with self._calls.writing() as file:
            file.execute("select term from writer for update")
            for tile in tiles:
                file.execute(
                    "insert into tiles values (%s, %s, %b)"
                    " on conflict (level, n) do update set hashes = excluded.hashes",
                    tile,
                )
            for each in ids:
                file.execute(
                    "insert into ids values (%s, %s, %s)"
                    " on conflict (submitter, id) do update set place = excluded.place",
                    each,
                )
            for key, place in places.items():
                file.execute(_PLACE, (key, place.next, place.prev))

    def close(self) -> None:
        """See ``Journal.close``."""
        self._calls.close()

    @contextlib.contextmanager
    def _fenced(self) -> Iterator[Connection]:
        """Run a transaction that counts only in our own term, one after another."""
        with self._calls.writing() as file:
            # A takeover updates this row, and so waits for a transaction under way; one that
            # comes after it finds another term. There is no third case.
            found = file.execute("select term from writer for update").fetchone()
            if found is None or found[0] != self.term:
                raise FencedError(
                    f"journal is in term {found[0] if found else 'none'}, ours was {self.term}:"
                    " another ledger has taken over; nothing was written",
                    hint="start this one again: it will stand by",
                )
            yield file

    def _head(self, where: LiteralString, *values: Any) -> Head | None:
        rows = self._calls.read(f"{_HEAD} {where}", *values)
        return Head(*rows[0]) if rows else None
