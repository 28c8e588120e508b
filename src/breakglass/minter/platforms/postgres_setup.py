"""The SQL that an administrator runs once, so that a minter may mint and can do nothing else.

A pure function, so that a page, a command and the tests show and run the same statements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from breakglass.errors import MalformedError, MisconfiguredError

OLDEST_SERVER = 15
FIRST_WITH_SET_OPTION = 16
"""GRANT … WITH INHERIT, SET and createrole_self_grant came with 16 (its release notes, E.1.3.3)."""


@dataclass(frozen=True)
class Template:
    """A role that says what a glass grants; each grant's role becomes a member of it.

    Attributes:
        name: of the role.
        databases: where its members may log in.
        rights: for each database, what stands between GRANT and TO, for example
            ``select, update on orders``.
    """

    name: str
    databases: tuple[str, ...]
    rights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Statement:
    """One statement; ``database`` is where it must run, empty where any will do."""

    sql: str
    database: str = ""


def setup_statements(
    server: int,
    minter: str,
    templates: tuple[Template, ...],
    password: str = "",
    *,
    shut_public: bool = False,
) -> tuple[Statement, ...]:
    """Return what an administrator runs once, in order, for a minter of the least right.

    Args:
        server: the major version of the target, 15 or more.
        minter: the role that the minter logs in as; it must not exist yet.
        templates: what its glasses grant; none may exist yet.
        password: of ``minter``, better as a SCRAM verifier, since a server may log statements;
            empty where it is set afterwards, or where the minter logs in by certificate.
        shut_public: take CONNECT on the templates' databases from PUBLIC. Else every role of the
            cluster goes on getting in, so a scope narrows rights, but no logins. Whoever gets in
            by PUBLIC's right alone is shut out by it.

    Raises:
        MisconfiguredError: the server is too old.
        MalformedError: a right that is more than one, or a database that no template names.

    >>> for each in setup_statements(18, "minter", (Template("fix", ("orders",)),)):
    ...     print(each.sql)
    create role "minter" login createrole
    grant connect on database "orders" to "minter"
    create role "fix" nologin
    grant connect on database "orders" to "fix"
    grant "fix" to "minter" with admin true, inherit false, set false
    """
    check_version(server)
    return tuple(_statements(server, minter, templates, password, shut_public))


def setup_text(server: int, statements: tuple[Statement, ...]) -> str:
    """Return statements as a script for psql, the limits of an older server on top.

    >>> print(setup_text(18, (Statement("select 1"), Statement("select 2", "orders"))))
    select 1;
    \\connect "orders"
    select 2;
    """
    lines = [f"-- {each}" for each in limits_of(server)]
    here = ""
    for each in statements:
        if each.database and each.database != here:
            here = each.database
            lines.append(f"\\connect {quoted(here)}")
        lines.append(f"{each.sql};")
    return "\n".join(lines)


def limits_of(server: int) -> tuple[str, ...]:
    """Return what is worse with this major version than with a newer one, in sentences."""
    if server >= FIRST_WITH_SET_OPTION:
        return ()
    return (
        "PostgreSQL 15: CREATEROLE may change every role that is no superuser, and make itself a"
        " member of it; keep this login as you keep a superuser's.",
        "PostgreSQL 15: a holder may SET ROLE to the template, and what it makes then belongs to"
        " the template; so a template that may create is refused, whatever the policy says.",
    )


def check_version(server: int) -> None:
    """Refuse a major version that a minter cannot keep its promises on.

    Raises:
        MisconfiguredError: it is older than 15.
    """
    if server < OLDEST_SERVER:
        raise MisconfiguredError(
            f"the target is PostgreSQL {server}, and a minter needs {OLDEST_SERVER} or newer",
            hint="upgrade the target; below 15 everybody may create in the schema 'public'",
        )


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL.

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def _statements(
    server: int, minter: str, templates: tuple[Template, ...], password: str, shut_public: bool
) -> Iterator[Statement]:
    databases = sorted({each for template in templates for each in template.databases})
    secret = f" password {_literal(password)}" if password else ""
    yield Statement(f"create role {quoted(minter)} login createrole{secret}")
    for database in databases:
        if shut_public:
            yield Statement(f"revoke connect on database {quoted(database)} from public")
        yield Statement(f"grant connect on database {quoted(database)} to {quoted(minter)}")
    for template in templates:
        role = quoted(template.name)
        yield Statement(f"create role {role} nologin")
        where = ", ".join(quoted(each) for each in template.databases)
        yield Statement(f"grant connect on database {where} to {role}")
        if server >= FIRST_WITH_SET_OPTION:
            # ADMIN hands it out; without INHERIT and SET the minter itself may none of it.
            yield Statement(
                f"grant {role} to {quoted(minter)} with admin true, inherit false, set false"
            )
        for database, rights in sorted(template.rights.items()):
            for right in rights:
                _check_right(template, database, right)
                yield Statement(f"grant {right} to {role}", database)


def _check_right(template: Template, database: str, right: str) -> None:
    if database not in template.databases:
        raise MalformedError(f"template {template.name!r} has rights in {database!r}, not a login")
    if ";" in right or not right.isprintable():
        raise MalformedError(f"a right is one grant on one line, got {right!r}")


def _literal(text: str) -> str:
    # standard_conforming_strings is on in every version that we take; a backslash is none then.
    return "'" + text.replace("'", "''") + "'"
