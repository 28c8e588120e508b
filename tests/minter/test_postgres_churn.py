"""Hundreds of grants whose lives overlap come and go, and the catalogues say nothing of them."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from breakglass.minter.platforms.platform import Account, Credential
from tests.kit.postgres import MAJORS, bg_roles, start_postgres
from tests.kit.postgres_catalogue import gone_roles_remains
from tests.kit.postgres_grants import BOTH, ORDERS, Place

THREADS, LIVING = 4, 6  # so many grants live at a time in each thread
ANY = (
    "select * from orders",
    "alter role {name} set work_mem = '1MB'; alter role {name} in database orders set jit = off",
    "create temporary table t(id int)",
    "select lo_create(0)",
    "alter default privileges grant select on tables to intern",
    "alter role {name} password 'my own'",
    "begin; select lo_create(0); prepare transaction '{name}'",
    "begin; select lo_create(0)",  # and never ended: its lock is on nothing of others
)
MAY_CREATE = (
    "create table t_{name}(id int primary key); grant all on t_{name} to public, intern",
    "create function f_{name}() returns int language sql as 'select 1';"
    " create view v_{name} as select f_{name}(); grant select (f_{name}) on v_{name} to intern",
    "create schema s_{name} create table t(id int); create type s_{name}.mood as enum ('calm');"
    " grant usage on schema s_{name} to intern; comment on schema s_{name} is 'mine'",
    "create function g_{name}() returns trigger language plpgsql as 'begin return new; end';"
    " create trigger t_{name} before insert on orders for each row execute function g_{name}()",
    "create domain d_{name} as int; create sequence q_{name}",
)
GIVEN = (
    "grant select on secrets to {name}",
    "grant select (id) on orders to {name}",
    "grant {name} to intern",
    "grant usage on schema public to {name}",
    "grant orders_owner to {name}",
    "grant temporary on database orders to {name}",
    "alter default privileges for role orders_owner grant select on tables to {name}",
)


class Churn:
    """Lives of grants, one thread's: each is minted and used, and behind a few more it ends."""

    administrator = threading.Lock()  # one person, who does one thing at a time

    def __init__(self, place: Place, seed: int) -> None:
        self._place = place
        self._random = random.Random(seed)
        self._older = place.server.major < 16
        self._living: deque[tuple[Credential, psycopg.Connection]] = deque()
        self.read = 0

    def lives(self, count: int) -> None:
        for _ in range(count):
            self._living.append(self._begun())
            if len(self._living) > LIVING:
                self._end()
        while self._living:
            self._end()

    def _begun(self) -> tuple[Credential, psycopg.Connection]:
        made = self._place.mint(ORDERS if self._older else BOTH)
        self._place.platform.probe(made)
        session = self._place.holder(made)
        use = self._random.choice(ANY if self._older else (*ANY, *MAY_CREATE))
        session.execute(use.format(name=made.handle).encode())
        if self._random.random() < 0.15:
            given = self._random.choice(GIVEN)
            with self.administrator:
                self._place.server.run(given.format(name=made.handle), dbname="orders")
        return made, session

    def _end(self) -> None:
        made, session = self._living.popleft()
        account = Account(made.handle)
        assert self._place.platform.cut(account) == 1
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
        session.close()
        assert "login refused" in self._place.platform.probe_dead(account)
        self._place.platform.tidy(account)
        if made.handle in self._place.platform.handles():
            self.read += 1
            with self.administrator:
                for database in ("orders", "billing"):
                    self._place.server.run(f"drop owned by {made.handle} cascade", dbname=database)
        # Two sweeps at most: a drop of another thread may have held a row of the catalogue.
        assert not self._place.platform.tidy(account) or not self._place.platform.tidy(account)


@pytest.mark.parametrize(
    ("major", "grants"),
    [
        *((major, 300 if major == max(MAJORS) else 60) for major in MAJORS),
        pytest.param(max(MAJORS), 10_000, marks=pytest.mark.long),
    ],
)
def test_grants_that_came_and_went_leave_no_role_and_no_row_of_a_catalogue(
    places: Callable[[int], Place],
    major: int,
    grants: int,
    record_property: Callable[[str, object], None],
) -> None:
    place = places(major)
    began = time.monotonic()
    churns = [Churn(place, seed) for seed in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda each: each.lives(grants // THREADS), churns))
    ms = (time.monotonic() - began) * 1000 / grants
    kept = sum(each.read for each in churns)
    record_property("ms_a_grant", round(ms, 1))
    print(f"PostgreSQL {major}: {grants} grants, {ms:.1f} ms each; {kept} left something to read")
    assert bg_roles(place.server) == []
    assert place.platform.handles() == []
    assert gone_roles_remains(place.server) == []
    assert (
        place.server.column("select tgname from pg_trigger where not tgisinternal", "orders") == []
    )
    assert kept > 0  # the lives were of every kind


@pytest.mark.parametrize("major", MAJORS)
def test_the_reader_of_the_catalogues_sees_whatever_a_role_that_is_torn_out_leaves(
    major: int,
) -> None:
    server = start_postgres(major=major)
    try:
        server.run(
            "create role torn login",
            "create role friend",
            "create table held(id int)",
            "grant friend to torn",
            "comment on role torn is 'x'",
            "alter role torn set work_mem = '1MB'",
            "grant temporary on database postgres to torn",
            "grant usage on schema public to torn",
            "grant select (id) on held to torn",
            "grant insert on held to torn",
            "alter default privileges grant select on tables to torn",
            "alter default privileges for role torn grant select on tables to friend",
            "create policy sieve on held to torn using (true)",
            "create function f() returns int language sql as 'select 1'",
            "grant execute on function f() to torn",
            "create type mood as enum ('calm')",
            "grant usage on type mood to torn",
            "create table own(id int)",
            "alter table own owner to torn",
        )
        assert gone_roles_remains(server) == []
        server.run("set allow_system_table_mods = on; delete from pg_authid where rolname = 'torn'")
        found = "\n".join(gone_roles_remains(server))
        for place in (
            "pg_auth_members.member",
            "pg_shdescription",
            "pg_db_role_setting.setrole",
            "pg_database.datacl grantee",
            "pg_namespace.nspacl grantee",
            "pg_attribute.attacl grantee",
            "pg_class.relacl grantee",
            "pg_class.relowner",
            "pg_type.typowner",
            "pg_default_acl.defaclacl grantee",
            "pg_default_acl.defaclrole",
            "pg_policy.polroles",
            "pg_proc.proacl grantee",
            "pg_type.typacl grantee",
            "pg_shdepend",
        ):
            assert f"postgres: {place}" in found, place
    finally:
        server.close()
