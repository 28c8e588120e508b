"""Holders behind a real pgbouncer: session pooling works to the end, other modes are refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from breakglass.errors import MisconfiguredError, RefusedError, UnavailableError
from breakglass.minter.platforms.platform import Account, Credential, Finding
from breakglass.minter.platforms.postgres import Postgres as Platform
from breakglass.minter.platforms.postgres import PostgresSettings
from breakglass.minter.platforms.postgres_dsn import read_dsn
from tests.kit.pgbouncer import LOOKUP, Pooler, pgbouncer, prepare_lookup
from tests.kit.postgres import MAJORS, bg_roles, ruled
from tests.kit.postgres_grants import ORDERS, Place, started

BILLING = {"databases": ("billing",), "templates": ("breakglass_both",), "may": ("create",)}
UNBOUNDED = "select rolname, rolpassword from pg_authid where rolname = $1"


@pytest.fixture(scope="module", params=MAJORS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    found = started(request.param)
    prepare_lookup(found.server)
    yield found
    found.platform.close()
    found.server.close()


@dataclass
class Pooled(Place):
    """The same server, whose holders are sent to a pooler."""

    pooler: Pooler

    def holder(self, made: Credential, dbname: str = "orders") -> psycopg.Connection:
        assert made.secret["port"] == self.pooler.port
        return self.pooler.connect(made.handle, str(made.secret["password"]), dbname)

    def again(self, made: Credential) -> bool:
        return self.pooler.lets_in(made.handle, str(made.secret["password"]))

    def sessions(self, made: Credential) -> list[str]:
        return self.server.column(
            f"select state from pg_stat_activity where usename = '{made.handle}'"
        )

    def examine(self, *scopes: dict[str, tuple[str, ...]]) -> list[Finding]:
        return [
            each
            for each in self.platform.examine(scopes or [ORDERS], datetime.now(UTC))
            if "where holders connect" in each.says
        ]


def behind(place: Place, pooler: Pooler) -> Pooled:
    settings = PostgresSettings(place.dsn, host="127.0.0.1", port=pooler.port)
    platform = Platform(settings, "orders-db", "ledger.example/one")
    return Pooled(place.server, platform, place.dsn, pooler)


def test_in_session_pooling_a_grant_works_and_ends_as_without_a_pooler(place: Place) -> None:
    with pgbouncer(place.server) as pooler:
        here = behind(place, pooler)
        assert here.examine() == []
        made = here.mint(ORDERS)
        assert here.platform.probe(made) == f"logged in to 'orders' as '{made.handle}'"
        with here.holder(made) as session, here.holder(made) as other:
            session.execute("set work_mem = '7MB'; begin; update orders set state = 'x'")
            assert other.execute("show work_mem").fetchone() != ("7MB",)
            with pytest.raises(RefusedError, match=r"sessions of .* are live"):
                here.platform.probe_dead(Account(made.handle))
            assert here.platform.cut(Account(made.handle)) == 2
            for each in (session, other):
                with pytest.raises(psycopg.OperationalError):
                    each.execute("select 1")
        assert not here.again(made)
        assert here.sessions(made) == []
        assert "login refused" in here.platform.probe_dead(Account(made.handle))
        assert here.platform.tidy(Account(made.handle)) == ()
        assert not here.again(made)
        assert made.handle not in bg_roles(place.server)
        here.platform.close()


def test_an_idle_session_that_a_pooler_keeps_is_cut_too_and_proves_life_until_then(
    place: Place,
) -> None:
    """pgbouncer keeps the target's session of a role for the next login of the same role."""
    with pgbouncer(place.server) as pooler:
        here = behind(place, pooler)
        made = here.mint(ORDERS)
        with here.holder(made) as session:
            session.execute("select 1")
        assert here.sessions(made) == ["idle"]  # nobody is logged in, and it stands
        place.server.run(f"alter role {made.handle} nologin")
        with pytest.raises(RefusedError, match=r"1 sessions of .* are live") as caught:
            here.platform.probe_dead(Account(made.handle))
        assert caught.value.name == "alive"
        assert here.platform.cut(Account(made.handle)) == 1
        assert here.sessions(made) == []
        assert not here.again(made)
        here.platform.probe_dead(Account(made.handle))
        assert here.platform.tidy(Account(made.handle)) == ()

        idle = here.mint(ORDERS)
        with here.holder(idle) as session:
            session.execute("select 1")
        assert not here.platform.used_within(Account(idle.handle), timedelta(0))
        assert here.platform.cut_idle(Account(idle.handle)) == 1
        assert not here.again(idle)
        assert here.platform.tidy(Account(idle.handle)) == ()
        here.platform.close()


def test_a_grants_own_end_holds_through_a_pooler_that_asks_for_it(place: Place) -> None:
    """``VALID UNTIL`` is looked at for new sessions of the target, and a pooler has old ones."""
    for query, late in ((None, False), (UNBOUNDED, True)):
        how = {"query": query} if query else {}
        if query:
            place.server.run("alter role pgbouncer superuser")
        with pgbouncer(place.server, **how) as pooler:
            here = behind(place, pooler)
            made = here.mint(ORDERS)
            with here.holder(made) as session:
                session.execute("select 1")
            assert here.again(made)
            # Its end comes, and no minter: what a crash of the minter's machine leaves.
            place.server.run(f"alter role {made.handle} valid until '2020-01-01'")
            assert here.again(made) is late
            assert here.platform.cut(Account(made.handle)) == 1
            assert not here.again(made)
            here.platform.probe_dead(Account(made.handle))
            assert here.platform.tidy(Account(made.handle)) == ()
            here.platform.close()
    place.server.run("alter role pgbouncer nosuperuser")


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("turns", [0, 1])
def test_another_mode_is_refused_by_name_before_anything_is_handed_out(
    place: Place, mode: str, turns: int
) -> None:
    with pgbouncer(place.server, mode, settings=f"server_round_robin = {turns}") as pooler:
        here = behind(place, pooler)
        (finding,) = here.examine()
        assert finding.stops
        assert f"(pool_mode {mode}); its grants are refused" in finding.says
        assert "pool_mode = session" in finding.hint
        for busy in (False, True):
            made = here.mint(ORDERS)
            if busy:  # sessions that lie in the pool from before
                logins = [here.holder(made) for _ in range(3)]
                for each in logins:
                    each.execute("select pg_sleep(0.05)")
                    each.close()
            with pytest.raises(RefusedError, match=rf"\(pool_mode {mode}\)") as caught:
                here.platform.probe(made)
            assert caught.value.name == "pool_mode"
            assert here.ended(made) == ()
            assert not here.again(made)
        here.platform.close()


def test_each_database_of_a_pooler_is_looked_at_for_itself(place: Place) -> None:
    lines = "billing = {server} pool_mode=transaction\norders = {server}"
    with pgbouncer(place.server, databases=lines) as pooler:
        here = behind(place, pooler)
        assert here.examine() == []
        (finding,) = here.examine(ORDERS, BILLING)
        assert "database 'billing' at 127.0.0.1:" in finding.says
        here.platform.close()


def test_a_pooler_that_logs_everybody_in_as_one_role_is_refused(place: Place) -> None:
    place.server.run("create role shared login")
    place.server.run("grant connect on database orders to shared")
    # Its password would not do: pgbouncer 1.18 offers what the client proved, for whichever user.
    rule = "host orders shared 127.0.0.1/32 trust"
    lines = "orders = {server} user=shared"
    with ruled(place.server, rule), pgbouncer(place.server, databases=lines) as pooler:
        here = behind(place, pooler)
        (finding,) = here.examine()
        assert finding.stops
        assert "logs 'breakglass_minter' in as 'shared'" in finding.says
        made = here.mint(ORDERS)
        with pytest.raises(UnavailableError, match="logged in as another than"):
            here.platform.probe(made)
        assert here.ended(made) == ()
        here.platform.close()
    place.server.run("revoke connect on database orders from shared", "drop role shared")


def test_a_pooler_that_is_away_or_lets_the_minter_not_in_is_told(place: Place) -> None:
    mine = "select role, verifier from pgbouncer_lookup($1) where role like 'bg\\_%'"
    with pgbouncer(place.server, query=mine) as pooler:
        here = behind(place, pooler)
        (finding,) = here.examine()
        assert not finding.stops  # each mint tries it, by the grant's own login
        assert "could not be tried" in finding.says
        made = here.mint(ORDERS)
        here.platform.probe(made)
        assert here.ended(made) == ()
    (finding,) = here.examine()
    assert finding.stops
    assert finding.says.startswith("cannot reach database 'orders' at 127.0.0.1:")
    here.platform.close()


def test_a_pooler_with_one_session_for_a_role_hands_nothing_out_and_says_why(
    place: Place,
) -> None:
    with pgbouncer(place.server, settings="default_pool_size = 1") as pooler:
        here = behind(place, pooler)
        made = here.mint(ORDERS)
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="gives no second session") as caught:
            here.platform.probe(made)
        assert time.monotonic() - began < 30  # the pooler itself would wait 120 s
        assert "pool_size" in caught.value.hint
        assert here.ended(made) == ()
        here.platform.close()


def test_the_minters_own_sessions_take_no_pooler(place: Place) -> None:
    for settings, says in (
        ("", "unsupported startup parameter"),
        ("ignore_startup_parameters = options", "a pooler stands between"),
    ):
        with pgbouncer(place.server, settings=settings) as pooler:
            own = {**read_dsn(place.dsn), "port": pooler.port}
            dsn = psycopg.conninfo.make_conninfo("", **own)
            platform = Platform(PostgresSettings(dsn), "orders-db", "ledger.example/one")
            here = replace(behind(place, pooler), platform=platform)
            (finding,) = platform.examine([ORDERS], datetime.now(UTC))
            assert says in finding.says
            assert finding.stops
            with pytest.raises((MisconfiguredError, UnavailableError)):
                here.mint(ORDERS)
            platform.close()
    assert bg_roles(place.server) == []


def test_the_page_shows_what_the_pooler_asks() -> None:
    page = Path("docs/reference/minters.md").read_text("utf-8")
    assert LOOKUP in page
    assert "auth_query = select role, verifier from public.pgbouncer_lookup($1)" in page
