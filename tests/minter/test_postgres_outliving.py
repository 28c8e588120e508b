"""Ways to outlive a grant's end on a real PostgreSQL; docs/tried/outliving.md lists all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import psycopg
import pytest
from psycopg.pq import ExecStatus

from breakglass.minter.platforms.platform import Account, Credential
from tests.kit.postgres import MAJORS
from tests.kit.postgres_grants import ORDERS, Place
from tests.kit.processes import until

DEAF = """do $$ begin loop
  begin perform pg_catalog.pg_sleep(600);
  exception when query_canceled then null; when others then null; end;
end loop; end $$"""
WORKING = {  # what a session does when the end comes, and where it is seen to do it
    "open transaction": (
        "begin; update orders set state = 'held'; select pg_sleep(600)",
        "PgSleep",
    ),
    "long statement": ("select pg_sleep(600)", "PgSleep"),
    "catches every error": (DEAF, "PgSleep"),
    "advisory lock": (
        "select pg_advisory_lock(7), pg_try_advisory_lock_shared(8); listen news;"
        " select pg_sleep(600)",
        "PgSleep",
    ),
    "cursor with hold": (
        "declare kept cursor with hold for select * from orders; select pg_sleep(600)", "PgSleep"
    ),
    "nobody reads its answer": (
        "select repeat('x', 100000) from generate_series(1, 100000)", "ClientWrite"
    ),
    "waits for a lock": ("select pg_advisory_lock(99)", "advisory"),
}  # fmt: skip


@pytest.fixture(params=MAJORS)
def place(request: pytest.FixtureRequest, places: Callable[[int], Place]) -> Place:
    return places(request.param)


@pytest.fixture
def newest(places: Callable[[int], Place]) -> Place:
    return places(max(MAJORS))


def sessions(place: Place, made: Credential) -> list[str]:
    query = f"select pid::text from pg_stat_activity where usename = '{made.handle}'"
    return place.server.column(query)


def ends(place: Place, made: Credential) -> int:
    """End it as at its expiry; returns how many sessions were cut, each proven gone."""
    account = Account(made.handle)
    cut = place.platform.cut(account)
    evidence = place.platform.probe_dead(account)
    assert "login refused" in evidence
    assert evidence.endswith("no session is live")
    assert sessions(place, made) == []
    assert place.platform.tidy(account) == ()
    return cut


def cannot(session: psycopg.Connection, statement: str) -> bool:
    try:
        session.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def works(session: psycopg.Connection) -> bool:
    with suppress(psycopg.Error):
        session.execute("select 1")
        return True
    return False


@contextmanager
def working(place: Place, made: Credential, statement: str) -> Iterator[psycopg.Connection]:
    """Send a statement and never read what comes of it."""
    with place.server.connected(dbname="orders") as other, closing(place.holder(made)) as session:
        other.execute("select pg_advisory_lock(99)")
        session.pgconn.send_query(statement.encode())
        session.pgconn.flush()
        yield session


@pytest.mark.parametrize("way", WORKING)
def test_no_statement_under_way_outlives_the_end(newest: Place, way: str) -> None:
    made = newest.mint(ORDERS)
    statement, waits_for = WORKING[way]
    where = f"select wait_event from pg_stat_activity where usename = '{made.handle}'"
    with working(newest, made, statement):
        until(lambda: newest.server.column(where) == [waits_for])
        assert ends(newest, made) == 1
    assert newest.server.column("select 1 from pg_locks where locktype = 'advisory'") == []
    newest.server.run("update orders set state = 'stuck'", dbname="orders")  # nothing is locked


def test_a_login_whose_start_is_stretched_beyond_the_end_is_ended_in_it(place: Place) -> None:
    """Its password was checked before the end, and no list of sessions names it until later."""
    made = place.mint(ORDERS)
    secret = made.secret
    dsn = place.server.dsn(str(secret["user"]), str(secret["password"]), "orders")
    came: list[psycopg.Connection] = []

    def logs_in() -> None:
        with suppress(psycopg.OperationalError):
            slow = f"{dsn} connect_timeout=120 options='-c post_auth_delay=60'"
            came.append(psycopg.connect(slow, autocommit=True))

    waiting = threading.Thread(target=logs_in)
    waiting.start()
    hidden = (
        "select 1 from pg_locks l where l.locktype = 'object' and not exists (select from"
        " pg_stat_activity a where a.pid = l.pid and a.usesysid is not null)"
    )
    until(lambda: place.server.column(hidden) != [])
    assert sessions(place, made) == []
    ends(place, made)
    assert place.server.column(hidden) == []
    waiting.join(60)
    assert not waiting.is_alive()
    assert not any(works(each) for each in came)
    for each in came:
        each.close()


def test_somebody_elses_login_under_way_is_left_alone_and_keeps_no_end_back(newest: Place) -> None:
    made = newest.mint(ORDERS)
    came: list[psycopg.Connection] = []
    dsn = f"{newest.server.dsn()} connect_timeout=60 options='-c post_auth_delay=5'"
    waiting = threading.Thread(target=lambda: came.append(psycopg.connect(dsn, autocommit=True)))
    waiting.start()
    until(lambda: newest.server.column("select 1 from pg_locks where locktype = 'object'") != [])
    ends(newest, made)
    waiting.join(60)
    (session,) = came
    assert works(session)
    session.close()


def test_a_client_that_logs_in_again_and_again_is_out_with_the_cut(place: Place) -> None:
    made = place.mint(ORDERS)
    over, came, tries = threading.Event(), list[psycopg.Connection](), list[int]()

    def storms() -> None:
        while not over.is_set():
            tries.append(1)
            with suppress(psycopg.OperationalError):
                came.append(place.holder(made))

    storm = [threading.Thread(target=storms) for _ in range(4)]
    for each in storm:
        each.start()
    until(lambda: len(came) > 2)
    account = Account(made.handle)
    try:
        assert place.platform.cut(account) > 0
        assert "login refused" in place.platform.probe_dead(account)
        before = len(tries)
        until(lambda: len(tries) > before + 8)
    finally:
        over.set()
        for each in storm:
            each.join()
    assert sessions(place, made) == []
    assert not any(works(each) for each in came)
    for session in came:
        session.close()
    assert place.platform.tidy(account) == ()


def test_whoever_took_another_role_on_is_cut_as_who_logged_in(place: Place) -> None:
    """On 15 a holder may take the template's; from 16 on nobody's."""
    made = place.mint(ORDERS)
    with closing(place.holder(made)) as session:
        refused = cannot(session, "set role breakglass_orders_repair")
        assert refused == (place.server.major >= 16)
        assert cannot(session, "set session authorization breakglass_orders_repair")
        assert ends(place, made) == 1
        assert not works(session)


def test_the_ways_that_take_more_than_a_grant_has_are_refused_by_the_server(place: Place) -> None:
    made = place.mint(ORDERS)
    name = made.handle
    with place.holder(made) as session:
        for statement in (
            "create role friend login password 'x'",
            f"alter role {name} valid until 'infinity'",
            f"alter role {name} login replication",
            f"grant {name} to intern with admin option",
            "grant breakglass_orders_repair to intern",
            "copy orders to program 'cat'",
            "copy (select 1) to '/tmp/left-behind'",
            "create function run() returns event_trigger language plpgsql as 'begin end';"
            " create event trigger stays on ddl_command_start execute function run()",
            "create subscription s connection 'dbname=orders' publication p with (connect = false)",
            "create foreign data wrapper own",
            "alter system set shared_preload_libraries = 'own'",
            "select pg_create_logical_replication_slot('stays', 'pgoutput')",
            "select pg_create_physical_replication_slot('stays')",
            "select pg_reload_conf()",
            "create table stays(id int)",
            "create schema own",
            "set session authorization postgres",
        ):
            assert cannot(session, statement), statement
        minters = "select pid from pg_stat_activity where usename = 'breakglass_minter' limit 1"
        for signal in ("pg_cancel_backend", "pg_terminate_backend"):
            assert cannot(session, f"select {signal}(({minters}))"), signal
    replication = place.server.dsn(name, str(made.secret["password"]), "orders")
    for kind in ("database", "true"):
        with pytest.raises(psycopg.OperationalError, match=r"(?i)replication|pg_hba"):
            psycopg.connect(f"{replication} replication={kind}")
    assert ends(place, made) >= 0
    assert place.server.column("select slot_name from pg_replication_slots") == []


def test_a_loop_through_the_server_itself_is_a_session_of_the_role_too(
    places: Callable[[int], Place],
) -> None:
    """An administrator installed ``dblink``: the holder's second session is cut with the first."""
    older = places(min(MAJORS))  # Debian's, which comes with its extensions
    made = older.mint(ORDERS)
    with older.holder(made) as session:
        assert cannot(session, "create extension dblink")
        assert cannot(session, "create extension postgres_fdw")
    older.server.run("create extension dblink", dbname="orders")
    back = older.server.dsn(made.handle, str(made.secret["password"]), "orders")
    with closing(older.holder(made)) as session:
        session.execute("select dblink_connect('back', %s)", [back])
        session.execute("select dblink_send_query('back', 'select pg_sleep(600)')")
        assert len(sessions(older, made)) == 2
        assert ends(older, made) == 2
        assert not works(session)
    older.server.run("drop extension dblink", dbname="orders")


def test_workers_of_a_parallel_query_end_with_their_leader(newest: Place) -> None:
    made = newest.mint(ORDERS)
    account = Account(made.handle)
    newest.server.run(
        "create table many as select generate_series(1, 200000) as n",
        "grant select on many to public",
        "alter table many set (parallel_workers = 2)",
        dbname="orders",
    )
    slow = (
        "set parallel_setup_cost = 0; set parallel_tuple_cost = 0;"
        " set min_parallel_table_scan_size = 0; select sum(sqrt(a.n * b.n)) from many a, many b"
    )
    with working(newest, made, slow) as session:
        until(lambda: len(sessions(newest, made)) > 1)
        assert newest.platform.cut(account) >= 1
        assert "no session is live" in newest.platform.probe_dead(account)
        assert sessions(newest, made) == []
        while (result := session.pgconn.get_result()) is not None:
            assert result.status != ExecStatus.TUPLES_OK
    assert newest.platform.tidy(account) == ()
    newest.server.run("drop table many", dbname="orders")
