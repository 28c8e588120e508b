"""Taking one role away from a PostgreSQL cluster, in the one order that loses nobody's table."""

from __future__ import annotations

import secrets

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from breakglass.minter.platforms.platform import Cut
from breakglass.minter.platforms.postgres_sessions import said
from breakglass.minter.platforms.scram_verifier import scram_verifier

_TERMINATE_MS = 5000


class Removal:
    """One role on its way out; running it again goes on from wherever it stands.

    Args:
        session: the minter's own.
        dsn: to reach the cluster's other databases with.
        handle: the role.
        owner: who gets what it has made.
    """

    def __init__(self, session: psycopg.Connection, dsn: str, handle: str, owner: str) -> None:
        self._session = session
        self._dsn = dsn
        self._handle = handle
        self._role = sql.Identifier(handle)
        self._owner = owner

    def run(self) -> Cut:
        """Remove the role.

        Raises:
            psycopg.Error: the target went away; call again.
        """
        # (1) No new login. The password goes too: the holder may have set it to a known one.
        self._session.execute(
            sql.SQL("alter role {} nologin password {}").format(
                self._role, sql.Literal(scram_verifier(secrets.token_urlsafe(24)))
            )
        )
        # (2) Live sessions. From here nobody acts as this role any more.
        cut = self._terminate()
        # (3) Rights. A crash from here on leaves a role that can do nothing.
        for template in self._templates():
            self._session.execute(
                sql.SQL("revoke {} from {}").format(sql.Identifier(template), self._role)
            )
        # (4) What it made goes to the owner, then its privileges; in each database, since both
        #     statements see their own only.
        left = self._disown_everywhere()
        # (5) The role.
        try:
            self._session.execute(sql.SQL("drop role {}").format(self._role))
        except psycopg.errors.DependentObjectsStillExist as error:
            left.append(f"role {self._handle}, without login: {_depends(error)}")
        except psycopg.errors.UndefinedObject:
            pass  # another of our own threads was first
        return Cut(cut, tuple(line[:500] for line in left[:64]))

    def _templates(self) -> list[str]:
        rows = self._session.execute(
            "select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid"
            " where m.member = (select oid from pg_roles where rolname = %s) order by m.oid",
            [self._handle],
        ).fetchall()
        return [name for (name,) in rows]

    def _terminate(self) -> int:
        cut = 0
        for _ in range(3):  # one login may have been under way when (1) was committed
            rows = self._session.execute(
                "select pg_terminate_backend(pid, %s) from pg_stat_activity where usename = %s",
                [_TERMINATE_MS, self._handle],
            ).fetchall()
            if not rows:
                break
            cut += sum(1 for (gone,) in rows if gone)
        return cut

    def _disown_everywhere(self) -> list[str]:
        left: list[str] = []
        here = self._session.info.dbname
        others = self._session.execute(
            "select distinct d.datname from pg_shdepend s join pg_database d on d.oid = s.dbid"
            " where s.refclassid = 'pg_authid'::regclass and d.datname <> current_database()"
            " and s.refobjid = (select oid from pg_roles where rolname = %s)",
            [self._handle],
        ).fetchall()
        left += self._disown(self._session, here)
        for (database,) in others:
            try:
                with psycopg.connect(
                    make_conninfo(self._dsn, dbname=database), autocommit=True
                ) as session:
                    left += self._disown(session, database)
            except psycopg.OperationalError as error:
                left.append(f"database {database} cannot be reached: {said(error)}")
        return left

    def _disown(self, session: psycopg.Connection, database: str) -> list[str]:
        owner = sql.Identifier(self._owner)
        try:
            session.execute(sql.SQL("reassign owned by {} to {}").format(self._role, owner))
            session.execute(sql.SQL("drop owned by {}").format(self._role))
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject) as error:
            # No DROP OWNED behind a REASSIGN that failed: it would drop somebody's table.
            return [f"things of {self._handle} in database {database}: {said(error)}"]
        return []


def _depends(error: psycopg.Error) -> str:
    detail = error.diag.message_detail or said(error)
    return " ".join(detail.split())[:300]
