"""Attachments in the journal's database, so that the ledger that takes over has them too.

What no record names yet lies in tables of its own: the ledgers' role may delete there, and nowhere
else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO, LiteralString

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, RefusedError, UnavailableError
from breakglass.ledger.attachments import Stored, check_digest, damaged
from breakglass.ledger.journal import JournalError
from breakglass.ledger.postgres_calls import PostgresCalls

if TYPE_CHECKING:
    from breakglass.ledger.postgres_calls import Connection

PART_BYTES = 1024 * 1024
TABLES: tuple[LiteralString, ...] = (
    "create table waiting_parts(digest text not null, part int not null, data bytea not null,"
    " primary key(digest, part))",
    # Last: whoever finds this table finds both.
    "create table waiting(digest text primary key, submitter bytea not null, bytes bigint not null,"
    " since timestamptz not null default clock_timestamp())",
)
_MADE: LiteralString = "select to_regclass('waiting') is not null"
_SIZE: LiteralString = (
    "select bytes from (select bytes, 1 as place from waiting where digest = %s union all"
    " select sum(length(data))::bigint, 2 from attachments where digest = %s) as found"
    " where bytes is not null order by place desc limit 1"
)
_PART: LiteralString = (
    "select data from attachments where digest = %s and part = %s union all"
    " select data from waiting_parts where digest = %s and part = %s limit 1"
)


class PostgresAttachments:
    """``Attachments`` as rows of 1 MiB; read and written one row at a time.

    Args:
        calls: connections of our own: a long upload must not hold up a commit.

    Raises:
        MisconfiguredError: the tables are missing and cannot be made.
    """

    def __init__(self, calls: PostgresCalls) -> None:
        self._calls = calls
        try:
            if calls.read(_MADE) == [(False,)]:
                with calls.writing() as file:
                    file.execute("select pg_advisory_xact_lock(hashtext('breakglass journal'))")
                    if file.execute(_MADE).fetchone() == (False,):
                        for statement in TABLES:
                            file.execute(statement)
        except JournalError as error:
            raise MisconfiguredError(
                f"{error}; not started",
                name=ErrorName.JOURNAL,
                hint="start once with the owner's connection string: it makes the tables",
            ) from error

    def take(self, file: BinaryIO, digest: str, size: int, submitter: bytes) -> None:
        """See ``Attachments.take``."""
        check_digest(digest)
        if self.size(digest) is not None:
            return
        # One transaction: a digest with some parts and not others is never there. A crash before
        # its end leaves nothing, one behind it an attachment that waits.
        with self._calls.writing() as writer:
            taken = writer.execute(
                "insert into waiting(digest, submitter, bytes) values (%s, %b, %s)"
                " on conflict do nothing",
                (digest, submitter, size),
            )
            if not taken.rowcount:
                return
            for part, data in enumerate(_cut(file)):
                writer.execute(
                    "insert into waiting_parts values (%s, %s, %b)", (digest, part, data)
                )

    def keep(self, digests: Sequence[str]) -> None:
        """See ``Attachments.keep``."""
        for digest in digests:
            if self._named_size(digest) is None:
                with self._calls.writing() as writer:
                    self._keep(writer, digest)

    def _keep(self, writer: Connection, digest: str) -> None:
        # The row's lock: whoever forgets it, or names it too, comes before us or behind us.
        # A crash before the end leaves it waiting; behind it, named, and its record may come.
        found = writer.execute(
            "delete from waiting where digest = %s returning bytes", (digest,)
        ).fetchone()
        if found is None:
            query: LiteralString = "select 1 from attachments where digest = %s limit 1"
            if writer.execute(query, (digest,)).fetchone() is None:
                raise RefusedError(
                    f"attachment {digest} is not here any more", name=ErrorName.ATTACHMENT_MISSING
                )
            return
        for part in range(max(1, -(-int(found[0]) // PART_BYTES))):
            # One at a time: each statement has 4 s.
            writer.execute(
                "insert into attachments select digest, part, data from waiting_parts"
                " where digest = %s and part = %s on conflict do nothing",
                (digest, part),
            )
        writer.execute("delete from waiting_parts where digest = %s", (digest,))

    def size(self, digest: str) -> int | None:
        """See ``Attachments.size``."""
        rows = self._calls.read(_SIZE, check_digest(digest), digest)
        return int(rows[0][0]) if rows else None

    def read(self, digest: str) -> Stored:
        """See ``Attachments.read``; costs two passes over the rows."""
        size = self.size(digest)
        if size is None:
            raise RefusedError(f"there is no attachment {digest}", name=ErrorName.NOT_FOUND)
        sha256, read = hashlib.sha256(), 0
        for part in self._parts(digest, size):
            sha256.update(part)
            read += len(part)
        if sha256.hexdigest() != digest:
            raise damaged(digest)
        return Stored(read, self._parts(digest, size))

    def waiting_bytes(self, submitter: bytes) -> int:
        """See ``Attachments.waiting_bytes``."""
        rows = self._calls.read(
            "select coalesce(sum(bytes), 0)::bigint from waiting where submitter = %b", submitter
        )
        return int(rows[0][0])

    def forget(self, older_than: timedelta) -> int:
        """See ``Attachments.forget``; by the server's clock."""
        with self._calls.writing() as writer:
            gone = writer.execute(
                "delete from waiting where since < clock_timestamp() - %s returning digest",
                (older_than,),
            ).fetchall()
            for (digest,) in gone:
                writer.execute("delete from waiting_parts where digest = %s", (digest,))
        return len(gone)

    def named(self) -> Iterator[str]:
        """Give the digests of all that records name, or once were to name, in order."""
        at = ""
        while rows := self._calls.read(
            "select distinct digest from attachments where digest > %s order by digest limit 1000",
            at,
        ):
            yield from (row[0] for row in rows)
            at = rows[-1][0]

    def _named_size(self, digest: str) -> int | None:
        rows = self._calls.read(
            "select sum(length(data))::bigint from attachments where digest = %s",
            check_digest(digest),
        )
        size: int | None = rows[0][0]
        return size

    def _parts(self, digest: str, size: int) -> Iterator[bytes]:
        for part in range(max(1, -(-size // PART_BYTES))):
            rows = self._calls.read(_PART, digest, part, digest, part)
            if not rows:
                raise UnavailableError(f"attachment {digest} is damaged: part {part} is missing",
                                       name=ErrorName.DAMAGED)  # fmt: skip
            yield rows[0][0]


def _cut(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    yield file.read(PART_BYTES)  # an empty attachment is one empty part
    while part := file.read(PART_BYTES):
        yield part
