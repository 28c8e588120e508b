"""What PostgreSQL in particular owes: nobody's table is lost, and no door is left open."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from breakglass.errors import RefusedError, UnavailableError
from breakglass.minter.platforms.platform import Account, Credential, Order
from breakglass.minter.platforms.postgres import Postgres as Platform
from breakglass.minter.platforms.postgres import PostgresSettings
from breakglass.records.grant import handle_of
from tests.kit.postgres import PASSWORD, Postgres, bg_roles, can_log_in, prepare, start_postgres
from tests.kit.processes import until

ORDERS = {"databases": ("orders",), "templates": ("breakglass_orders_repair",)}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    found = start_postgres()
    yield found
    found.close()


@pytest.fixture(scope="module")
def prepared(server: Postgres) -> str:
    return prepare(server)


@pytest.fixture(scope="module")
def platform(prepared: str) -> Iterator[Platform]:
    settings = PostgresSettings(prepared)
    found = Platform(settings, "orders-db", "ledger.example/one")
    yield found
    found.close()


def order(scope: Mapping[str, tuple[str, ...]] = ORDERS, lives_s: float = 300) -> Order:
    grant = "g-" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(12))
    now = datetime.now(UTC)
    expires = now + timedelta(seconds=lives_s)
    return Order(grant, handle_of(grant), "breakglass-INC-4821-mira", scope, now, expires)


def holder(server: Postgres, credential: Credential, dbname: str = "orders") -> psycopg.Connection:
    secret = credential.secret
    dsn = server.dsn(str(secret["user"]), str(secret["password"]), dbname)
    return psycopg.connect(dsn, autocommit=True)


def test_the_role_may_what_its_template_may_and_nothing_else(
    server: Postgres, platform: Platform
) -> None:
    credential = platform.mint(order())
    with holder(server, credential) as session:
        session.execute("update orders set state = 'repaired' where id = 1")
        for refused in (
            "select * from secrets",
            "set role breakglass_orders_repair",
            "set role orders_owner",
            "create role friend login",
            f"alter role {credential.handle} valid until 'infinity'",
            f"alter role {credential.handle} connection limit -1",
            f"comment on role {credential.handle} is 'somebody else''s'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(refused.encode())
    assert server.column("select state from orders", "orders") == ["repaired"]
    platform.cut(Account(credential.handle))


def test_only_the_databases_of_the_scope_let_it_in(server: Postgres, platform: Platform) -> None:
    credential = platform.mint(order())
    secret = credential.secret
    assert can_log_in(server, str(secret["user"]), str(secret["password"]), "orders")
    assert not can_log_in(server, str(secret["user"]), str(secret["password"]), "billing")
    platform.cut(Account(credential.handle))


def test_a_privilege_that_another_admin_gave_is_named_and_the_role_is_shut(
    server: Postgres, platform: Platform
) -> None:
    credential = platform.mint(order())
    name = credential.handle
    server.run(f"grant select on secrets to {name}", dbname="orders")
    platform.cut(Account(name))
    assert any("secrets" in line for line in platform.tidy(Account(name)))
    assert not can_log_in(server, name, str(credential.secret["password"]))
    assert "may not log in" in platform.probe_dead(Account(name))
    server.run(f"revoke all on secrets from {name}", dbname="orders")
    assert platform.tidy(Account(name)) == ()  # a later sweep takes what was left
    assert name not in platform.handles()


def test_a_password_that_the_holder_chose_dies_with_the_rest(
    server: Postgres, platform: Platform
) -> None:
    credential = platform.mint(order())
    with holder(server, credential) as session:
        session.execute(f"alter role {credential.handle} password 'my own'".encode())
        assert can_log_in(server, credential.handle, "my own")
        assert platform.cut(Account(credential.handle)) == 1
    assert not can_log_in(server, credential.handle, "my own")


def test_valid_until_refuses_the_login_though_nobody_is_there_to_end_it(
    server: Postgres, platform: Platform
) -> None:
    credential = platform.mint(order(lives_s=5))
    password = str(credential.secret["password"])
    assert can_log_in(server, credential.handle, password)
    until(lambda: not can_log_in(server, credential.handle, password))
    until(lambda: "has an expired password" in server.log())
    platform.cut(Account(credential.handle))


def test_no_password_ever_reaches_the_targets_log(server: Postgres, platform: Platform) -> None:
    credential = platform.mint(order())
    platform.cut(Account(credential.handle))
    written = server.log().lower()
    assert f'create role "{credential.handle}"' in written
    assert str(credential.secret["password"]).lower() not in written


def test_person_and_incident_stand_beside_the_role(server: Postgres, platform: Platform) -> None:
    credential = platform.mint(order())
    query = (
        "select shobj_description(oid, 'pg_authid') from pg_roles"
        f" where rolname = '{credential.handle}'"
    )
    (comment,) = server.column(query)
    assert "breakglass-INC-4821-mira" in comment
    platform.cut(Account(credential.handle))


def test_a_role_of_somebody_else_is_never_touched(server: Postgres, platform: Platform) -> None:
    server.run("create role bg_notours1234 login")
    assert "bg_notours1234" not in platform.handles()
    for touch in (platform.cut, platform.tidy):
        with pytest.raises(UnavailableError, match="does not carry this minter's mark"):
            touch(Account("bg_notours1234"))
    assert "bg_notours1234" in bg_roles(server)
    server.run("drop role bg_notours1234")


def test_a_scope_that_does_not_fit_the_target_says_why_and_leaves_nothing(
    server: Postgres, platform: Platform
) -> None:
    scopes: list[dict[str, tuple[str, ...]]] = [
        {"databases": ("orders",), "templates": ("pg_read_all_data",)},
        {"databases": ("nowhere",), "templates": ("breakglass_orders_repair",)},
        {"databases": ("billing",), "templates": ("breakglass_orders_repair",)},
        {"databases": ("orders",), "templates": ("breakglass_both",), "may": ("create",)},
        {"databases": ("orders",), "templates": ("nobody_such",)},
        {**ORDERS, "may": ("everything",)},
    ]
    for scope in scopes:
        wanted = order(scope)
        with pytest.raises(RefusedError, match="nothing was minted"):
            platform.mint(wanted)
        assert wanted.handle not in bg_roles(server)


@pytest.mark.usefixtures("prepared")
def test_a_list_of_hosts_mints_ends_and_reaches_holders_as_it_is(server: Postgres) -> None:
    own = psycopg.conninfo.conninfo_to_dict(server.dsn("breakglass_minter", PASSWORD, "orders"))
    listed = {**own, "host": "127.0.0.1,127.0.0.1", "port": f"1,{server.port}"}
    dsn = psycopg.conninfo.make_conninfo("", **listed)
    found = Platform(PostgresSettings(dsn), "orders-db", "ledger.example/one")
    credential = found.mint(order())
    assert (credential.connect["host"], credential.connect["port"]) == (
        "127.0.0.1,127.0.0.1",
        f"1,{server.port}",
    )
    found.probe(credential)
    found.cut(Account(credential.handle))
    assert "login refused" in found.probe_dead(Account(credential.handle))
    assert found.tidy(Account(credential.handle)) == ()
    found.close()


@pytest.mark.usefixtures("prepared")
def test_a_server_that_hangs_is_not_waited_for_without_end(server: Postgres) -> None:
    found = Platform(PostgresSettings(server.dsn(), minting=1, ending=1), "other", "ledger")
    credential = found.mint(order())
    server.process.send_signal(signal.SIGSTOP)
    stopped = [int(pid) for pid in _children(server.process.pid)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as pool:
            said = pool.submit(found.cut, Account(credential.handle)).exception(60)
        assert isinstance(said, UnavailableError)
    finally:
        for pid in [*stopped, server.process.pid]:
            os.kill(pid, signal.SIGCONT)
    found.cut(Account(credential.handle))
    found.close()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def lives_idle(platform: Platform, handle: str, for_s: float = 0.4) -> bool:
    return not platform.used_within(Account(handle), timedelta(seconds=for_s))


def test_use_is_what_the_server_says_of_the_roles_sessions(
    server: Postgres, platform: Platform
) -> None:
    """An open transaction is use too: ending it would undo what was done."""
    credential = platform.mint(order())
    handle = credential.handle
    assert lives_idle(platform, handle)  # nobody is there
    with holder(server, credential) as session:
        session.execute("select 1")
        session.execute("select 1")
        assert not lives_idle(platform, handle, 60)
        until(lambda: lives_idle(platform, handle))
        session.execute("begin")
        time.sleep(0.6)
        assert not lives_idle(platform, handle)
        session.execute("rollback")
    platform.cut(Account(handle))
    platform.tidy(Account(handle))


def test_a_statement_under_way_is_never_cut_for_lying_idle(
    server: Postgres, platform: Platform
) -> None:
    credential = platform.mint(order())
    handle = credential.handle
    with holder(server, credential) as works, holder(server, credential) as rests:
        works.execute("begin")
        works.execute("update orders set state = 'repaired' where id = 1")
        rests.execute("select 1")
        with pytest.raises(UnavailableError, match="statement under way") as caught:
            platform.cut_idle(Account(handle))
        assert caught.value.name == "busy"
        with pytest.raises(psycopg.OperationalError):
            rests.execute("select 1")  # it did nothing, so it is gone
        with pytest.raises(psycopg.OperationalError):
            holder(server, credential)
        works.execute("update orders set state = 'whole' where id = 1")
        works.execute("commit")
        assert platform.cut_idle(Account(handle)) == 1
        with pytest.raises(psycopg.OperationalError):
            works.execute("select 1")
    assert server.column("select state from orders where id = 1", "orders") == ["whole"]
    assert "refused" in platform.probe_dead(Account(handle))
    assert platform.cut_idle(Account(handle)) == 0
    platform.tidy(Account(handle))
    assert platform.cut_idle(Account(handle)) == 0


def test_a_server_that_does_not_keep_what_sessions_do_is_said_and_counts_as_used(
    server: Postgres, platform: Platform
) -> None:
    credential = platform.mint(order())
    server.run("alter system set track_activities = off", "select pg_reload_conf()")
    try:
        with holder(server, credential) as session:
            session.execute("select 1")
            time.sleep(0.6)
            assert not lives_idle(platform, credential.handle)
        found = platform.examine([ORDERS], datetime.now(UTC))
        (hidden,) = [each for each in found if "track_activities" in each.hint]
        assert not hidden.stops
    finally:
        server.run("alter system reset track_activities", "select pg_reload_conf()")
    platform.cut(Account(credential.handle))
    platform.tidy(Account(credential.handle))
