"""Connections to PostgreSQL, bounded in number and in time; the only place that knows psycopg.

psycopg is imported when a connection is first wanted: a ledger on SQLite does without it.
"""

from __future__ import annotations

import contextlib
import select
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.ledger.journal import JournalError

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

_SESSION = (
    "select set_config('statement_timeout', '4s', false),"
    " set_config('lock_timeout', '2s', false),"
    # A writer that froze inside a transaction gives up its locks, even if nobody takes over.
    " set_config('idle_in_transaction_session_timeout', '5s', false),"
    " set_config('synchronous_commit', 'on', false)"
)
_FREE_WITHIN_S = 4


@dataclass(frozen=True)
class PostgresSettings:
    """The table ``[postgres]`` of a ledger's settings."""

    dsn_file: Path | None = None  # mode 0600: a connection string, which may hold a password
    connections: int = 8  # for reads; beside them one writes and one holds the lease
    look_every: timedelta = timedelta(milliseconds=100)  # the active's beat, the standby's look
    lease_for: timedelta = timedelta(milliseconds=1200)  # without a beat; then the standby acts
    known_as: str = ""  # how callers reach this ledger; what its file ``address`` says if empty


def read_dsn(journal: str, settings: PostgresSettings) -> str:
    """Return the connection string that the settings give.

    Args:
        journal: the setting of that name, ``postgres://…``; or empty: ``dsn_file`` counts.
        settings: with ``dsn_file``.

    Raises:
        MisconfiguredError: both or neither, a password in plain settings, or a file that others
            may read.
    """
    path = settings.dsn_file
    if bool(journal) == (path is not None):
        raise MisconfiguredError(
            "wanted one of 'journal' and 'postgres.dsn_file'; not started",
            name=ErrorName.NO_JOURNAL,
        )
    if path is None:
        _check_no_password(journal)
        return journal
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be read: {error}; not started") from error
    if mode & 0o077:
        raise MisconfiguredError(
            f"{str(path)!r} has mode {mode:04o}, wanted 0600; not started",
            hint=f"change the password if others can have read it; then: chmod 0600 {path}",
        )
    return text


def _check_no_password(journal: str) -> None:
    psycopg = imported()
    try:
        given = psycopg.conninfo.conninfo_to_dict(journal)
    except psycopg.Error as error:
        # The parser's own words could quote a password.
        raise MisconfiguredError("'journal' is no connection string; not started") from error
    if "password" in given:
        raise MisconfiguredError(
            "'journal' holds a password, and settings may be read by others; not started",
            name=ErrorName.PASSWORD_IN_SETTINGS,
            hint="put the whole text into a file of mode 0600 and name it: postgres.dsn_file",
        )


def imported() -> Any:
    """Import psycopg.

    Raises:
        MisconfiguredError: it is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise MisconfiguredError(
            f"a journal on PostgreSQL needs psycopg: {error}; not started",
            hint="pip install 'breakglass[postgres]'",
        ) from error
    return psycopg


class PostgresCalls:
    """One ledger's connections to one database; safe under threads.

    Args:
        dsn: where; a URL or ``key=value`` words.
        name: of this process, unlike any other's; the server lists our sessions under it.
        readers: how many read at once; more wait for one of these.
    """

    def __init__(self, dsn: str, name: str, readers: int = 8) -> None:
        self.name = name
        self._dsn = dsn
        self._psycopg = imported()
        self._writing = threading.Lock()
        self._writer: Connection | None = None
        self._permits = threading.Semaphore(readers)
        self._idle: list[Connection] = []
        self._idle_lock = threading.Lock()

    def connected(self) -> Connection:
        """Open a session of its own that commits each statement; the caller closes it.

        Raises:
            JournalError: no connection within about 2 s.
        """
        with self.errors("reached"):
            found: Connection = self._psycopg.connect(
                self._dsn,
                application_name=self.name,
                autocommit=True,
                connect_timeout=2,
                # A host that is gone says nothing. TCP finds out within about 5 s.
                keepalives_idle=2,
                keepalives_interval=1,
                keepalives_count=3,
                tcp_user_timeout=4000,
            )
            try:
                found.execute(_SESSION)
            except BaseException:
                found.close()
                raise
            return found

    def read(self, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement that only reads, and return its rows.

        Raises:
            JournalError: PostgreSQL is away, too slow, or refuses.
        """
        if not self._permits.acquire(timeout=_FREE_WITHIN_S):
            raise JournalError(f"no connection to the journal was free within {_FREE_WITHIN_S} s")
        connection: Connection | None = None
        try:
            connection = self._taken() or self.connected()
            with self.errors("read"):
                rows = connection.cursor(binary=True).execute(query, values).fetchall()
            with self._idle_lock:
                self._idle.append(connection)
            connection = None
            return rows
        finally:
            if connection is not None:
                connection.close()
            self._permits.release()

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Run a transaction on the one connection that writes; all of it counts, or nothing.

        Raises:
            JournalError: whether it counts is unknown.
        """
        with self._writing:
            connection, self._writer = self._writer, None
            if connection is None or not _usable(connection):
                connection = self.connected()
            try:
                with self.errors("written"), connection.transaction():
                    yield connection
                self._writer = connection
            finally:
                if self._writer is None:  # a connection that has failed is not used again
                    connection.close()

    @contextlib.contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Turn psycopg's errors into ours; their first line says it, and holds no values."""
        try:
            yield
        except self._psycopg.Error as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise JournalError(f"journal could not be {what}: {said}") from error

    def close(self) -> None:
        """Close all connections that nobody uses at this moment."""
        with self._idle_lock:
            idle, self._idle = self._idle, []
        if self._writing.acquire(timeout=1):
            if self._writer is not None:
                idle.append(self._writer)
            self._writer = None
            self._writing.release()
        for connection in idle:
            connection.close()

    def _taken(self) -> Connection | None:
        while True:
            with self._idle_lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if _usable(connection):
                return connection
            connection.close()


def _usable(connection: Connection) -> bool:
    """Say whether the server still holds this idle session, as far as we can see."""
    if connection.closed:
        return False
    # Readable while nothing is asked: the server has said good-bye (a restart, a termination).
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    return not poller.poll(0)


def values_of(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return the first column."""
    return [row[0] for row in rows]
