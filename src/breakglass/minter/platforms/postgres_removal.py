"""Taking one role away from a PostgreSQL cluster: shut out at once, tidied later.

Shutting out touches the role alone, so no lock of an application and nothing that the holder has
made can hold it up. Tidying looks at what the holder has made, on a session that gives up early.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from breakglass.clock import Deadline
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.minter.platforms.postgres_leftovers import Leftovers
from breakglass.minter.platforms.postgres_sessions import said
from breakglass.minter.platforms.postgres_setup import FIRST_WITH_SET_OPTION
from breakglass.minter.platforms.postgres_starting import end_logins_under_way
from breakglass.minter.platforms.scram_verifier import scram_verifier
from breakglass.records.encoding.text_types import one_line

_TERMINATED_WITHIN = timedelta(seconds=4)
_LINES_AT_MOST = 64  # a record takes no more
Elsewhere = Callable[[str], AbstractContextManager[psycopg.Connection]]
"""Opens a session of ours at another database, bounded."""


def shut_out(session: psycopg.Connection, handle: str) -> int:
    """Take login, sessions and rights away; returns how many sessions were cut.

    Raises:
        psycopg.Error: the target went away, or refused a step; sessions were cut all the same
            where it let us. Call again.
    """
    cut = 0
    try:
        # (1) No new login. The password goes too: the holder may have set it to a known one.
        #     A crash before this leaves a role that the table of grants calls ended.
        end_logins(session, handle)
    finally:
        # (2) Live sessions, also where (1) was refused: a disk that is full keeps a role from
        #     being changed, and nobody from being cut. Behind both, nobody acts as this role.
        cut = _terminate(session, handle)
        # Who passed the look at the role before (1) may be under way still, and in no list.
        if end_logins_under_way(session, handle):
            cut += _terminate(session, handle)
    # (3) Rights, and members. A crash from here on leaves a role that can do nothing but own.
    #     Where an administrator's open transaction locks a template, nobody can use them: tidying
    #     tries again, and the proof of death does not wait for it.
    revoke_memberships(session, handle)
    return cut


def end_logins(session: psycopg.Connection, handle: str) -> None:
    """Let nobody log in as a role any more."""
    session.execute(
        sql.SQL("alter role {} nologin password {}").format(
            sql.Identifier(handle), sql.Literal(scram_verifier(secrets.token_urlsafe(24)))
        )
    )


def tidy(session: psycopg.Connection, elsewhere: Elsewhere, handle: str) -> list[str]:
    """Make what a role has left harmless, and drop the role if nothing is left.

    Returns what stays, in lines; the role then stays too, without login, session or right.

    Raises:
        RefusedError: ``alive``: the role may log in; it was made again since it was cut.
        psycopg.Error: the target went away; call again.
    """
    query = b"select r.oid, r.rolcanlogin from pg_catalog.pg_roles r where r.rolname = %s"
    found = session.execute(query, [handle]).fetchone()
    if found is None:
        return []
    oid, may_log_in = found
    if may_log_in:
        raise RefusedError(f"role {handle!r} may still log in", name=ErrorName.ALIVE)
    memberships = revoke_memberships(session, handle)
    left: list[str] = []
    owned: list[str] = []
    for number, database in enumerate(_databases(session, oid)):
        try:
            with _at(session, elsewhere, database) as there:
                # (4) Prepared transactions: they hold locks, and their maker could still finish
                #     one. A crash before this leaves rows locked; each sweep comes back here.
                left += _roll_back_prepared(there, handle, database)
                # (5) Nothing of it runs with more rights than it had: see ``Leftovers``.
                things = Leftovers(there, oid)
                left += [f"{database}: {each}" for each in things.shut()]
                here = [f"{database}: {each}" for each in things.owned()]
                owned += here
                # (6) Privileges on things of others. Never where it owns something: that
                #     would be dropped with them.
                if not here:
                    left += _drop_owned(there, handle, database)
                left += [f"{database}: {each}" for each in things.held(shared=number == 0)]
        except (psycopg.Error, UnavailableError) as error:
            if session.closed:
                raise
            words = said(error) if isinstance(error, psycopg.Error) else error.message
            left.append(f"{database}: not tidied: {words}")
    if owned or _has_prepared(session, handle):
        stays = (
            f"role {handle} stays, without login, session or right but those named, since it owns"
            f' what follows; once read: reassign owned by "{handle}" to NEW_OWNER'
        )
        return _lines([*memberships, *left, stays, *owned])
    # (7) The role. A crash before this leaves an empty one, which the sweep drops.
    try:
        session.execute(sql.SQL("drop role {}").format(sql.Identifier(handle)))
    except psycopg.errors.UndefinedObject:
        pass  # another of our own threads was first
    except (psycopg.errors.DependentObjectsStillExist, psycopg.errors.LockNotAvailable) as error:
        why = error.diag.message_detail or said(error)
        left += [*memberships, f"role {handle}, without login: {why}"]
    return _lines(left)


def _drop_owned(session: psycopg.Connection, handle: str, database: str) -> list[str]:
    try:
        session.execute(sql.SQL("drop owned by {}").format(sql.Identifier(handle)))
    except psycopg.errors.InsufficientPrivilege as error:
        # All or nothing: one right on a column of others keeps the rest too. Each is told.
        return [f"{database}: no right there was taken: {said(error)}"]
    return []


def role_oid(session: psycopg.Connection, handle: str) -> int | None:
    """Return a role's object id, if there is such a role."""
    query = b"select r.oid from pg_catalog.pg_roles r where r.rolname = %s"
    row = session.execute(query, [handle]).fetchone()
    return None if row is None else int(row[0])


def _terminate(session: psycopg.Connection, handle: str) -> int:
    """Signal all of them, then wait for all: one that hangs holds up no other."""
    deadline, cut = Deadline(_TERMINATED_WITHIN), set()
    while True:
        # Again each time: one login may have been under way when (1) was committed.
        rows = session.execute(
            b"select a.pid, pg_catalog.pg_terminate_backend(a.pid)"
            b" from pg_catalog.pg_stat_activity a where a.usename = %s",
            [handle],
        ).fetchall()
        cut |= {pid for pid, _ in rows}
        if not rows or deadline.over:
            return len(cut)
        time.sleep(0.01)


def revoke_memberships(session: psycopg.Connection, handle: str) -> list[str]:
    """Take a role's memberships, its members, and whom it made members of others away.

    Returns what could not be, in lines. An administrator may have made somebody a member, or let
    the role hand another on: whoever got that has a session of their own.
    """
    failed: dict[tuple[str, str], str] = {}
    for granted, member, grantor in _members(session, handle):
        try:
            session.execute(_revoke(session, granted, member, handle if grantor == handle else ""))
        except psycopg.Error as error:
            if session.closed:
                raise
            why = f"role {member} is still a member of {granted}: {said(error)}"
            failed[granted, member] = why
    # From 16 on a membership is its grantor's to revoke, and a revoke by others does nothing.
    still = _members(session, handle)
    given = [
        f"role {member} was made a member of {granted} by {grantor}, who may revoke it"
        for granted, member, grantor in still
        if (granted, member) not in failed
    ]
    stays = {each[:2] for each in still}
    return [*(why for pair, why in failed.items() if pair in stays), *given]


def _revoke(session: psycopg.Connection, granted: str, member: str, grantor: str) -> sql.Composed:
    """Write the statement; ``grantor`` where the grant's role itself gave the membership."""
    words = sql.SQL("revoke {} from {}").format(sql.Identifier(granted), sql.Identifier(member))
    if grantor and session.info.server_version // 10000 >= FIRST_WITH_SET_OPTION:
        words += sql.SQL(" granted by {}").format(sql.Identifier(grantor))
    return words + sql.SQL(" cascade")


def _members(session: psycopg.Connection, handle: str) -> list[tuple[str, str, str]]:
    """Return each membership in the role, of the role, and by it: granted, member, grantor."""
    rows = session.execute(
        b"select g.rolname, r.rolname, coalesce(b.rolname, 'nobody')"
        b" from pg_catalog.pg_auth_members m join pg_catalog.pg_roles g on g.oid = m.roleid"
        b" join pg_catalog.pg_roles r on r.oid = m.member"
        b" left join pg_catalog.pg_roles b on b.oid = m.grantor where r.rolname <> current_user"
        b" and %(name)s in (g.rolname, r.rolname, coalesce(b.rolname, '')) order by 1, 2, 3",
        {"name": handle},
    ).fetchall()
    return [(str(granted), str(member), str(grantor)) for granted, member, grantor in rows]


def _databases(session: psycopg.Connection, oid: int) -> list[str]:
    """Return where the role has anything, privileges and prepared transactions included."""
    return _column(
        session,
        b"select d.datname from pg_catalog.pg_shdepend s"
        b" join pg_catalog.pg_database d on d.oid = s.dbid"
        b" where s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and s.refobjid = %(o)s"
        b" union select p.database from pg_catalog.pg_prepared_xacts p"
        b" join pg_catalog.pg_roles r on r.rolname = p.owner where r.oid = %(o)s order by 1",
        {"o": oid},
    )


def _has_prepared(session: psycopg.Connection, handle: str) -> bool:
    query = b"select p.gid from pg_catalog.pg_prepared_xacts p where p.owner = %s limit 1"
    return bool(_column(session, query, handle))


def _roll_back_prepared(session: psycopg.Connection, handle: str, database: str) -> list[str]:
    names = _column(
        session,
        b"select p.gid from pg_catalog.pg_prepared_xacts p where p.owner = %s and p.database ="
        b" pg_catalog.current_database() order by p.prepared limit 200",
        handle,
    )
    left = []
    for name in names:
        try:
            # Only its maker may. Rolling back runs nothing that the holder wrote.
            session.execute(sql.SQL("set role {}").format(sql.Identifier(handle)))
            session.execute(sql.SQL("rollback prepared {}").format(sql.Literal(name)))
        except psycopg.Error as error:
            if session.closed:
                raise
            shown = one_line(name, 60)
            left.append(f"{database}: prepared transaction {shown!r} holds locks: {said(error)}")
        finally:
            _reset_role(session)
    return left


def _reset_role(session: psycopg.Connection) -> None:
    if session.closed:
        return
    try:
        session.execute(b"reset role")
    except psycopg.Error:
        session.close()  # never kept: the next piece of work would be done as the dead role
        raise


@contextlib.contextmanager
def _at(
    session: psycopg.Connection, elsewhere: Elsewhere, database: str
) -> Iterator[psycopg.Connection]:
    if database == session.info.dbname:
        yield session
        return
    with elsewhere(database) as there:
        yield there


def _column(session: psycopg.Connection, query: bytes, value: object) -> list[str]:
    values = value if isinstance(value, dict) else [value]
    with session.cursor(row_factory=scalar_row) as cursor:
        return [str(each) for each in cursor.execute(query, values).fetchall()]


def _lines(left: list[str]) -> list[str]:
    """Cut what is told to what a record takes."""
    if len(left) > _LINES_AT_MOST:
        left = [*left[: _LINES_AT_MOST - 1], f"and {len(left) - _LINES_AT_MOST + 1} more"]
    return [one_line(each) for each in left]
