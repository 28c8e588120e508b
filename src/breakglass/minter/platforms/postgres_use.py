"""Whether a PostgreSQL role is in use, and shutting out one that is not, never in mid-statement."""

from __future__ import annotations

from datetime import timedelta

import psycopg

from breakglass.error_names import ErrorName
from breakglass.errors import UnavailableError
from breakglass.minter.platforms.postgres_removal import end_logins, revoke_memberships


def used_within(session: psycopg.Connection, handle: str, within: timedelta) -> bool:
    """Say whether a session of the role did anything within that time, by the server's clock.

    A transaction that is open is use, also while it waits for its holder: ending it would undo what
    was done. What a server does not keep (``state`` is ``disabled``) counts as use.
    """
    row = session.execute(
        b"select exists (select from pg_catalog.pg_stat_activity a where a.usename = %s"
        b" and (a.state is distinct from 'idle'"
        b" or a.state_change > pg_catalog.clock_timestamp() - %s))",
        [handle, within],
    ).fetchone()
    return row is None or bool(row[0])


def shut_out_idle(session: psycopg.Connection, handle: str) -> int:
    """Take login, idle sessions and rights away; returns how many sessions were cut.

    Raises:
        UnavailableError: ``busy``: a session works; it has no new login beside it, and no less.
        psycopg.Error: the target went away, or refused a step; call again.
    """
    # (1) No new login. A crash behind it leaves sessions that go on, and the table of grants says
    #     that the role has ended: it is tried again.
    end_logins(session, handle)
    # (2) Sessions that are idle and hold no transaction: every statement runs in one, and its lock
    #     is seen at once, where ``state`` may be a moment old. Whoever began one stays.
    rows = session.execute(
        b"select a.pid, pg_catalog.pg_terminate_backend(a.pid, 1000)"
        b" from pg_catalog.pg_stat_activity a where a.usename = %s and a.state = 'idle'"
        b" and not exists (select from pg_catalog.pg_locks l"
        b" where l.pid = a.pid and l.locktype = 'virtualxid')",
        [handle],
    ).fetchall()
    left = session.execute(
        b"select pg_catalog.count(*) from pg_catalog.pg_stat_activity a where a.usename = %s",
        [handle],
    ).fetchone()
    if left and left[0]:
        raise UnavailableError(
            f"{left[0]} sessions of {handle!r} have a statement under way; they end behind it",
            name=ErrorName.BUSY,
        )
    # (3) Rights, as always; nobody acts as this role any more.
    revoke_memberships(session, handle)
    return len(rows)
