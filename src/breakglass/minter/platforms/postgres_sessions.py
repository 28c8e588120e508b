"""The minter's own sessions at PostgreSQL: kept, few, and never waited for without end."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta

import psycopg

from breakglass.errors import UnavailableError

WITHIN = timedelta(seconds=8)  # one piece of work, all its statements together
OLDEST_SERVER = 160000  # createrole_self_grant and GRANT … WITH SET FALSE came with 16


class Sessions:
    """At most ``most`` sessions with the target, each used by one thread at a time.

    Args:
        dsn: the minter's own login.
        most: how many; further callers wait, bounded.
    """

    def __init__(self, dsn: str, most: int) -> None:
        self._dsn = dsn
        self._idle: queue.LifoQueue[psycopg.Connection | None] = queue.LifoQueue()
        for _ in range(most):
            self._idle.put(None)

    @contextlib.contextmanager
    def session(self, doing: str) -> Iterator[psycopg.Connection]:
        """Lend a session that commits each statement; it is cut off if the work takes too long.

        Raises:
            UnavailableError: the target cannot be reached, does not answer, or all are in use.
        """
        try:
            held = self._idle.get(timeout=WITHIN.total_seconds())
        except queue.Empty as error:
            raise UnavailableError(f"cannot {doing}: every session with the target is busy") from (
                error
            )
        try:
            if held is None or not _answers(held):
                held = self._new(held)
            with _cut_off_after(held, WITHIN):
                yield held
        except psycopg.Error as error:
            raise UnavailableError(f"cannot {doing}: the target: {said(error)}") from error
        finally:
            self._idle.put(_kept(held))

    def close(self) -> None:
        """Close the sessions that are idle."""
        with contextlib.suppress(queue.Empty):
            while True:
                held = self._idle.get_nowait()
                if held is not None:
                    held.close()

    def _new(self, stale: psycopg.Connection | None) -> psycopg.Connection:
        if stale is not None:
            stale.close()
        session = psycopg.connect(self._dsn, autocommit=True, prepare_threshold=None)
        if session.info.server_version < OLDEST_SERVER:
            session.close()
            raise UnavailableError(
                f"the target is PostgreSQL {session.info.server_version // 10000}; 16 at least"
            )
        return session


def said(error: psycopg.Error) -> str:
    """Return the target's own words on one line; never a statement, which could hold a secret."""
    words = error.diag.message_primary or str(error).partition("\n")[0] or type(error).__name__
    return "".join(char if char.isprintable() else " " for char in words)[:200]


def _answers(session: psycopg.Connection) -> bool:
    """Say whether an idle session still stands, before anything is staked on it."""
    if session.closed:
        return False
    try:
        with _cut_off_after(session, timedelta(seconds=2)):
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
def _cut_off_after(session: psycopg.Connection, within: timedelta) -> Iterator[None]:
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
