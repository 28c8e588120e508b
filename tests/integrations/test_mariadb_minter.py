"""What ``mariadb-minter`` does that is MariaDB's own: roles, an end by event, the least right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.clock import parse_time
from breakglass.errors import RefusedError
from tests.kit.mariadb_server import MINTER, MINTER_PASSWORD, MariadbTarget, mariadb_target
from tests.kit.minter_program import call, done, new_order

ENDS_WITHIN_S = 60


@pytest.fixture(scope="module")
def target() -> Iterator[MariadbTarget]:
    with mariadb_target() as found:
        yield found


def lets_in(target: MariadbTarget, minted: dict[str, Any]) -> bool:
    try:
        target.log_in(minted["secret"])
    except RefusedError:
        return False
    return True


def denied(target: MariadbTarget, minted: dict[str, Any], statement: str) -> bool:
    secret = minted["secret"]
    try:
        target.run(statement, secret["user"], secret["password"])
    except RefusedError as error:
        return "denied" in str(error)
    return False


def test_a_role_may_what_it_says_and_nothing_else(target: MariadbTarget) -> None:
    wanted = new_order(target)
    minted = done(target.argv, "mint", wanted)
    session = target.log_in(minted["secret"])
    assert session.run("update orders.orders set state = 'mended'; select row_count()") == ["1"]
    for statement in (
        "delete from orders.orders",
        "select * from orders.secrets",
        "select * from breakglass.accounts",
        "select * from mysql.global_priv",
        "create user mallory",
        "set role payroll",
        "set password for root@localhost = password('x')",
        f"drop event breakglass.{wanted['handle']}",
    ):
        if statement.startswith("set role"):
            with pytest.raises(ConnectionError, match="Invalid role"):
                target.log_in(minted["secret"]).run(statement)
        else:
            assert denied(target, minted, statement), statement
    done(target.argv, "cut", wanted)


@pytest.mark.parametrize("roles", [["payroll"], ["orders_builder", "orders_repair"]])
def test_one_role_that_its_login_may_grant_or_none(target: MariadbTarget, roles: list[str]) -> None:
    wanted = {**new_order(target), "scope": {"roles": roles}}
    answer = call(target.argv, "mint", wanted)
    assert (answer.exit, answer.told["error"]) == (3, "scope_unknown")
    assert target.run(f"select 1 from mysql.global_priv where user = '{wanted['handle']}'") == []
    assert (
        target.run(f"select 1 from breakglass.accounts where handle = '{wanted['handle']}'") == []
    )


def test_the_server_ends_the_login_by_itself_and_the_session_goes_on(
    target: MariadbTarget,
) -> None:
    shortest = done(target.argv, "describe")["shortest_s"]
    wanted = new_order(target, timedelta(seconds=shortest + 4))
    minted = done(target.argv, "mint", wanted)
    session = target.log_in(minted["secret"])
    assert ends_soon(target, minted)
    assert target.works(session)
    assert done(target.argv, "cut", wanted)["sessions"] >= 1  # whoever asked has logged in too
    assert not target.works(session)
    assert done(target.argv, "tidy", wanted) == {"left_behind": []}
    assert target.run("select event_name from information_schema.events") == []


def ends_soon(target: MariadbTarget, minted: dict[str, Any]) -> bool:
    until = time.monotonic() + ENDS_WITHIN_S
    while lets_in(target, minted):
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return True


def test_a_server_that_was_down_at_the_end_ends_the_login_when_it_is_back(
    target: MariadbTarget,
) -> None:
    wanted = new_order(target, timedelta(seconds=8))
    minted = done(target.argv, "mint", wanted)
    target.away()
    time.sleep(max((parse_time(wanted["expires"]) - datetime.now(UTC)).total_seconds(), 0))
    target.back()
    assert ends_soon(target, minted)
    done(target.argv, "cut", wanted)
    done(target.argv, "tidy", wanted)


def test_a_login_that_is_opened_behind_its_end_is_shut_again(target: MariadbTarget) -> None:
    wanted = new_order(target, timedelta(seconds=8))
    minted = done(target.argv, "mint", wanted)
    assert ends_soon(target, minted)
    target.run(f"alter user '{wanted['handle']}' account unlock")
    assert lets_in(target, minted)
    assert ends_soon(target, minted)
    done(target.argv, "cut", wanted)
    done(target.argv, "tidy", wanted)


@pytest.mark.parametrize("lives_s", [-60, 0, 1])
def test_a_life_that_is_over_before_it_begins_is_refused(
    target: MariadbTarget, lives_s: int
) -> None:
    wanted = new_order(target, timedelta(seconds=lives_s))
    long = new_order(target)["expires"]
    done(target.argv, "mint", {**wanted, "expires": long})  # its answer was lost, it is made again
    answer = call(target.argv, "mint", wanted)
    assert (answer.exit, answer.told["error"]) == (3, "life")
    assert wanted["handle"] not in done(target.argv, "list")["handles"]


def test_without_the_event_scheduler_nothing_is_minted_and_the_check_says_so(
    target: MariadbTarget,
) -> None:
    wanted = new_order(target)
    target.run("set global event_scheduler = off")
    try:
        answer = call(target.argv, "mint", wanted)
        findings = done(target.argv, "check", {"scopes": []})["findings"]
    finally:
        target.run("set global event_scheduler = on")
    assert (answer.exit, answer.told["error"]) == (3, "life")
    assert [each["hint"] for each in findings] == ["SET GLOBAL event_scheduler = ON"]
    assert wanted["handle"] not in done(target.argv, "list")["handles"]


def test_what_the_holder_made_keeps_the_account_locked_and_runs_for_nobody(
    target: MariadbTarget,
) -> None:
    wanted = {**new_order(target), "scope": {"roles": ["orders_builder"]}}
    session = target.log_in(done(target.argv, "mint", wanted)["secret"])
    session.run("create view orders.seen as select * from orders.orders")
    done(target.argv, "cut", wanted)
    with pytest.raises(RefusedError, match="references invalid"):
        target.run("select * from orders.seen")
    (left,) = done(target.argv, "tidy", wanted)["left_behind"]
    assert "view orders.seen" in left
    assert wanted["handle"] in left
    done(target.argv, "probe-dead", wanted)
    assert wanted["handle"] in done(target.argv, "list")["handles"]
    target.run("drop view orders.seen")
    assert done(target.argv, "tidy", wanted) == {"left_behind": []}
    assert wanted["handle"] not in done(target.argv, "list")["handles"]


def test_a_login_without_its_role_is_not_probed_well(target: MariadbTarget) -> None:
    wanted = new_order(target)
    minted = done(target.argv, "mint", wanted)
    target.run(f"revoke orders_repair from '{wanted['handle']}'")
    answer = call(target.argv, "probe", {**wanted, **minted})
    assert answer.exit == 5
    assert "without its role" in answer.stderr
    done(target.argv, "cut", wanted)
    done(target.argv, "tidy", wanted)


def test_a_cut_account_has_no_role_and_nothing_due(target: MariadbTarget) -> None:
    wanted = new_order(target)
    events = f"select 1 from information_schema.events where event_name = '{wanted['handle']}'"
    done(target.argv, "mint", wanted)
    assert len(target.run(f"show grants for '{wanted['handle']}'")) == 3  # login, role, default
    assert target.run(events) == ["1"]
    done(target.argv, "cut", wanted)
    granted = target.run(f"show grants for '{wanted['handle']}'")
    assert [each for each in granted if each.startswith("GRANT `orders_repair`")] == []
    assert target.run(events) == []
    done(target.argv, "tidy", wanted)


def test_a_session_of_an_account_that_somebody_dropped_is_cut(target: MariadbTarget) -> None:
    wanted = new_order(target)
    session = target.log_in(done(target.argv, "mint", wanted)["secret"])
    target.run(f"drop user '{wanted['handle']}'")
    assert target.works(session)
    assert call(target.argv, "probe-dead", wanted).told["error"] == "alive"
    assert done(target.argv, "cut", wanted) == {"sessions": 1}
    assert not target.works(session)
    done(target.argv, "probe-dead", wanted)
    done(target.argv, "tidy", wanted)


def test_an_account_that_no_minter_wrote_down_is_left_alone(target: MariadbTarget) -> None:
    wanted = new_order(target)
    target.run(f"create user '{wanted['handle']}' identified by 'of somebody'")
    assert wanted["handle"] not in done(target.argv, "list")["handles"]
    for verb in ("mint", "cut", "tidy"):
        assert call(target.argv, verb, wanted).told["error"] == "refused"
    assert call(target.argv, "probe-dead", wanted).told["error"] == "alive"
    target.run("select 1", wanted["handle"], "of somebody")
    target.run(f"drop user '{wanted['handle']}'")


def test_the_server_knows_the_session_and_its_log_no_secret(target: MariadbTarget) -> None:
    target.run("set global general_log = on")
    wanted = {**new_order(target), "session": "x'); drop table breakglass.accounts; --"}
    minted = done(target.argv, "mint", wanted)
    query = f"select session from breakglass.accounts where handle = '{wanted['handle']}'"
    assert target.run(query) == ["x____drop_table_breakglass.accounts__--"]
    done(target.argv, "cut", wanted)
    target.run("set global general_log = off")
    log = Path(target.folder / "statements").read_text("utf-8", "replace")
    assert wanted["handle"] in log
    assert minted["secret"]["password"] not in log
    assert MINTER_PASSWORD not in log


def test_its_login_reads_no_account_but_the_grants(target: MariadbTarget) -> None:
    for statement in ("select * from mysql.global_priv", "select * from mysql.user"):
        with pytest.raises(RefusedError, match="denied"):
            target.run(statement, MINTER, MINTER_PASSWORD)
    seen = target.run("select handle from breakglass.standing", MINTER, MINTER_PASSWORD)
    assert [each for each in seen if not each.startswith("bg_")] == []


@pytest.mark.parametrize(
    ("right", "named"),
    [
        ("create user on *.*", "CREATE USER"),
        ("connection admin on *.*", "CONNECTION ADMIN"),
        ("event on breakglass.*", "EVENT"),
        ("insert on breakglass.accounts", "INSERT accounts"),
        ("delete on breakglass.accounts", "DELETE accounts"),
        ("select on breakglass.standing", "SELECT standing"),
        ("select on breakglass.sessions", "SELECT sessions"),
        ("select on breakglass.left_behind", "SELECT left_behind"),
    ],
)
def test_its_login_has_the_least_right(target: MariadbTarget, right: str, named: str) -> None:
    wanted = new_order(target)
    session = target.log_in(done(target.argv, "mint", wanted)["secret"])
    target.run(f"revoke {right} from {MINTER}@'%'")
    try:
        fresh = new_order(target)
        lost = [call(target.argv, "mint", fresh)]
        lost += [
            call(target.argv, verb, each) for each in (fresh, wanted) for verb in ("cut", "tidy")
        ]
        (found,) = done(target.argv, "check", {"scopes": []})["findings"]
    finally:
        target.run(f"grant {right} to {MINTER}@'%'")
    assert any(each.exit == 5 for each in lost)
    assert found["says"] == f"the login lacks {named}"
    for order in (wanted, fresh):
        for verb in ("cut", "probe-dead", "tidy"):
            done(target.argv, verb, order)
    assert not target.works(session)
