"""What is tried when a minter starts, and when somebody asks whether it could work.

Each finding is a sentence with what mends it. Nothing is made at the target, and the one login that
is tried has a name and a password of nobody.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from breakglass.errors import BreakglassError, MisconfiguredError, UnavailableError
from breakglass.minter.platforms.platform import Finding
from breakglass.minter.platforms.postgres_dsn import dsn_findings, read_dsn
from breakglass.minter.platforms.postgres_holder import holders_findings
from breakglass.minter.platforms.postgres_login import try_login
from breakglass.minter.platforms.postgres_rights import may_leave
from breakglass.minter.platforms.postgres_sessions import (
    open_session,
    own_server,
    place_of,
    said,
)
from breakglass.minter.platforms.postgres_setup import (
    FIRST_WITH_SET_OPTION,
    limits_of,
    quoted,
)
from breakglass.minter.platforms.postgres_survey_rights import survey_findings

Scope = Mapping[str, tuple[str, ...]]
_KNOWN = {"databases", "may", "templates"}
_WITHIN = timedelta(seconds=5)
_CLOCKS_APART = timedelta(seconds=30)  # VALID UNTIL is judged by the target's clock


def check_settings(dsn: str, host: str, port: int) -> tuple[Finding, ...]:
    """Say what is wrong with the settings alone; nobody is asked.

    Raises:
        MisconfiguredError: ``dsn`` is no connection string.
    """
    return tuple(dsn_findings(read_dsn(dsn), host, port))


def start_check(dsn: str, host: str, port: int) -> None:
    """Refuse to start with settings that cannot work.

    Raises:
        MisconfiguredError: the first finding that stops.
    """
    for each in check_settings(dsn, host, port):
        if each.stops:
            raise MisconfiguredError(f"postgres: {each.says}", hint=each.hint)


def check_target(
    dsn: str, host: str, port: int, scopes: Sequence[Scope], now: datetime
) -> tuple[Finding, ...]:
    """Try everything that a mint and an end will need at the target; the settings first.

    Args:
        dsn, host, port: as in the settings.
        scopes: the scope of each card that names this minter (``databases``, ``templates`` and
            perhaps ``may``); what no card names is not looked at.
        now: our own clock's time, which the target's is held against.

    Raises:
        MisconfiguredError: ``dsn`` is no connection string.
    """
    findings = list(check_settings(dsn, host, port))
    if any(each.stops for each in findings):
        return tuple(findings)
    try:
        session = open_session(dsn)
    except MisconfiguredError as error:
        return (*findings, Finding(error.message, error.hint))
    except (psycopg.Error, UnavailableError) as error:
        words = said(error) if isinstance(error, psycopg.Error) else str(error)
        place = place_of(dsn)
        hint = f"start it, or mend the dsn; try: psql -h {place.replace(':', ' -p ')}"
        return (*findings, Finding(f"cannot reach the database at {place}: {words}", hint))
    with session:
        findings += _dimensions(scopes)
        findings += _server(session, now)
        findings += _minter(session)
        for template in sorted({each for scope in scopes for each in scope.get("templates", ())}):
            findings += _template(session, template)
        for scope in scopes:
            for database in scope.get("databases", ()):
                findings += _database(session, dsn, database, scope)
    if host or port:
        named = {each for scope in scopes for each in scope.get("databases", ())}
        findings += holders_findings(dsn, host, port, sorted(named))
    return tuple(dict.fromkeys(findings))


def _dimensions(scopes: Sequence[Scope]) -> Iterator[Finding]:
    for name in sorted({each for scope in scopes for each in scope} - _KNOWN):
        yield Finding(
            f"a card's scope has the dimension {name!r}, which PostgreSQL does not take; its grants"
            " are refused",
            "leave the field that makes it out of mint.postgres in the bundle",
        )


def _server(session: psycopg.Connection, now: datetime) -> Iterator[Finding]:
    if _row(session, "select pg_catalog.current_setting('track_activities')") != ("on",):
        yield Finding(
            "this server does not keep what sessions do: a grant with an open session is never"
            " ended for lying idle",
            "as a superuser: alter system set track_activities = on; select pg_reload_conf();",
            stops=False,
        )
    major = session.info.server_version // 10000
    for limit in limits_of(major):
        yield Finding(limit, "PostgreSQL 16 or newer", stops=False)
    prepared, theirs, here = _row(
        session,
        "select pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int4,"
        " pg_catalog.clock_timestamp(), pg_catalog.inet_server_addr() is null",
    )
    if prepared:
        yield Finding(
            f"max_prepared_transactions is {prepared}: a holder's prepared transaction outlives the"
            " session with its locks; the minter rolls back only what it may",
            "alter system set max_prepared_transactions = 0; and restart, if nothing needs it",
            stops=False,
        )
    apart = abs(theirs - now)
    if apart > _CLOCKS_APART:
        yield Finding(
            f"the target's clock and the minter's are {apart.total_seconds():.0f} s apart; the"
            " target ends logins by its own",
            "set both by NTP",
        )
    if not (here or session.pgconn.ssl_in_use or _loopback(session)):
        yield Finding(
            "the session with the target is not encrypted", "sslmode=verify-full", stops=False
        )


def _minter(session: psycopg.Connection) -> Iterator[Finding]:
    name, creates, rules = _row(
        session,
        "select r.rolname, r.rolcreaterole, r.rolsuper from pg_catalog.pg_roles r"
        " where r.rolname = current_user",
    )
    if rules:
        yield Finding(
            f"the minter's role {name!r} is a superuser, which is far more than it needs",
            f"alter role {quoted(name)} nosuperuser createrole",
            stops=False,
        )
    elif not creates:
        yield Finding(
            f"the minter's role {name!r} may not create roles",
            f"alter role {quoted(name)} createrole",
        )
    if not rules:
        yield from survey_findings(session, name)


def _template(session: psycopg.Connection, template: str) -> Iterator[Finding]:
    """Look at a template, but for what it may do in a database."""
    role = quoted(template)
    query = (
        "select r.rolcanlogin, r.rolsuper, pg_catalog.pg_has_role(r.oid, 'usage'),"
        " pg_catalog.pg_has_role(r.oid, 'member with admin option')"
        " from pg_catalog.pg_roles r where r.rolname = %s"
    )
    row = session.execute(query.encode(), [template]).fetchone()
    if row is None:
        yield Finding(f"the template {template!r} does not exist", f"create role {role} nologin")
        return
    can_login, rules, inherits, admin = row
    own = quoted(_row(session, "select current_user")[0])
    if rules:
        yield Finding(f"the template {template!r} is a superuser", f"alter role {role} nosuperuser")
    if can_login:
        yield Finding(
            f"the template {template!r} may log in by itself, without a grant",
            f"alter role {role} nologin",
            stops=False,
        )
    if session.info.server_version // 10000 < FIRST_WITH_SET_OPTION:
        return  # CREATEROLE alone hands out any role there
    if not admin:
        yield Finding(
            f"the minter may not hand out the template {template!r}",
            f"grant {role} to {own} with admin true, inherit false, set false",
        )
    elif inherits and not rules:
        yield Finding(
            f"the minter itself may do what the template {template!r} may",
            f"grant {role} to {own} with admin true, inherit false, set false",
            stops=False,
        )


def _database(
    session: psycopg.Connection, dsn: str, database: str, scope: Scope
) -> Iterator[Finding]:
    query = (
        "select d.datallowconn, pg_catalog.has_database_privilege(d.oid, 'connect'),"
        " exists(select from pg_catalog.aclexplode(coalesce(d.datacl,"
        " pg_catalog.acldefault('d', d.datdba))) a where a.grantee = 0"
        " and a.privilege_type = 'CONNECT') from pg_catalog.pg_database d where d.datname = %s"
    )
    row = session.execute(query.encode(), [database]).fetchone()
    name = quoted(database)
    if row is None or not row[0]:
        yield Finding(
            f"the database {database!r} does not exist, or lets nobody in",
            "mend the bundle: database under mint.postgres of the glass",
        )
        return
    _, connects, public = row
    if not connects:
        own = quoted(_row(session, "select current_user")[0])
        yield Finding(
            f"the minter may not connect to database {database!r}",
            f"grant connect on database {name} to {own}",
        )
        return
    if public:
        yield Finding(
            f"every role may log in to database {database!r}, so grants of other databases may too",
            f"revoke connect on database {name} from public; first grant it to who needs it",
            stops=False,
        )
    try:
        with open_session(dsn, database) as there:
            yield from _reach(there, database, scope, public)
    except psycopg.Error as error:
        yield Finding(
            f"the minter cannot log in to database {database!r}: {said(error)}",
            "let its role in by pg_hba.conf",
        )
    yield from _password(session, database)


def _reach(
    there: psycopg.Connection, database: str, scope: Scope, public: bool
) -> Iterator[Finding]:
    for template in scope.get("templates", ()):
        try:
            connects = _row(
                there,
                "select pg_catalog.has_database_privilege(%s, pg_catalog.current_database(),"
                " 'connect')",
                template,
            )[0]
            rights = may_leave(there, template)
        except psycopg.errors.UndefinedObject:
            continue  # told by ``_template``
        if not (connects or public):
            yield Finding(
                f"the template {template!r} may not connect to database {database!r}",
                f"grant connect on database {quoted(database)} to {quoted(template)}",
            )
        older = there.info.server_version // 10000 < FIRST_WITH_SET_OPTION
        if rights and (older or "create" not in scope.get("may", ())):
            yield Finding(
                f"the template {template!r} may leave something behind in database {database!r}:"
                f" {rights}; its grants are refused",
                f"revoke that from {quoted(template)} (or from public, where everybody may)"
                + ("" if older else "; or write may_create: true in the bundle"),
            )


def _password(session: psycopg.Connection, database: str) -> Iterator[Finding]:
    """Try a role that nobody made: a server that asks it for no password asks a grant for none."""
    nobody = f"bg_nobody_{secrets.token_hex(4)}"
    hint = (
        f"in pg_hba.conf, before all other lines for it: host {database} all ADDRESS scram-sha-256"
    )
    try:
        tried = try_login(own_server(session), nobody, database, _WITHIN)
    except BreakglassError as error:
        yield Finding(f"no login could be tried at database {database!r}: {error}", hint)
        return
    if not tried.asked:
        yield Finding(
            f"the target asks for no password at database {database!r}, so no grant's login would"
            " end by itself",
            hint,
        )
    elif tried.asked == "password":
        yield Finding(
            f"the target asks for the bare password at database {database!r}", hint, stops=False
        )


def _loopback(session: psycopg.Connection) -> bool:
    return session.info.hostaddr in ("127.0.0.1", "::1")


def _row(session: psycopg.Connection, query: str, *values: str) -> tuple[Any, ...]:
    row = session.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return tuple(row)
