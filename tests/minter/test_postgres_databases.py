"""A scope with a dozen databases: bounded sessions, each tidied, and an end though one is gone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from breakglass.minter.platforms.platform import Account
from breakglass.minter.platforms.postgres import Postgres as Platform
from breakglass.minter.platforms.postgres import PostgresSettings
from breakglass.minter.platforms.postgres_setup import Template, setup_statements
from breakglass.minter.platforms.scram_verifier import scram_verifier
from tests.kit.postgres import MAJORS, PASSWORD, bg_roles, start_postgres
from tests.kit.postgres_catalogue import gone_roles_remains
from tests.kit.postgres_grants import Place

DOZEN = tuple(f"shop_{number:02}" for number in range(12))
OURS = "select datname from pg_stat_activity where usename = 'breakglass_minter'"


@pytest.fixture(scope="module", params=MAJORS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    server = start_postgres(major=request.param, settings="max_connections = 60\n")
    for database in DOZEN:
        server.run(f"create database {database}")
        server.run("create table orders(id int)", dbname=database)
    may = ("create on schema public",) if server.major >= 16 else ()
    rights = ("select on orders", *may)
    template = Template("breakglass_dozen", DOZEN, dict.fromkeys(DOZEN, rights))
    for each in setup_statements(
        server.major, "breakglass_minter", (template,), scram_verifier(PASSWORD), shut_public=True
    ):
        server.run(each.sql, dbname=each.database or "postgres")
    dsn = server.dsn("breakglass_minter", PASSWORD, "postgres")
    platform = Platform(PostgresSettings(dsn), "orders-db", "ledger.example/one")
    yield Place(server, platform, dsn)
    platform.close()
    server.close()


def scope(place: Place) -> dict[str, tuple[str, ...]]:
    may = {"may": ("create",)} if place.server.major >= 16 else {}
    return {"databases": DOZEN, "templates": ("breakglass_dozen",), **may}


def leave(place: Place, statement: str) -> str:
    """Return what leaves a thing on this version: below 16 a template may create nothing."""
    return statement if place.server.major >= 16 else "select lo_create(0)"


def test_many_mints_at_once_take_no_more_sessions_than_they_may(place: Place) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: place.mint(scope(place)), range(32)))
    assert len(place.server.column(OURS)) <= 8 + 8  # minting, and as many that look
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: place.platform.cut(Account(each.handle)), made))
        assert not any(pool.map(lambda each: place.platform.tidy(Account(each.handle)), made))
    assert len(place.server.column(OURS)) <= 8 + 8 + 2 + 2 + 2
    assert bg_roles(place.server) == []


def test_what_lies_in_several_databases_is_tidied_and_told_of_each(place: Place) -> None:
    made = place.mint(scope(place))
    for database in DOZEN[::3]:
        place.run(made, leave(place, "create view v as select 1 as one"), dbname=database)
        place.run(made, "alter default privileges grant all on tables to public", dbname=database)
    for database in DOZEN[1::3]:
        place.run(made, "alter default privileges grant all on tables to public", dbname=database)
    left = place.ended(made)
    for database in DOZEN:
        told = [line for line in left if line.startswith(f"{database}: ")]
        assert bool(told) is (database in DOZEN[::3]), (database, left)
    for database in DOZEN[::3]:
        place.server.run(f"drop owned by {made.handle} cascade", dbname=database)
    assert place.platform.tidy(Account(made.handle)) == ()
    assert bg_roles(place.server) == []
    assert gone_roles_remains(place.server) == []


def test_a_database_that_is_gone_or_lets_nobody_in_keeps_no_end_back(place: Place) -> None:
    made = place.mint(scope(place))
    name, shut, gone = made.handle, DOZEN[4], DOZEN[7]
    for database in (DOZEN[2], shut, gone):
        place.run(made, leave(place, "create table t(id int)"), dbname=database)
    sessions = [place.holder(made, each) for each in (DOZEN[2], shut, gone)]
    place.server.run(f"alter database {shut} allow_connections false")
    place.server.run(f"drop database {gone} with (force)")
    assert place.platform.cut(Account(name)) == 2  # the third went with its database
    for each in sessions:
        with pytest.raises(psycopg.OperationalError):
            each.execute("select 1")
    assert "login refused" in place.platform.probe_dead(Account(name))
    left = place.platform.tidy(Account(name))
    assert any(f"{shut}: not tidied: " in line for line in left), left
    assert any(line.startswith(f"{DOZEN[2]}: ") for line in left), left
    assert not any(gone in line for line in left), left  # nothing is there any more
    place.server.run(f"drop owned by {name} cascade", dbname=DOZEN[2])
    # Nothing else is in the way, and the role stays: what it owns there cannot be looked at.
    left = place.platform.tidy(Account(name))
    assert any(f"{shut}: not tidied: " in line for line in left), left
    assert name in bg_roles(place.server)
    assert "may not log in" in place.platform.probe_dead(Account(name))
    place.server.run(f"alter database {shut} allow_connections true")
    assert any(line.startswith(f"{shut}: ") for line in place.platform.tidy(Account(name)))
    place.server.run(f"drop owned by {name} cascade", dbname=shut)
    assert place.platform.tidy(Account(name)) == ()
    assert bg_roles(place.server) == []
    # The next grant is refused by the name of what is missing.
    with pytest.raises(Exception, match=f"no database '{gone}'"):
        place.mint(scope(place))
    place.server.run(f"create database {gone}")
    assert gone_roles_remains(place.server) == []
