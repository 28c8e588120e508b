"""The minter's own sessions at PostgreSQL: kept, few, and never waited for without end.

A session of ours has more rights than whoever writes in the target. So it takes neither names nor
settings from there: its search_path has the server's own schema alone, every name in our
statements is written with its schema all the same, and what a database or a role could set for us
is pinned before the first query.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.minter.platforms.postgres_setup import check_version

WITHIN = timedelta(seconds=8)  # one piece of work, all its statements together
# A statement is prepared where it says so: planning it can cost ten times what running it does.
_PREPARED_WHERE_ASKED = 2**31
_PINNED = {
    # pg_temp is named, or it would be searched first for tables and types.
    "search_path": "pg_catalog,pg_temp",
    "default_transaction_read_only": "off",  # else a database that is set so ends nothing
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    # An end must not wait for a replica that is away. Of a mint nothing is lost either: its row
    # says claimed, and a primary that forgets the role forgets the login.
    "synchronous_commit": "local",
    # What gives up here gives up at the server too, or backends pile up that nobody waits for.
    "statement_timeout": "6s",
    "idle_in_transaction_session_timeout": "10s",
    "client_min_messages": "warning",
    "row_security": "on",
    "DateStyle": "ISO",
    "standard_conforming_strings": "on",
}


def open_session(dsn: str, database: str = "", locks: str = "3s") -> psycopg.Connection:
    """Open a session of ours: pinned, at a primary new enough, each statement committed.

    Args:
        dsn: the minter's own login.
        database: another than the DSN's.
        locks: how long a statement waits for a lock, in PostgreSQL's words. Making and ending a
            role lock roles alone, which no application waits for; other work waits less.

    Raises:
        psycopg.Error: the target lets us not in.
        MisconfiguredError: the server is too old, or something between takes our settings away.
        UnavailableError: the server is a standby, so nothing can be written.
    """
    own = conninfo_to_dict(dsn)
    more = _startup_options(str(own.get("options") or ""), locks)
    if database:
        more["dbname"] = database
    if "," in str(own.get("host") or own.get("hostaddr") or ""):
        more["target_session_attrs"] = str(own.get("target_session_attrs") or "primary")
    session = psycopg.connect(
        make_conninfo(dsn, **more), autocommit=True, prepare_threshold=_PREPARED_WHERE_ASKED
    )
    try:
        check_version(session.info.server_version // 10000)
        _check_pinned(session, locks)
    except BaseException:
        session.close()
        raise
    return session


def _startup_options(own: str, locks: str) -> dict[str, str]:
    """Return what the start-up packet asks for; the last word for one setting counts."""
    words = [own] if own else []
    for key, value in {**_PINNED, "lock_timeout": locks}.items():
        words += ["-c", f"{key}={value}".replace(" ", "\\ ")]
    return {"options": " ".join(words)}


def _check_pinned(session: psycopg.Connection, locks: str) -> None:
    query = (
        b"select pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('search_path'),"
        b" pg_catalog.current_setting('transaction_read_only'),"
        b" pg_catalog.current_setting('lock_timeout'), pg_catalog.pg_backend_pid()"
    )
    row = session.execute(query).fetchone()
    assert row is not None
    standby, path, read_only, patience, pid = row
    if standby:
        raise UnavailableError("the target is a standby, where nothing can be written")
    if (path, read_only, patience) != (_PINNED["search_path"], "off", locks) or (
        pid != session.info.backend_pid
    ):
        raise MisconfiguredError(
            "the target does not take the minter's own session settings; a pooler stands between",
            hint="give the minter a dsn that reaches the server itself",
        )


class Sessions:
    """At most ``most`` sessions with the target, each used by one thread at a time.

    The bound is of all databases together: a server takes so many, and a scope names any number
    of databases. The one that lay idle for longest makes room for one in another database.

    Args:
        dsn: the minter's own login.
        most: how many; further callers wait, bounded.
        locks: as of ``open_session``.
    """

    def __init__(self, dsn: str, most: int, locks: str = "3s") -> None:
        self._dsn = dsn
        self._own_database = str(conninfo_to_dict(dsn).get("dbname") or "")
        self._most = most
        self._locks = locks
        self._free = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._lent = 0
        self._idle: list[tuple[str, psycopg.Connection]] = []  # idle for longest first

    @contextlib.contextmanager
    def session(
        self, doing: str, within: timedelta = WITHIN, database: str = ""
    ) -> Iterator[psycopg.Connection]:
        """Lend a session that commits each statement; it is cut off if the work takes too long.

        A session in which anything failed is closed: what spoilt it may be the session's own.

        Args:
            doing: for messages, behind «cannot».
            within: for the wait, and again for the work.
            database: another than the DSN's.

        Raises:
            UnavailableError: the target cannot be reached, does not answer, or all are in use.
        """
        if not self._free.acquire(timeout=within.total_seconds()):
            raise UnavailableError(f"cannot {doing}: every session with the target is busy")
        database = database or self._own_database
        held, kept = None, None
        try:
            held = self._take(database)
            if held is None or not _answers(held):
                stale, held = held, None
                held = self._new(stale, database)
            with cut_off_after(held, within):
                yield held
            kept = _kept(held)
        except psycopg.Error as error:
            what = "the target" if held else f"cannot reach the database at {place_of(self._dsn)}"
            raise UnavailableError(f"cannot {doing}: {what}: {said(error)}") from error
        finally:
            if kept is None and held is not None:
                held.close()
            with self._lock:
                self._lent -= 1
                if kept is not None:
                    self._idle.append((database, kept))
            self._free.release()

    def close(self) -> None:
        """Close the sessions that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, each in idle:
            each.close()

    def _take(self, database: str) -> psycopg.Connection | None:
        """Take one that is idle in a database; else make room for one, and return ``None``."""
        with self._lock:
            self._lent += 1
            for at in reversed(range(len(self._idle))):
                if self._idle[at][0] == database:
                    return self._idle.pop(at)[1]
            keep = self._most - self._lent
            idle, self._idle = self._idle, self._idle[len(self._idle) - keep :] if keep else []
            closed = idle[: len(idle) - len(self._idle)]
        for _, each in closed:
            each.close()
        return None

    def _new(self, stale: psycopg.Connection | None, database: str) -> psycopg.Connection:
        if stale is not None:
            stale.close()
        return open_session(self._dsn, database, self._locks)


def place_of(dsn: str) -> str:
    """Return ``HOST:PORT`` of a DSN, for messages."""
    found = conninfo_to_dict(dsn)
    return f"{found.get('host') or found.get('hostaddr')}:{found.get('port') or 5432}"


def own_server(session: psycopg.Connection) -> dict[str, str]:
    """Return what a session was opened with, for the one server of a list that it is at."""
    found = {each.keyword.decode(): each.val.decode() for each in session.pgconn.info if each.val}
    info = session.info
    return {**found, "host": info.host, "hostaddr": info.hostaddr, "port": str(info.port)}


def said(error: psycopg.Error) -> str:
    """Return the target's own words on one line; never a statement, which could hold a secret."""
    words = error.diag.message_primary or str(error).partition("\n")[0] or type(error).__name__
    return "".join(char if char.isprintable() else " " for char in words)[:200]


def _answers(session: psycopg.Connection) -> bool:
    """Say whether an idle session still stands, before anything is staked on it."""
    if session.closed:
        return False
    try:
        with cut_off_after(session, timedelta(seconds=2)):
            session.execute("")
    except psycopg.Error:
        return False
    return True


def _kept(session: psycopg.Connection | None) -> psycopg.Connection | None:
    if session is None or session.closed:
        return None
    if session.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
        session.close()  # something was left half done
        return None
    return session


@contextlib.contextmanager
def cut_off_after(session: psycopg.Connection, within: timedelta) -> Iterator[None]:
    """Shut the socket if the work inside takes longer: a hanging server answers no cancel."""
    line = socket.socket(fileno=os.dup(session.fileno()))
    timer = threading.Timer(within.total_seconds(), _shut, [line])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        line.close()


def _shut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
