"""Logins under way: PostgreSQL lists a session under its role only when its start is over.

A holder may stretch that start for half an hour (``post_auth_delay`` is taken from whoever logs
in), with the password checked and the role looked at long before. Until then no list names the
session; but it holds a lock on its database, and whose it is the server tells by letting us end it.
"""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta

import psycopg

from breakglass.clock import Deadline
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError

_STARTED_WITHIN = timedelta(seconds=1)  # an honest login is through in milliseconds
_LOCKED_WITHIN = timedelta(milliseconds=100)  # from the look at its role to the lock: no wait
_ENDED_WITHIN = timedelta(seconds=2)
_PAUSE_S = 0.01
# Before its lock on the database a backend has a transaction, and may not be authenticated yet.
_UNDER_WAY = b"""
select l.pid, pg_catalog.bool_or(l.locktype = 'object'
                                 and l.classid = 'pg_catalog.pg_database'::pg_catalog.regclass)
  from pg_catalog.pg_locks l
 where l.locktype in ('object', 'virtualxid') and l.pid <> pg_catalog.pg_backend_pid()
   and not exists (select from pg_catalog.pg_stat_activity a
                    where a.pid = l.pid and a.usesysid is not null)
 group by l.pid
"""


def end_logins_under_way(session: psycopg.Connection, handle: str) -> int:
    """Wait for the logins that are under way, and end those of our roles that hang; how many.

    Behind a commit that forbids a role to log in: who comes later is refused by that. A login of
    another living grant that hangs so long is ended with them, and is tried again by its holder;
    one of anybody else is theirs.

    Raises:
        RefusedError: ``alive``: one was told to end, and is still under way.
        psycopg.Error: the target went away.
    """
    first = dict(_under_way(session))
    early = {pid for pid, locked in first.items() if not locked}
    if early:
        _while_any(session, early, _LOCKED_WITHIN, unlocked=True)
    hanging = _while_any(session, set(first), _STARTED_WITHIN)
    ended = {pid for pid in hanging if _ended(session, pid)}
    if left := _while_any(session, ended, _ENDED_WITHIN):
        raise RefusedError(
            f"{len(left)} logins are under way, perhaps of {handle!r}", name=ErrorName.ALIVE
        )
    return len(ended)


def _under_way(session: psycopg.Connection) -> list[tuple[int, bool]]:
    return session.execute(_UNDER_WAY).fetchall()


def _while_any(
    session: psycopg.Connection, pids: set[int], within: timedelta, *, unlocked: bool = False
) -> set[int]:
    """Wait while any of them is under way (``unlocked``: and has no lock); return who still is."""
    deadline = Deadline(within)
    while pids:
        now = dict(_under_way(session))
        pids = {pid for pid in pids if pid in now and (now[pid] is not unlocked)}
        if deadline.over:
            break
        time.sleep(_PAUSE_S if pids else 0)
    return pids


def _ended(session: psycopg.Connection, pid: int) -> bool:
    """Tell a backend to end, if it is of a role that we may end."""
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
        row = session.execute(b"select pg_catalog.pg_terminate_backend(%s)", [pid]).fetchone()
        return bool(row and row[0])
    return False
