"""PostgreSQL 16 or newer: one role for each grant, gone afterwards, and nobody's table with it.

Expiry is carried by VALID UNTIL (logins only, and only where pg_hba.conf asks for a password);
live sessions are cut by us. The minter needs CREATEROLE and ADMIN on its templates, no superuser:
docs/reference/minters.md has the statements.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from breakglass.clock import format_time
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.minter.platforms.platform import Credential, Cut, Limits, Order, SecretValue
from breakglass.minter.platforms.postgres_check import start_check
from breakglass.minter.platforms.postgres_dsn import holders_address, read_dsn
from breakglass.minter.platforms.postgres_removal import Removal
from breakglass.minter.platforms.postgres_sessions import Sessions, said
from breakglass.minter.platforms.scram_verifier import scram_verifier

LIMITS = Limits(
    platform="postgres",
    expiry="VALID UNTIL: the target refuses new logins by itself; live sessions go on",
    cutting="pg_terminate_backend on every session of the role",
    residual_tail=timedelta(seconds=5),
    unrecorded="impossible without the minter",
    shortest=timedelta(seconds=1),
    longest=timedelta(hours=12),
)
_DIMENSIONS = {"databases", "templates"}
_CONNECT_WITHIN_S = 2  # libpq's own minimum


@dataclass(frozen=True)
class PostgresSettings:
    """The table ``[postgres]`` of a minter's settings.

    Attributes:
        dsn: the minter's own login, at a database that it may always reach.
        owner: who gets what a grant's role has made, and the minter must be a member; empty: the
            grant's first template.
        host, port: what holders connect to, where that is not what ``dsn`` says.
        connections_each: sessions that one grant may have at a time.
        minting, ending: how many of our own sessions each may use at a time.
    """

    dsn: str
    owner: str = ""
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
        self._ending = Sessions(self._dsn, settings.ending)

    @property
    def limits(self) -> Limits:
        """Return what PostgreSQL can do."""
        return LIMITS

    def mint(self, order: Order) -> Credential:
        """Make the role in one transaction; see ``Platform.mint``."""
        databases = _scope(order)
        password = secrets.token_urlsafe(24)
        with self._minting.session(f"mint {order.handle!r}") as session:
            try:
                try:
                    self._create(session, order, password)
                except psycopg.errors.DuplicateObject:
                    # A crash came between minting and remembering; that secret reached nobody.
                    self._remove(session, order.handle)
                    self._create(session, order, password)
            except (psycopg.errors.UndefinedObject, psycopg.errors.InvalidCatalogName) as error:
                raise RefusedError(
                    f"grant {order.grant!r}: the target says: {said(error)}; nothing was minted",
                    name=ErrorName.SCOPE_UNKNOWN,
                ) from error
            except psycopg.errors.InsufficientPrivilege as error:
                raise RefusedError(
                    f"grant {order.grant!r}: this minter may not: {said(error)};"
                    " nothing was minted",
                    name=ErrorName.MINTER_RIGHTS,
                    hint="give the minter's role what docs/reference/minters.md says",
                ) from error
        return self._credential(order, password, databases[0])

    def probe(self, credential: Credential) -> str:
        """Log in as the role and ask who we are; see ``Platform.probe``."""
        try:
            with self._login(credential.secret) as session:
                row = session.execute("select current_user").fetchone()
        except psycopg.Error as error:
            raise UnavailableError(
                f"credential {credential.handle!r} does not work yet: {said(error)}",
                name=ErrorName.NOT_USABLE,
            ) from error
        if row is None or row[0] != credential.handle:
            raise UnavailableError(f"logged in as another than {credential.handle!r}")
        return f"logged in to {credential.connect['dbname']!r} as {credential.handle!r}"

    def cut(self, handle: str) -> Cut:
        """Take the role away, in the order of TARGETS; see ``Platform.cut``."""
        with self._ending.session(f"end {handle!r}") as session:
            return self._remove(session, handle)

    def probe_dead(self, handle: str) -> str:
        """Look for the role, its sessions and a login; see ``Platform.probe_dead``."""
        with self._ending.session(f"probe {handle!r}") as session:
            query = "select count(*) from pg_stat_activity where usename = %s"
            live = session.execute(query, [handle]).fetchone()
            role = session.execute(
                "select rolcanlogin from pg_roles where rolname = %s", [handle]
            ).fetchone()
        if live and live[0]:
            raise RefusedError(f"{live[0]} sessions of {handle!r} are live", name=ErrorName.ALIVE)
        if role is not None and role[0]:
            raise RefusedError(f"role {handle!r} may still log in", name=ErrorName.ALIVE)
        refusal = self._refused_login(handle)
        state = "the role is gone" if role is None else "the role may not log in"
        return f"login refused ({refusal}); {state}; no session is live"

    def handles(self) -> list[str]:
        """Return the roles that carry our mark; see ``Platform.handles``."""
        with self._ending.session("look for orphans") as session:
            rows = session.execute(
                "select rolname, shobj_description(oid, 'pg_authid') from pg_roles"
                " where rolname like 'bg\\_%' order by rolname"
            ).fetchall()
        return [name for name, comment in rows if self._marked(comment)]

    def close(self) -> None:
        """Close our own sessions."""
        self._minting.close()
        self._ending.close()

    def _create(self, session: psycopg.Connection, order: Order, password: str) -> None:
        with session.transaction():
            # Many statements in one message: each round trip is a part of somebody's waiting.
            session.execute(sql.SQL("; ").join(self._statements(order, password)))
            _check_reach(session, order)

    def _statements(self, order: Order, password: str) -> Iterator[sql.Composable]:
        role, templates = sql.Identifier(order.handle), order.scope["templates"]
        # The server stores this and would log the statement: so it never sees the password itself.
        verifier = scram_verifier(password)
        # Else the creator could not drop what it made: CREATEROLE alone inherits nothing.
        yield sql.SQL("set local createrole_self_grant = 'set, inherit'")
        yield sql.SQL(
            "create role {} login nosuperuser nocreatedb nocreaterole noreplication"
            " connection limit {} password {} valid until {}"
        ).format(
            role,
            sql.Literal(self._settings.connections_each),
            sql.Literal(verifier),
            sql.Literal(format_time(order.expires)),
        )
        for template in templates:
            # Rights, but no SET ROLE: what the holder makes is the role's own, and is found again.
            yield sql.SQL("grant {} to {} with inherit true, set false, admin false").format(
                sql.Identifier(template), role
            )
        owner = self._settings.owner or templates[0]
        mark = {**self._mark, "grant": order.grant, "session": order.session, "owner": owner}
        yield sql.SQL("comment on role {} is {}").format(
            role, sql.Literal(json.dumps(mark, sort_keys=True))
        )

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

    def _login(self, secret: Mapping[str, SecretValue]) -> psycopg.Connection:
        # Our own DSN's TLS parameters hold for the holder too; host and port are the holder's.
        theirs = {key: str(value) for key, value in secret.items()}
        timing = {"connect_timeout": str(_CONNECT_WITHIN_S), "options": ""}
        name = {"application_name": "breakglass-probe"}
        return psycopg.connect(make_conninfo(self._dsn, **theirs, **timing, **name))

    def _refused_login(self, handle: str) -> str:
        own = conninfo_to_dict(self._dsn)
        secret = {"user": handle, "password": secrets.token_urlsafe(24)}
        try:
            self._login({**secret, "dbname": str(own.get("dbname") or "postgres")}).close()
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error) or "not permitted" in str(error):
                return "authentication failed"
            raise UnavailableError(
                f"the login of {handle!r} could not be tried: {said(error)}"
            ) from error
        # A random password was let in: pg_hba.conf says ``trust``, and expiry is worth nothing.
        raise RefusedError(f"{handle!r} logs in without its password", name=ErrorName.ALIVE)

    def _remove(self, session: psycopg.Connection, handle: str) -> Cut:
        oid = _oid(session, handle)
        if oid is None:
            return Cut()
        row = session.execute("select shobj_description(%s, 'pg_authid')", [oid]).fetchone()
        comment = row[0] if row else None
        if comment is None or not self._marked(comment):
            raise UnavailableError(f"role {handle!r} does not carry this minter's mark; left alone")
        return Removal(session, self._dsn, handle, str(json.loads(comment)["owner"])).run()

    def _marked(self, comment: str | None) -> bool:
        try:
            mark = json.loads(comment or "")
        except ValueError:
            return False
        return isinstance(mark, dict) and self._mark.items() <= mark.items() and "owner" in mark


def _scope(order: Order) -> tuple[str, ...]:
    """Return the databases of the scope."""
    if set(order.scope) != _DIMENSIONS:
        raise RefusedError(
            f"grant {order.grant!r}: PostgreSQL takes the dimensions"
            f" {', '.join(sorted(_DIMENSIONS))}; got {', '.join(sorted(order.scope)) or 'none'}",
            name=ErrorName.SCOPE_UNKNOWN,
        )
    return order.scope["databases"]


def _oid(session: psycopg.Connection, handle: str) -> int | None:
    row = session.execute("select oid from pg_roles where rolname = %s", [handle]).fetchone()
    return None if row is None else int(row[0])


def _check_reach(session: psycopg.Connection, order: Order) -> None:
    """Refuse a role that gets into other databases than its scope names.

    The right to connect comes with the template. Granting it to each role instead would have
    every mint change the one catalogue row of its database: they fail one another, and a thousand
    roles no longer fit into it.
    """
    rows = session.execute(
        "select datname, has_database_privilege(%s, datname, 'connect'), exists(select from"
        " aclexplode(coalesce(datacl, acldefault('d', datdba)))"
        " where grantee = 0 and privilege_type = 'CONNECT')"
        " from pg_database where datallowconn",
        [order.handle],
    ).fetchall()
    databases = order.scope["databases"]
    reached = {name for name, may, _ in rows if may}
    missing = sorted(set(databases) - reached)
    # Where PUBLIC may connect, everybody gets in: no grant of ours widens that.
    beyond = sorted({name for name, may, public in rows if may and not public} - set(databases))
    if missing:
        raise RefusedError(
            f"template {order.scope['templates'][0]!r} may not connect to database"
            f" {missing[0]!r}; nothing was minted",
            name=ErrorName.SCOPE_UNREACHED,
            hint=f"grant connect on database {missing[0]} to the template",
        )
    if beyond:
        raise RefusedError(
            f"template {order.scope['templates'][0]!r} reaches database {beyond[0]!r}, which the"
            f" scope of {order.grant!r} does not name; nothing was minted",
            name=ErrorName.SCOPE_WIDER,
            hint="make one template for each set of databases",
        )
