"""PostgreSQL 15 or newer: one role for each grant, shut out at its end, and nobody's table with it.

Expiry is carried by VALID UNTIL (logins only, and only where pg_hba.conf asks for a password);
live sessions are cut by us. The minter needs CREATEROLE and ADMIN on its templates, no superuser:
docs/reference/minters.md has the statements.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg.conninfo import make_conninfo

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.minter.platforms.platform import (
    Account,
    Credential,
    Description,
    Finding,
    Order,
    SecretValue,
)
from breakglass.minter.platforms.postgres_check import Scope, check_target, start_check
from breakglass.minter.platforms.postgres_dsn import holders_address, read_dsn
from breakglass.minter.platforms.postgres_holder import log_in, logged_in_as
from breakglass.minter.platforms.postgres_login import try_login
from breakglass.minter.platforms.postgres_removal import role_oid, shut_out, tidy
from breakglass.minter.platforms.postgres_role import (
    check_databases,
    check_leaves,
    check_scope,
    create_role,
)
from breakglass.minter.platforms.postgres_sessions import Sessions, own_server, said
from breakglass.minter.platforms.postgres_starting import end_logins_under_way
from breakglass.minter.platforms.postgres_use import shut_out_idle, used_within
from breakglass.records.platforms import PLATFORMS

_LOGIN_WITHIN = timedelta(seconds=5)
_TIDYING = 2
# A statement that waits for a lock makes whoever comes behind it wait too: tidying gives up.
_TIDYING_LOCKS = "200ms"
_TIDIED_WITHIN = timedelta(seconds=20)  # in one database; the next sweep goes on from there


@dataclass(frozen=True)
class PostgresSettings:
    """The table ``[postgres]`` of a minter's settings.

    Attributes:
        dsn: the minter's own login, at a database that it may always reach.
        host, port: what holders connect to, where that is not what ``dsn`` says.
        connections_each: sessions that one grant may have at a time.
        minting, ending: how many of our own sessions each may use at a time, whatever the number
            of databases; minting as many again to look at its templates.
    """

    dsn: str
    host: str = ""
    port: int = 0
    connections_each: int = 5
    minting: int = 8
    ending: int = 2


class Postgres:
    """See the module and ``Platform``.

    Args:
        settings: as above.
        minter: this minter's name, written beside each role, so that two minters at one target
            leave each other's roles alone.
        log: the log whose grants these are; likewise.

    Raises:
        MisconfiguredError: the settings cannot work, whatever the target says.
    """

    def __init__(self, settings: PostgresSettings, minter: str, log: str) -> None:
        start_check(settings.dsn, settings.host, settings.port)
        self._settings = settings
        self._mark = {"breakglass": "v1", "minter": minter, "log": log}
        own = {"application_name": f"breakglass-minter-{minter}", "connect_timeout": "5"}
        self._dsn = make_conninfo(settings.dsn, **own)
        self._minting = Sessions(self._dsn, settings.minting)
        # Apart, so that what waits in one keeps no grant from its end.
        self._ending = Sessions(self._dsn, settings.ending)
        self._looking = Sessions(self._dsn, settings.minting)
        self._tidying = Sessions(self._dsn, _TIDYING, locks=_TIDYING_LOCKS)
        # Apart again: whoever tidies holds one of the former while it works in another database.
        self._beside = Sessions(self._dsn, _TIDYING, locks=_TIDYING_LOCKS)

    def describe(self) -> Description:
        """Return what PostgreSQL can do, and where this one is; see ``Platform.describe``."""
        own = read_dsn(self._dsn)
        return Description(PLATFORMS["postgres"], f"{own.get('host', '')}:{own.get('port', 5432)}")

    def examine(self, scopes: Sequence[Scope], now: datetime) -> tuple[Finding, ...]:
        """Try all that a grant will need; see ``Platform.examine``."""
        settings = self._settings
        return check_target(self._dsn, settings.host, settings.port, scopes, now)

    def mint(self, order: Order) -> Credential:
        """Make the role in one transaction; see ``Platform.mint``."""
        databases = check_scope(order)
        password = secrets.token_urlsafe(24)
        with _explained(order):
            with self._minting.session(f"look for {', '.join(databases)}") as session:
                check_databases(session, order)
            for database in databases:
                doing = f"look at {database!r}"
                with self._looking.session(doing, database=database) as session:
                    check_leaves(session, order)
            with self._minting.session(f"mint {order.handle!r}") as session:
                try:
                    self._create(session, order, password)
                except psycopg.errors.DuplicateObject:
                    # A crash came between minting and remembering; that secret reached nobody.
                    self._check_ours(session, order.handle)
                    shut_out(session, order.handle)
                    tidy(session, self._elsewhere, order.handle)
                    self._create(session, order, password)
        return self._credential(order, password, databases[0])

    def probe(self, credential: Credential) -> str:
        """Log in as the role and ask who we are; see ``Platform.probe``."""
        try:
            name = logged_in_as(lambda: log_in(self._dsn, credential.secret))
        except psycopg.Error as error:
            raise UnavailableError(
                f"credential {credential.handle!r} does not work yet: {said(error)}",
                name=ErrorName.NOT_USABLE,
            ) from error
        if name != credential.handle:
            raise UnavailableError(f"logged in as another than {credential.handle!r}")
        return f"logged in to {credential.connect['dbname']!r} as {credential.handle!r}"

    def cut(self, account: Account) -> int:
        """Take login, sessions and rights away; see ``Platform.cut``."""
        handle = account.handle
        with self._ending.session(f"end {handle!r}") as session:
            if not self._check_ours(session, handle):
                return 0
            return shut_out(session, handle)

    def cut_idle(self, account: Account) -> int:
        """Take login and idle sessions away, then rights; see ``Platform.cut_idle``."""
        handle = account.handle
        with self._ending.session(f"end {handle!r}") as session:
            if not self._check_ours(session, handle):
                return 0
            return shut_out_idle(session, handle)

    def used_within(self, account: Account, within: timedelta) -> bool:
        """Ask the server's own list of sessions; see ``Platform.used_within``."""
        handle = account.handle
        with self._ending.session(f"look at the use of {handle!r}") as session:
            return used_within(session, handle, within)

    def probe_dead(self, account: Account) -> str:
        """Look for the role, its sessions and a login; see ``Platform.probe_dead``."""
        handle = account.handle
        with self._ending.session(f"probe {handle!r}") as session:
            end_logins_under_way(session, handle)
            live = session.execute(
                b"select pg_catalog.count(*) from pg_catalog.pg_stat_activity a"
                b" where a.usename = %s",
                [handle],
            ).fetchone()
            role = session.execute(
                b"select r.rolcanlogin from pg_catalog.pg_roles r where r.rolname = %s", [handle]
            ).fetchone()
            own = own_server(session)
        if live and live[0]:
            raise RefusedError(f"{live[0]} sessions of {handle!r} are live", name=ErrorName.ALIVE)
        if role is not None and role[0]:
            raise RefusedError(f"role {handle!r} may still log in", name=ErrorName.ALIVE)
        code = self._refused_login(own, handle)
        state = "the role is gone" if role is None else "the role may not log in"
        return f"login refused (SQLSTATE {code}); {state}; no session is live"

    def tidy(self, account: Account) -> tuple[str, ...]:
        """Make harmless what the role has made, and drop it; see ``Platform.tidy``."""
        handle = account.handle
        with self._tidying.session(f"tidy {handle!r}", _TIDIED_WITHIN) as session:
            if not self._check_ours(session, handle):
                return ()
            return tuple(tidy(session, self._elsewhere, handle))

    def handles(self) -> list[str]:
        """Return the roles that carry our mark; see ``Platform.handles``."""
        with self._ending.session("look for orphans") as session:
            rows = session.execute(
                b"select r.rolname, pg_catalog.shobj_description(r.oid, 'pg_authid')"
                b" from pg_catalog.pg_roles r"
                b" where pg_catalog.starts_with(r.rolname::pg_catalog.text, 'bg_')"
                b" order by r.rolname"
            ).fetchall()
        return [name for name, comment in rows if self._marked(comment)]

    def close(self) -> None:
        """Close our own sessions."""
        for each in (self._minting, self._ending, self._looking, self._tidying, self._beside):
            each.close()

    def _create(self, session: psycopg.Connection, order: Order, password: str) -> None:
        create_role(session, order, password, self._settings.connections_each, self._mark)

    def _elsewhere(self, database: str) -> AbstractContextManager[psycopg.Connection]:
        return self._beside.session(f"tidy in {database!r}", _TIDIED_WITHIN, database)

    def _credential(self, order: Order, password: str, database: str) -> Credential:
        own, given = read_dsn(self._dsn), self._settings
        host, port = holders_address(own, given.host, given.port)
        connect: dict[str, SecretValue] = {
            "user": order.handle,
            "host": host,
            "port": port,
            "dbname": database,
        }
        ids = {"role": order.handle, "session": order.session}
        secret = {**connect, "password": password}
        return Credential(order.handle, secret, connect, ids, order.expires)

    def _refused_login(self, server: Mapping[str, str], handle: str) -> str:
        tried = try_login(server, handle, server["dbname"], _LOGIN_WITHIN)
        if tried.let_in:
            # A random password was let in: pg_hba.conf says ``trust``: expiry is worth nothing.
            raise RefusedError(f"{handle!r} logs in without its password", name=ErrorName.ALIVE)
        if not tried.refused:
            raise UnavailableError(
                f"the login of {handle!r} could not be tried: SQLSTATE {tried.sqlstate}"
            )
        return tried.sqlstate

    def _check_ours(self, session: psycopg.Connection, handle: str) -> bool:
        """Say whether a role stands, and refuse one that is not ours."""
        oid = role_oid(session, handle)
        if oid is None:
            return False
        query = b"select pg_catalog.shobj_description(%s, 'pg_authid')"
        row = session.execute(query, [oid]).fetchone()
        if not self._marked(row[0] if row else None):
            raise UnavailableError(f"role {handle!r} does not carry this minter's mark; left alone")
        return True

    def _marked(self, comment: str | None) -> bool:
        try:
            mark = json.loads(comment or "")
        except ValueError:
            return False
        return isinstance(mark, dict) and self._mark.items() <= mark.items()


@contextlib.contextmanager
def _explained(order: Order) -> Iterator[None]:
    """Tell what the target refuses from a target that does not answer."""
    try:
        yield
    except UnavailableError as error:
        refused = error.__cause__
        if isinstance(refused, (psycopg.errors.UndefinedObject, psycopg.errors.InvalidCatalogName)):
            raise RefusedError(
                f"grant {order.grant!r}: the target says: {said(refused)}; nothing was minted",
                name=ErrorName.SCOPE_UNKNOWN,
            ) from error
        if isinstance(refused, psycopg.errors.InsufficientPrivilege):
            raise RefusedError(
                f"grant {order.grant!r}: this minter may not: {said(refused)}; nothing was minted",
                name=ErrorName.MINTER_RIGHTS,
                hint="give the minter's role what docs/reference/minters.md says",
            ) from error
        raise
