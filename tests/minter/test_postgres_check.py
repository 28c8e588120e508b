"""Every mistake in the settings or at the target is told before the first grant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from breakglass.errors import MisconfiguredError
from breakglass.minter.platforms import postgres_sessions, postgres_setup
from breakglass.minter.platforms.platform import Finding
from breakglass.minter.platforms.postgres import Postgres as Platform
from breakglass.minter.platforms.postgres import PostgresSettings
from breakglass.minter.platforms.postgres_check import check_settings, check_target
from breakglass.minter.platforms.postgres_dsn import holders_address, read_dsn
from tests.kit.postgres import Postgres, prepare, start_postgres

REPAIR = {"databases": ("orders",), "templates": ("breakglass_orders_repair",)}
WHOLE = "user=minter dbname=orders"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    found = start_postgres()
    yield found
    found.close()


@pytest.fixture(scope="module")
def dsn(server: Postgres) -> str:
    return prepare(server)


def found(dsn: str, *scopes: dict[str, tuple[str, ...]]) -> tuple[Finding, ...]:
    return check_target(dsn, "", 0, scopes, datetime.now(UTC))


@pytest.mark.parametrize(
    ("dsn", "host", "port", "says"),
    [
        (f"host=a,b port=1,2,3 {WHOLE}", "", 0, "2 hosts and 3 ports"),
        (f"host=a port=0 {WHOLE}", "", 0, "port '0' is none"),
        (f"host=a port=five {WHOLE}", "", 0, "port 'five' is none"),
        (f"host=a, {WHOLE}", "", 0, "have an empty place"),
        (f"host=a,b hostaddr=127.0.0.1 {WHOLE}", "", 0, "2 hosts and 1 addresses"),
        (f"host=/run/postgresql {WHOLE}", "", 0, "is a socket"),
        (WHOLE, "", 0, "names no host"),
        ("host=a dbname=orders", "", 0, "names no user"),
        ("host=a user=minter", "", 0, "names no database"),
        (f"service=prod host=a {WHOLE}", "", 0, "names a service"),
        (f"host=a target_session_attrs=standby {WHOLE}", "", 0, "a session that is 'standby'"),
        (f"host=a {WHOLE}", "", 70000, "'postgres.port' is 70000"),
        (f"host=a,b port=1,2 {WHOLE}", "c", 0, "holders are sent to 'c' and the dsn has 2 ports"),
    ],
)
def test_a_dsn_that_cannot_work_stops_the_start(dsn: str, host: str, port: int, says: str) -> None:
    with pytest.raises(MisconfiguredError, match=says):
        Platform(PostgresSettings(dsn, host=host, port=port), "orders-db", "ledger.example/one")


def test_what_is_no_dsn_is_refused_without_repeating_it() -> None:
    with pytest.raises(MisconfiguredError, match="no connection string") as caught:
        check_settings("host=a password='s3cret", "", 0)
    assert "s3cret" not in f"{caught.value}{caught.value.hint}"


def test_a_dsn_that_leaves_the_machine_unencrypted_is_told_and_works() -> None:
    (finding,) = check_settings(f"host=db.internal {WHOLE}", "", 0)
    assert "sslmode 'prefer'" in finding.says
    assert not finding.stops
    for enough in ("host=127.0.0.1", "host=db.internal sslmode=verify-full", "host=localhost"):
        assert check_settings(f"{enough} {WHOLE}", "", 0) == ()


def test_holders_are_sent_where_the_dsn_says_lists_and_all() -> None:
    for dsn, host, port, wanted in (
        ("host=a,b port=5518,5519", "", 0, ("a,b", "5518,5519")),
        ("host=a,b port=5518,5518", "", 0, ("a,b", 5518)),
        ("host=a,b", "", 0, ("a,b", 5432)),
        ("hostaddr=192.0.2.7 port=6000", "", 0, ("192.0.2.7", 6000)),
        ("host=/run/postgresql", "db.internal", 0, ("db.internal", 5432)),
        ("host=a port=1", "b", 2, ("b", 2)),
        ("postgresql://a:1,b:2/x", "", 0, ("a,b", "1,2")),
    ):
        assert holders_address(read_dsn(dsn), host, port) == wanted


def test_a_target_as_it_should_be_has_no_finding(dsn: str) -> None:
    assert found(dsn, REPAIR) == ()


def test_each_right_that_is_missing_is_told_with_the_sql_that_mends_it(
    server: Postgres, dsn: str
) -> None:
    for undo, scope, says in (
        ('revoke "breakglass_orders_repair" from "breakglass_minter"', REPAIR, "may not hand out"),
        ('alter role "breakglass_minter" nocreaterole', REPAIR, "may not create roles"),
        ('revoke connect on database "orders" from "breakglass_orders_repair"', REPAIR,
         "'breakglass_orders_repair' may not connect"),
        ('revoke connect on database "billing" from "breakglass_minter"',
         {"databases": ("billing",), "templates": ("breakglass_both",), "may": ("create",)},
         "minter may not connect"),
    ):  # fmt: skip
        server.run(undo)
        (finding,) = found(dsn, scope)
        assert says in finding.says
        assert finding.stops
        server.run(finding.hint)
        assert found(dsn, scope) == ()


def test_a_template_that_can_leave_something_behind_is_told_unless_the_card_says_so(
    server: Postgres, dsn: str
) -> None:
    both = {"databases": ("billing", "orders"), "templates": ("breakglass_both",)}
    told = found(dsn, both)
    assert len(told) == 2  # one for each database
    for finding in told:
        assert "create on schema public" in finding.says
        assert "may_create: true" in finding.hint
    assert found(dsn, {**both, "may": ("create",)}) == ()
    for give, take, says in (
        ("grant trigger on orders to breakglass_orders_repair",
         "revoke trigger on orders from breakglass_orders_repair", "trigger on public.orders"),
        ("alter table secrets owner to breakglass_orders_repair",
         "alter table secrets owner to postgres", "it owns table public.secrets"),
        ("grant create on database orders to breakglass_orders_repair",
         "revoke create on database orders from breakglass_orders_repair",
         "create on database orders"),
        ("grant pg_execute_server_program to breakglass_orders_repair",
         "revoke pg_execute_server_program from breakglass_orders_repair",
         "member of pg_execute_server_program"),
        ("grant select on secrets to breakglass_orders_repair with grant option",
         "revoke all on secrets from breakglass_orders_repair",
         "select on table public.secrets with grant option"),
        ("grant select (id) on secrets to breakglass_orders_repair with grant option",
         "revoke all on secrets from breakglass_orders_repair",
         "select on column id of table public.secrets with grant option"),
        ("grant orders_owner to breakglass_orders_repair with admin option",
         "revoke orders_owner from breakglass_orders_repair", "it may grant orders_owner"),
        ("grant create on schema public to public", "revoke create on schema public from public",
         "create on schema public"),
    ):  # fmt: skip
        server.run(give, dbname="orders")
        assert any(says in each.says for each in found(dsn, REPAIR)), give
        server.run(take, dbname="orders")
    assert found(dsn, REPAIR) == ()


def test_templates_and_databases_that_do_not_exist_are_told(dsn: str) -> None:
    nowhere = {"databases": ("nowhere",), "templates": ("nobody_such",)}
    assert {each.says for each in found(dsn, nowhere)} == {
        "the template 'nobody_such' does not exist",
        "the database 'nowhere' does not exist, or lets nobody in",
    }


def test_a_server_that_is_too_old_says_its_version_at_the_start_and_at_each_mint(
    server: Postgres, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No server below 15 is to be had here: so the bound moves, and the session is a real one.
    monkeypatch.setattr(postgres_setup, "OLDEST_SERVER", server.major + 1)
    says = f"the target is PostgreSQL {server.major}, and a minter needs {server.major + 1}"
    (finding,) = found(dsn, REPAIR)
    assert says in finding.says
    platform = Platform(PostgresSettings(dsn), "orders-db", "ledger.example/one")
    with pytest.raises(MisconfiguredError, match=says):
        platform.handles()
    platform.close()


def test_what_stands_between_and_takes_our_settings_away_is_refused(
    server: Postgres, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a pooler would: what the start-up packet asks for does not arrive.
    monkeypatch.setattr(postgres_sessions, "_startup_options", lambda own, locks: {})
    (finding,) = found(dsn, REPAIR)
    assert "a pooler stands between" in finding.says


def test_a_scope_that_postgres_does_not_take_is_told(dsn: str) -> None:
    (finding,) = found(dsn, {**REPAIR, "source": ("192.0.2.0/24",)})
    assert "the dimension 'source'" in finding.says


def test_a_server_that_asks_for_no_password_is_told(server: Postgres, dsn: str) -> None:
    rules = server.place.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host orders all 127.0.0.1/32 trust\n{before}")
    server.run("select pg_reload_conf()")
    try:
        (finding,) = found(dsn, REPAIR)
        assert "asks for no password at database 'orders'" in finding.says
    finally:
        rules.write_text(before)
        server.run("select pg_reload_conf()")


def test_a_clock_that_is_off_and_a_server_that_is_away_are_told(server: Postgres, dsn: str) -> None:
    late = check_target(dsn, "", 0, [REPAIR], datetime.now(UTC) - timedelta(hours=1))
    assert ["3600 s apart" in each.says or "3599 s apart" in each.says for each in late] == [True]
    away = found(dsn.replace(str(server.port), "1"), REPAIR)
    assert [each.says.partition(": ")[0] for each in away] == [
        "cannot reach the database at 127.0.0.1:1"
    ]
