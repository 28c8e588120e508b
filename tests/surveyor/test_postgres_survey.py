"""Each sort of privileged access is found at a real PostgreSQL, and what cannot be read is said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from breakglass.errors import MisconfiguredError
from breakglass.minter.platforms.scram_verifier import scram_verifier
from breakglass.surveyor.postgres_setup import setup_statements
from breakglass.surveyor.postgres_survey import PostgresSurvey
from breakglass.surveyor.settings import PostgresSettings
from tests.kit.postgres import MAJORS, PASSWORD, Postgres, prepare, ruled, start_postgres

TEMPLATE = "breakglass_orders_repair"
Found = tuple[str, str, str]


@pytest.fixture(scope="module", params=MAJORS)
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    running = start_postgres(major=request.param, settings="wal_level = logical\n")
    try:
        prepare(running)
        for each in setup_statements("surveyor", ["orders", "billing"], scram_verifier(PASSWORD)):
            running.run(each, dbname="orders")
        yield running
    finally:
        running.close()


def look(server: Postgres, *databases: str) -> tuple[set[Found], dict[tuple[str, str], str]]:
    dsn = server.dsn("surveyor", PASSWORD, "orders")
    found = PostgresSurvey(PostgresSettings(dsn, databases)).survey([TEMPLATE])
    things = {(each.category, each.name, each.holder) for each in found.things}
    return things, dict(found.unread)


CASES: list[tuple[str, str, Found]] = [
    ("create role x superuser", "drop role x", ("superuser", "superuser", "x")),
    ("create role x createrole", "drop role x", ("create-role", "may create roles", "x")),
    ("create role x createdb", "drop role x", ("create-database", "may create databases", "x")),
    (
        "create role x replication",
        "drop role x",
        ("replication", "may read all by replication", "x"),
    ),
    (
        "create role x bypassrls",
        "drop role x",
        ("bypass-row-security", "row security does not hold it", "x"),
    ),
    ("create role x login", "drop role x", ("login-without-end", "login without VALID UNTIL", "x")),
    (
        "create role x in role pg_read_all_data",
        "drop role x",
        ("powerful-member", "member of pg_read_all_data", "x"),
    ),
    (
        "create role x in role postgres",
        "drop role x",
        ("powerful-member", "member of postgres", "x"),
    ),
    (
        f"create role x; grant {TEMPLATE} to x with admin option",
        "drop role x",
        ("role-administrator", f"may grant {TEMPLATE}", "x"),
    ),
    (
        "create role x; create schema x authorization x; create table x.t(id int);"
        " alter table x.t owner to x",
        "drop owned by x; drop role x",
        ("schema-owner", "owner of things in schema x", "x"),
    ),
    (
        f"create role x login; grant {TEMPLATE} to x",
        "drop role x",
        ("table-write", "update on public.orders", "x"),
    ),
    (
        "grant insert on orders to public",
        "revoke insert on orders from public",
        ("table-write", "insert on public.orders", "PUBLIC"),
    ),
    (
        "grant create on schema public to public",
        "revoke create on schema public from public",
        ("create-for-public", "create in schema public", "PUBLIC"),
    ),
    (
        "create function public.x() returns int language sql security definer as 'select 1'",
        "drop function public.x()",
        ("definer-for-public", "public.x()", "postgres"),
    ),
    (
        "create function public.x() returns event_trigger language plpgsql as 'begin end';"
        " create event trigger x on ddl_command_end execute function public.x()",
        "drop event trigger x; drop function public.x()",
        ("event-trigger", "x on ddl_command_end", "postgres"),
    ),
    ("create publication x", "drop publication x", ("publication", "x", "postgres")),
    (
        "create subscription x connection 'dbname=nowhere' publication x"
        " with (connect = false, slot_name = none)",
        "drop subscription x",
        ("subscription", "x", "postgres"),
    ),
]


@pytest.mark.parametrize(("given", "taken", "wanted"), CASES, ids=[case[2][0] for case in CASES])
def test_it_is_found_and_gone_when_it_is_taken_away(
    server: Postgres, given: str, taken: str, wanted: Found
) -> None:
    before, _ = look(server)
    assert wanted not in before
    server.run(*given.split("; "), dbname="orders")
    try:
        assert wanted in look(server)[0]
    finally:
        server.run(*taken.split("; "), dbname="orders")
    assert look(server)[0] == before


def test_a_login_of_a_foreign_server_is_found_and_its_password_is_not(server: Postgres) -> None:
    server.run(
        "create foreign data wrapper x",
        "create server far foreign data wrapper x",
        "create user mapping for postgres server far options (password 'its-secret')",
        dbname="orders",
    )
    try:
        things, _ = look(server)
        assert ("user-mapping", "login at server far", "postgres") in things
        assert "its-secret" not in str(things)
    finally:
        server.run("drop foreign data wrapper x cascade", dbname="orders")


def test_a_line_that_lets_in_without_a_password_is_found(server: Postgres) -> None:
    with ruled(server, "host billing somebody 192.0.2.0/24 trust"):
        things, unread = look(server)
    assert [name for category, name, _ in things if category == "hba-trust"] == [
        "line 1: host billing somebody 192.0.2.0 255.255.255.0"
    ]
    assert ("hba-trust", "") not in unread


def test_without_the_right_to_read_them_those_lines_are_unknown(server: Postgres) -> None:
    function = "function pg_catalog.pg_hba_file_rules()"
    server.run(f"revoke execute on {function} from surveyor", dbname="orders")
    try:
        assert "permission denied" in look(server)[1]["hba-trust", ""]
    finally:
        server.run(f"grant execute on {function} to surveyor", dbname="orders")


def test_a_database_that_is_not_there_or_lets_nobody_in_is_unknown_whole(server: Postgres) -> None:
    _, unread = look(server, "orders", "nowhere")
    assert ("table-write", "nowhere") in unread
    assert ("scheduled-job", "nowhere") in unread
    assert ("table-write", "orders") not in unread


@pytest.mark.parametrize(
    ("given", "taken", "why"),
    [
        ("alter role surveyor superuser", "alter role surveyor nosuperuser", "a superuser"),
        ("alter role surveyor createrole", "alter role surveyor nocreaterole", "create roles"),
        ("alter role surveyor bypassrls", "alter role surveyor nobypassrls", "row security"),
        (
            "grant pg_signal_backend to surveyor",
            "revoke pg_signal_backend from surveyor",
            "member of pg_signal_backend",
        ),
        ("grant orders_owner to surveyor", "revoke orders_owner from surveyor", "may write"),
        ("grant create on schema public to surveyor", "drop owned by surveyor", "may create in"),
        (
            "grant update (state) on orders to surveyor",
            "revoke update (state) on orders from surveyor",
            "may write public.orders",
        ),
    ],
)
def test_a_role_that_could_change_something_looks_at_nothing(
    server: Postgres, given: str, taken: str, why: str
) -> None:
    server.run(given, dbname="orders")
    try:
        with pytest.raises(MisconfiguredError, match=why):
            look(server)
    finally:
        server.run(taken, dbname="orders")
        for each in setup_statements("surveyor", ["orders", "billing"])[1:]:
            server.run(each, dbname="orders")
    look(server)


def test_a_look_leaves_nothing_and_cannot_write(server: Postgres) -> None:
    before = server.column("select count(*)::text from pg_shdepend")
    look(server)
    assert server.column("select count(*)::text from pg_shdepend") == before
    sessions = "select application_name from pg_stat_activity where usename = 'surveyor'"
    assert server.column(sessions) == []


@pytest.mark.parametrize("dsn", ["host=x dbname=y", "user=x dbname=y", "host=x user=y", "%"])
def test_a_dsn_that_leaves_something_to_the_environment_is_refused(dsn: str) -> None:
    with pytest.raises(MisconfiguredError):
        PostgresSurvey(PostgresSettings(dsn))
