"""A dead grant leaves nothing that runs with more rights than it had, and holds up nobody."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from breakglass.errors import RefusedError
from breakglass.minter.platforms.platform import Account
from breakglass.minter.platforms.postgres import Postgres as Platform
from breakglass.minter.platforms.postgres import PostgresSettings
from breakglass.minter.platforms.postgres_removal import shut_out, tidy
from breakglass.minter.platforms.postgres_sessions import open_session
from tests.kit.postgres import PASSWORD, bg_roles
from tests.kit.postgres_grants import BOTH, ORDERS, Place


@pytest.fixture(params=[16, 18])
def place(request: pytest.FixtureRequest, places: Callable[[int], Place]) -> Place:
    return places(request.param)


@pytest.fixture
def newest(places: Callable[[int], Place]) -> Place:
    return places(18)


def refused(place: Place, user: str, statement: str, dbname: str = "orders") -> None:
    with place.server.connected(user, PASSWORD, dbname) as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(statement.encode())


def test_a_view_and_a_definers_function_lend_nobody_the_owners_rights(place: Place) -> None:
    made = place.mint()
    for database in ("orders", "billing"):
        place.run(
            made,
            "create view peek as select * from pg_catalog.pg_class",
            "grant select on peek to public, intern",
            "create function run(text) returns text language plpgsql security definer as"
            " $$declare r text; begin execute $1 into r; return r; end$$",
            "grant execute on function run(text) to intern with grant option",
            dbname=database,
        )
    place.run(made, "create view more as select * from salaries", "grant select on more to intern")
    left = place.ended(made)
    for database in ("orders", "billing"):
        refused(place, "intern", "select * from peek", database)
        refused(place, "intern", "select run('select current_user')", database)
        function = f"{database}: function public.run(text): CREATE OR REPLACE FUNCTION"
        assert any(line.startswith(function) for line in left), left
        owners = "select distinct viewowner from pg_views where viewname = 'peek'"
        assert place.server.column(owners, database) == [made.handle]
    refused(place, "intern", "select * from more")
    # Not even a superuser who looks lends it anything: it reads as the dead role.
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        place.server.run("select * from more", dbname="orders")
    assert any("view public.more: " in line and "salaries" in line for line in left)
    assert any("owns what follows" in line and "reassign owned" in line for line in left)
    place.clean(made)


def test_nothing_that_a_grant_has_made_runs_with_the_rights_of_who_touches_it(
    place: Place,
) -> None:
    made = place.mint()
    trap = "begin insert into audit values (current_user)"
    place.run(
        made,
        f"create function trap(int) returns int language plpgsql as $${trap}; return 1; end$$",
        f"create function fire() returns trigger language plpgsql as $${trap}; return new; end$$",
        "create procedure proc() language plpgsql as $$begin commit; end$$",
        "create table mine(id int default 1, check (trap(id) > 0))",
        "create trigger fires before insert on mine for each row execute function fire()",
        "create rule also as on insert to mine do also select trap(1)",
        "create policy sieve on mine using (trap(id) > 0)",
        "create view looks as select trap(1)",
        "create materialized view kept as select 1 as one",
        "create aggregate summed(int) (sfunc = int4pl, stype = int)",
        "create domain small as int check (trap(value) > 0)",
        "create type pair as (a int, b int)",
        "create type mood as enum ('calm')",
        "create operator === (function = trap, rightarg = int)",
        "create sequence counter",
        "create index on mine(id)",
        "grant all on mine, looks, kept to public, intern",
    )
    left = place.ended(made)
    oid = f"(select oid from pg_roles where rolname = '{made.handle}')"
    still = (
        f"select proname from pg_proc where proowner = {oid} and prokind <> 'a' and not prosecdef",
        f"select relname from pg_class, aclexplode(relacl) x where relowner = {oid} and"
        f" x.grantee <> {oid}",
        f"select proname from pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) x"
        f" where proowner = {oid} and x.grantee <> {oid}",
        f"select typname from pg_type, aclexplode(typacl) x where typowner = {oid}"
        f" and x.grantee <> {oid}",
        f"select roleid::regrole from pg_auth_members where member = {oid}",
    )
    for query in still:
        assert place.server.column(query, "orders") == [], query
    # A superuser who writes there runs it as the dead role, which may not write to ``audit``.
    for each in ("insert into mine values (1)", "select trap(1)", "select === 1"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            place.server.run(each, dbname="orders")
    assert place.server.column("select line from audit", "orders") == []
    for kind in ("function", "trigger", "rule", "policy", "view", "type", "operator", "sequence"):
        assert any(kind in line for line in left), kind
    place.clean(made)


def test_a_trigger_on_somebody_elses_table_sees_no_row_after_the_end(place: Place) -> None:
    made = place.mint()
    place.run(
        made,
        "create table loot(state text)",
        "create function copy() returns trigger language plpgsql as"
        " $$begin insert into loot values (new.state); return new; end$$",
        "create trigger copies before insert on orders for each row execute function copy()",
    )
    with place.server.connected("postgres", dbname="orders") as app:
        with app.transaction():
            app.execute("select * from orders")
            (line,) = [each for each in place.ended(made) if "copies" in each]
            pid = app.info.backend_pid
            assert f"still there, its table is locked by pid {pid} (postgres)" in line
            # Until then it runs as the dead role, and the table's users lend it nothing.
            secdef = "select prosecdef from pg_proc where proname = 'copy'"
            assert place.server.column(secdef, "orders") == ["True"]
    (line,) = [each for each in place.platform.tidy(Account(made.handle)) if "copies" in each]
    assert line.startswith("orders: dropped: CREATE TRIGGER copies")
    assert "insert into loot" in line
    place.server.run("insert into orders values (99, 'new')", dbname="orders")
    place.server.run("delete from orders where id = 99", dbname="orders")
    assert place.server.column("select * from loot", "orders") == []
    place.clean(made)


def test_the_minter_runs_nothing_that_a_holder_wrote(place: Place) -> None:
    made = place.mint()
    steal = (
        "begin if current_user = 'breakglass_minter' then execute"
        " 'create role thief login'; end if; "
    )
    overloads = (
        ("shobj_description(oid, text) returns text", "return 'x';"),
        ("has_database_privilege(text, name, text) returns bool", "return true;"),
        ("has_database_privilege(name, oid, text) returns bool", "return true;"),
        ("pg_terminate_backend(int4, int2) returns bool", "return true;"),
        ("pg_terminate_backend(int4) returns bool", "return true;"),
        ("starts_with(name, text) returns bool", "return true;"),
        ("format(text, regprocedure) returns text", "return 'x';"),
        ("same(name, text) returns bool", "return true;"),
        ("same(oid, oid) returns bool", "return true;"),
    )
    for database in ("orders", "billing"):
        place.run(
            made,
            *(
                f"create function public.{name} language plpgsql as $f$ {steal}{body} end $f$"
                for name, body in overloads
            ),
            "create operator public.= (function = same, leftarg = name, rightarg = text)",
            "create operator public.= (function = same, leftarg = oid, rightarg = oid)",
            "create view public.pg_roles as select 1 as oid",
            dbname=database,
        )
        place.server.run(
            f"alter database {database} set search_path = public, pg_catalog",
        )
    try:
        other = place.mint()
        assert other.handle in place.platform.handles()
        for each in (made, other):
            place.ended(each)
        assert place.server.column("select rolname from pg_roles where rolname = 'thief'") == []
    finally:
        for database in ("orders", "billing"):
            place.server.run(f"alter database {database} reset search_path")
    place.clean(made)


def test_no_setting_of_the_target_reaches_a_session_of_ours(newest: Place) -> None:
    wanted = {
        "search_path": "pg_catalog,pg_temp",
        "default_transaction_read_only": "off",
        "transaction_read_only": "off",
        "synchronous_commit": "local",
        "lock_timeout": "3s",
        "statement_timeout": "6s",
    }
    for each in ("default_transaction_read_only = on", "synchronous_commit = remote_apply",
                 "lock_timeout = 0", "statement_timeout = 1"):  # fmt: skip
        newest.server.run(f"alter role breakglass_minter in database orders set {each}")
    try:
        with open_session(f"{newest.dsn} options='-c search_path=public'") as session:
            for name, value in wanted.items():
                row = session.execute("select current_setting(%s)", [name]).fetchone()
                assert row == (value,)
    finally:
        newest.server.run("alter role breakglass_minter in database orders reset all")


def test_a_database_that_is_read_only_by_default_ends_and_mints_as_ever(place: Place) -> None:
    made = place.mint()
    session = place.holder(made)
    place.server.run("alter database orders set default_transaction_read_only = on")
    again = Platform(PostgresSettings(place.dsn), "orders-db", "ledger.example/one")
    try:
        for platform in (place.platform, again):
            assert platform.cut(Account(made.handle)) in (0, 1)
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
        assert again.tidy(Account(made.handle)) == ()
        other = place.mint()
        again.cut(Account(other.handle))
        assert again.tidy(Account(other.handle)) == ()
    finally:
        again.close()
        place.server.run("alter database orders reset default_transaction_read_only")


def test_sessions_are_cut_though_the_role_cannot_be_changed(newest: Place) -> None:
    made = newest.mint()
    session = newest.holder(made)
    # What a full disk does to ALTER ROLE, a role that the minter may not change does here.
    newest.server.run(f"revoke {made.handle} from breakglass_minter cascade")
    newest.server.run(f"grant {made.handle} to breakglass_minter with inherit true, set false")
    with pytest.raises(Exception, match="cannot end"):
        newest.platform.cut(Account(made.handle))
    with pytest.raises(psycopg.OperationalError):
        session.execute("select 1")
    newest.server.run(f"drop role {made.handle}")


def test_a_prepared_transaction_is_rolled_back_and_locks_nothing(place: Place) -> None:
    made = place.mint()
    with place.holder(made) as session:
        session.execute("begin; insert into orders values (5, 'held'); prepare transaction 'it''s'")
    assert place.ended(made) == ()
    assert place.server.column("select gid from pg_prepared_xacts") == []
    assert made.handle not in bg_roles(place.server)
    assert place.server.column("select id from orders where id = 5", "orders") == []


def test_a_table_that_somebody_reads_holds_up_no_end_and_no_reader(newest: Place) -> None:
    grants = [newest.mint() for _ in range(3)]
    for made in grants:
        for database in ("orders", "billing"):
            newest.run(
                made,
                f"create table b_{made.handle}(id int)",
                f"grant select on b_{made.handle} to intern",
                dbname=database,
            )
    last = newest.mint()
    session = newest.holder(last)
    with newest.server.connected("intern", PASSWORD, "billing") as app, app.transaction():
        for made in grants:
            app.execute(f"table b_{made.handle}".encode())
        for made in grants:
            left = newest.ended(made)
            assert any(f"b_{made.handle}" in line for line in left)
        assert newest.platform.cut(Account(last.handle)) == 1
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
        waiting = (
            "select count(*) from pg_stat_activity where usename = 'breakglass_minter'"
            " and wait_event_type = 'Lock'"
        )
        assert newest.server.column(waiting) == ["0"]
        with newest.server.connected("intern", PASSWORD, "billing") as other:
            other.execute("set statement_timeout = '2s'")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                other.execute(f"table b_{grants[0].handle}".encode())
    for made in grants:
        newest.clean(made)
    newest.ended(last)


def test_a_template_that_an_administrator_has_locked_keeps_no_proof_back(place: Place) -> None:
    made, maker = place.mint(), place.mint()
    place.run(maker, "select lo_create(0)")
    with place.server.connected("postgres") as admin, admin.transaction():
        admin.execute("alter role breakglass_both rename to breakglass_busy")
        admin.execute("grant breakglass_busy to orders_owner")
        for each in (made, maker):
            assert place.platform.cut(Account(each.handle)) == 0
            assert "may not log in" in place.platform.probe_dead(Account(each.handle))
        assert place.platform.tidy(Account(made.handle)) == ()  # dropped, its memberships with it
        left = place.platform.tidy(Account(maker.handle))
        assert any("is still a member of breakglass_both: " in line for line in left), left
        admin.execute("rollback")
    assert not any(
        "is still a member" in line for line in place.platform.tidy(Account(maker.handle))
    )
    place.clean(maker)


def test_publications_subscriptions_and_schemas_are_named_and_stopped(place: Place) -> None:
    place.server.run("grant pg_create_subscription to breakglass_both")
    made = place.mint()
    place.run(
        made,
        "create schema attic",
        "create table attic.t(id int)",
        "create publication tells for table attic.t",
        "create subscription hears connection 'host=127.0.0.1 port=1 password=s3cret dbname=x'"
        " publication p with (connect = false, slot_name = 's')",
        "alter subscription hears enable",
        "alter default privileges grant all on tables to public",
        "select lo_create(0)",
        f"alter role {made.handle} set work_mem = '1MB'",
    )
    left = place.ended(made)
    text = "\n".join(left)
    for each in ("publication: tells", "subscription: hears", "schema: attic", "large object: "):
        assert each in text, text
    assert "s3cret" not in text
    assert place.server.column("select subenabled from pg_subscription") == ["False"]
    place.server.run("alter subscription hears set (slot_name = none)", dbname="orders")
    place.server.run("drop subscription hears", dbname="orders")
    place.clean(made)
    place.server.run("revoke pg_create_subscription from breakglass_both")


def test_thousands_of_things_are_shut_and_told_within_bounds(newest: Place) -> None:
    made = newest.mint()
    newest.run(
        made,
        "alter default privileges grant all on tables to public",
        "do $$begin for i in 1..1500 loop execute format('create table many_%s(id int)', i);"
        " perform lo_create(0); end loop; end$$",
        "do $$begin for i in 1..300 loop execute format('create function f_%s() returns int"
        " language sql as ''select 1''', i); end loop; end$$",
        'create function "\u202esafe\n" () returns int language sql as $$select 1 -- \u202e$$',
    )
    began = time.monotonic()
    left = newest.ended(made)
    assert time.monotonic() - began < 60
    assert len(left) <= 64
    assert any("1500 of type table: " in line for line in left), left
    assert any("1500 of type large object: " in line for line in left)
    refused(newest, "intern", "select * from many_1500")
    refused(newest, "intern", "select f_300()")
    newest.clean(made)


def test_what_an_administrator_took_over_is_not_touched_and_the_role_goes(newest: Place) -> None:
    made = newest.mint()
    newest.run(made, "create table fixed as select 1 as one")
    assert len(newest.ended(made)) == 2
    newest.server.run(f"reassign owned by {made.handle} to orders_owner", dbname="orders")
    assert newest.platform.tidy(Account(made.handle)) == ()
    assert made.handle not in bg_roles(newest.server)
    owner = "select tableowner from pg_tables where tablename = 'fixed'"
    assert newest.server.column(owner, "orders") == ["orders_owner"]
    newest.server.run("drop table fixed", dbname="orders")


def test_two_dead_grants_are_strangers_to_each_other(newest: Place) -> None:
    first = newest.mint()
    newest.run(first, "create table loot_of_one as select 1 as card")
    newest.ended(first)
    second = newest.mint()
    newest.run(second, "create view v as select 1 as one")
    with newest.holder(second) as session:
        for each in ("select * from loot_of_one", f"set role {first.handle}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(each.encode())
    newest.ended(second)
    newest.clean(first)
    newest.clean(second)


def test_a_template_that_may_create_is_refused_unless_the_card_allows_it(place: Place) -> None:
    narrow = {key: value for key, value in BOTH.items() if key != "may"}
    with pytest.raises(RefusedError, match="create on schema public") as caught:
        place.mint(narrow)
    assert caught.value.name == "scope_wider"
    assert "may_create: true" in caught.value.hint
    assert place.platform.handles() == []


def test_below_16_a_template_that_may_create_is_refused_whatever_the_card_says(
    places: Callable[[int], Place],
) -> None:
    with pytest.raises(RefusedError, match="create on schema public") as caught:
        places(15).mint()
    assert caught.value.name == "scope_wider"
    assert "SET ROLE to the template" in caught.value.hint


class Crash(BaseException):
    """The minter ends here."""


def dying(session: psycopg.Connection, after: list[int]) -> psycopg.Connection:
    """Let a session end its user behind so many statements, which it shares with others."""

    class Dying(psycopg.Cursor[tuple[object, ...]]):
        def execute(self, *parts: object, **how: object) -> Dying:
            super().execute(*parts, **how)  # type: ignore[arg-type]
            after[0] -= 1
            if after[0] < 0:
                raise Crash
            return self

    session.cursor_factory = Dying
    return session


def crashed(place: Place, handle: str, after: int) -> bool:
    """End a role as a minter does that dies behind so many statements; say whether it died."""
    left = [after]
    opened: list[psycopg.Connection] = []

    @contextlib.contextmanager
    def elsewhere(database: str) -> Iterator[psycopg.Connection]:
        opened.append(dying(open_session(place.dsn, database, "200ms"), left))
        yield opened[-1]

    try:
        with elsewhere("orders") as session:
            shut_out(session, handle)
            tidy(session, elsewhere, handle)
        return False
    except Crash:
        return True
    finally:
        for each in opened:
            each.close()


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.long)])
def test_killed_behind_any_statement_of_an_end_it_goes_on_and_loses_nothing(
    newest: Place, caplog: pytest.LogCaptureFixture, step: int
) -> None:
    died, after = True, 0
    while died:
        made = newest.mint()
        newest.run(
            made,
            "create function copy() returns trigger language plpgsql as $$begin return new; end$$",
            "create trigger copies before insert on orders for each row execute function copy()",
            "create function f() returns int language sql as 'select 1'",
            "create table kept as select 7 as one",
            "grant select on kept to public",
        )
        newest.run(made, "create view v as select 1 as one", dbname="billing")
        with newest.holder(made) as session:
            session.execute("begin; insert into orders values (6, 'held'); prepare transaction 'p'")
        session = newest.holder(made)
        caplog.clear()
        died = crashed(newest, made.handle, after)
        left = newest.ended(made)  # by the next minter
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
        assert newest.server.column("select gid from pg_prepared_xacts") == []
        refused(newest, "intern", "select * from kept")
        refused(newest, "intern", "select f()")
        assert newest.server.column("select one from kept", "orders") == ["7"]
        triggers = "select tgname from pg_trigger where not tgisinternal"
        assert newest.server.column(triggers, "orders") == []
        assert "create trigger copies" in f"{left} {caplog.text}".lower()
        assert any(line.startswith("billing: view public.v: ") for line in left)
        newest.clean(made)
        after += step
    assert after > 20  # a crash had its turn behind every statement, or every fourth


def test_whom_somebody_made_a_member_loses_all_of_it_at_the_end(
    places: Callable[[int], Place],
) -> None:
    for major in (15, 18):
        place = places(major)
        made = place.mint(ORDERS)
        place.run(made, "select lo_create(0)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            place.run(made, f"grant {made.handle} to intern")
        place.server.run(f"grant {made.handle} to intern")
        with place.server.connected("intern", PASSWORD, "orders") as friend:
            friend.execute(f"set role {made.handle}".encode())
            friend.execute("select * from orders")
            left = place.ended(made)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                friend.execute("select * from orders")
        assert any("1 of type large object" in line for line in left)
        # From 16 on only who granted it may revoke it: so it is told.
        told = [line for line in left if "role intern was made a member" in line]
        assert len(told) == (0 if major == 15 else 1)
        place.server.run(f"revoke {made.handle} from intern")
        place.clean(made)
