"""Making the role of one grant in one transaction, and refusing one that would reach too far."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import psycopg
from psycopg import sql

from breakglass.clock import format_time
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.minter.platforms.platform import Order
from breakglass.minter.platforms.postgres_rights import may_leave
from breakglass.minter.platforms.postgres_setup import FIRST_WITH_SET_OPTION, limits_of, quoted
from breakglass.minter.platforms.scram_verifier import scram_verifier
from breakglass.records.platforms import MAY, PLATFORMS

_OURS = PLATFORMS["postgres"]
_DIMENSIONS, _ALLOWED = set(_OURS.dimensions.values()), set(_OURS.allows.values())
"""The scope dimension, and its one value, by which a card lets a grant leave things behind."""


def check_scope(order: Order) -> tuple[str, ...]:
    """Return the databases of an order's scope.

    Raises:
        RefusedError: ``scope_unknown``: other dimensions than PostgreSQL's, another ``may``, or
            networks.
    """
    wanted = _DIMENSIONS | ({MAY} & set(order.scope))
    unknown = set(order.scope.get(MAY, ())) - _ALLOWED
    if set(order.scope) != wanted or unknown or not order.scope.get(MAY, "none"):
        raise RefusedError(
            f"grant {order.grant!r}: PostgreSQL takes the dimensions"
            f" {', '.join(sorted(_DIMENSIONS))} and perhaps 'may' (create); got"
            f" {', '.join(sorted(order.scope)) or 'none'}; nothing was minted",
            name=ErrorName.SCOPE_UNKNOWN,
        )
    if order.source:
        raise RefusedError(
            f"grant {order.grant!r}: PostgreSQL binds no role to networks; nothing was minted",
            name=ErrorName.SCOPE_UNKNOWN,
        )
    return order.scope["databases"]


def check_databases(session: psycopg.Connection, order: Order) -> None:
    """Refuse a database that is not there, or that this minter cannot look into.

    Raises:
        RefusedError: ``scope_unknown`` or ``minter_rights``; nothing was minted.
    """
    rows = session.execute(
        b"select d.datname, pg_catalog.has_database_privilege(d.oid, 'connect')"
        b" from pg_catalog.pg_database d where d.datallowconn and d.datname = any(%s)",
        [list(order.scope["databases"])],
        prepare=True,
    ).fetchall()
    may: dict[str, bool] = dict(rows)
    for database in order.scope["databases"]:
        if database not in may:
            raise RefusedError(
                f"the target has no database {database!r}; nothing was minted",
                name=ErrorName.SCOPE_UNKNOWN,
            )
        if not may[database]:
            raise RefusedError(
                f"this minter may not connect to database {database!r}; nothing was minted",
                name=ErrorName.MINTER_RIGHTS,
                hint=f"grant connect on database {quoted(database)} to the minter's role",
            )


def check_leaves(session: psycopg.Connection, order: Order) -> None:
    """Refuse a template that can leave something behind in the session's database.

    Raises:
        RefusedError: ``scope_wider``: and the card does not say that this glass may.
    """
    server = session.info.server_version // 10000
    if MAY in order.scope and server >= FIRST_WITH_SET_OPTION:
        return
    for template in order.scope["templates"]:
        if rights := may_leave(session, template):
            raise RefusedError(
                f"template {template!r} may leave something behind in database"
                f" {session.info.dbname!r} ({rights}), and the card of the glass does not allow it;"
                " nothing was minted",
                name=ErrorName.SCOPE_WIDER,
                hint=limits_of(server)[1]
                if MAY in order.scope
                else "revoke that, from PUBLIC too; or write may_create: true in the bundle",
            )


def create_role(
    session: psycopg.Connection,
    order: Order,
    password: str,
    connections: int,
    mark: Mapping[str, str],
) -> None:
    """Make the role, with its templates and its mark, or nothing.

    Args:
        session: at any database.
        order: with a scope that was checked.
        password: printable ASCII.
        connections: that it may have at a time.
        mark: what tells our roles from others'; kept as the role's comment.

    Raises:
        psycopg.Error: the target refused, or went away.
        RefusedError: the templates reach other databases than the scope names.
    """
    with session.transaction():
        # Many statements in one message: each round trip is a part of somebody's waiting.
        session.execute(
            sql.SQL("; ").join(_statements(session, order, password, connections, mark))
        )
        _check_reach(session, order)


def _statements(
    session: psycopg.Connection,
    order: Order,
    password: str,
    connections: int,
    mark: Mapping[str, str],
) -> Iterator[sql.Composable]:
    role = sql.Identifier(order.handle)
    older = session.info.server_version // 10000 < FIRST_WITH_SET_OPTION
    if not older:
        # Else the creator could not end what it made: CREATEROLE alone inherits nothing.
        yield sql.SQL("set local createrole_self_grant = 'set, inherit'")
    yield sql.SQL(
        "create role {} login nosuperuser nocreatedb nocreaterole noreplication"
        " connection limit {} password {} valid until {}"
    ).format(
        role,
        sql.Literal(connections),
        # The server stores this and would log the statement: so it never sees the password itself.
        sql.Literal(scram_verifier(password)),
        sql.Literal(format_time(order.expires)),
    )
    if older:
        yield sql.SQL("grant {} to current_user").format(role)
    # Rights, but no SET ROLE: what the holder makes is the role's own, and is found again.
    how = sql.SQL("" if older else " with inherit true, set false, admin false")
    for template in order.scope["templates"]:
        yield sql.SQL("grant {} to {}{}").format(sql.Identifier(template), role, how)
    comment = {**mark, "grant": order.grant, "session": order.session}
    yield sql.SQL("comment on role {} is {}").format(
        role, sql.Literal(json.dumps(comment, sort_keys=True))
    )


def _check_reach(session: psycopg.Connection, order: Order) -> None:
    """Refuse a role that gets into other databases than its scope names.

    The right to connect comes with the template. Granting it to each role instead would have
    every mint change the one catalogue row of its database: they fail one another, and a thousand
    roles no longer fit into it.
    """
    rows = session.execute(
        b"select d.datname, pg_catalog.has_database_privilege(%s, d.oid, 'connect'),"
        b" exists(select from pg_catalog.aclexplode(coalesce(d.datacl,"
        b" pg_catalog.acldefault('d', d.datdba))) a"
        b" where a.grantee = 0 and a.privilege_type = 'CONNECT')"
        b" from pg_catalog.pg_database d where d.datallowconn",
        [order.handle],
        prepare=True,
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
