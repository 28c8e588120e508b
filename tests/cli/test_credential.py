"""A credential is its minter's or nothing: what brokers bring is checked before it is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from breakglass.cli import credential
from breakglass.cli.credential import Opened
from breakglass.errors import UnavailableError
from tests.kit.lying_broker import Responder, responder
from tests.kit.organisation import NOW
from tests.kit.postgres import Postgres, start_postgres


@pytest.fixture
def mira(tmp_path: Path) -> Iterator[Responder]:
    with responder(tmp_path) as found:
        yield found


EVIL = {"host": "evil.example", "port": 5432, "dbname": "orders", "user": "bg_x", "password": "y"}


def run(mira: Responder) -> Any:
    return mira.types("breakglass", "run", mira.grant, "--", "printenv", "PGHOST", "PGUSER")


def test_what_the_grants_minter_handed_out_is_set_for_one_command(mira: Responder) -> None:
    said = mira.breaks()
    assert said.code == 0, said.err
    done = run(mira)
    assert (done.code, done.out.split("\n")[0]) == (0, "orders.example"), done.err


@pytest.mark.parametrize("who", ["broker", "gate:orders-write", "monitor"])
def test_a_credential_of_somebody_else_than_the_minter_sets_nothing_and_runs_nothing(
    mira: Responder, who: str
) -> None:
    """The attack: a broker of one's own seals its own login to the holder key that it saw."""
    assert mira.breaks().code == 0
    (folder,) = (mira.home / "state" / "breakglass" / "grants").glob("g-*")
    (folder / "answer.json").unlink()
    broken = mira.broker.broken[mira.grant]
    evil = mira.broker.minted(broken, who, EVIL)
    for lie in (evil, {**evil, "handout": mira.broker.minted(broken)["handout"]}, {"sealed": ""}):
        mira.broker.lie["/grants/…/credential"] = lambda _, lie=lie: lie
        done = run(mira)
        assert done.code == 4, done.err
        assert done.out == ""
        assert "is not its minter's" in done.err
        assert "nothing was opened" in done.err
        assert "evil.example" not in done.err


def test_a_credential_that_was_changed_on_disk_is_not_opened_either(mira: Responder) -> None:
    assert mira.breaks().code == 0
    path = mira.home / "state" / "breakglass" / "grants" / mira.grant / "answer.json"
    text = path.read_text()
    path.write_text(text.replace("orders.example", "evil.example"))
    assert path.read_text() != text
    done = run(mira)
    assert (done.code, done.out) == (4, "")


OURS = Opened("postgres", NOW, {"host": "a,b", "port": "1,2", "dbname": "o", "user": "bg_x"})


def test_nothing_of_the_shell_leads_elsewhere_and_host_lists_arrive_as_they_are() -> None:
    """(H-5)"""
    shell = {"PGSERVICE": "prod", "PGHOSTADDR": "9", "PGPASSFILE": "p", "PGOPTIONS": "-c x=1"}
    shell |= {"PGREQUIREAUTH": "none", "PGSSLMODE": "disable", "PGSYSCONFDIR": "/x", "PATH": "/bin"}
    assert credential.environment(shell, OURS) == {
        "PATH": "/bin", "PGHOST": "a,b", "PGPORT": "1,2", "PGDATABASE": "o", "PGUSER": "bg_x",
    }  # fmt: skip
    assert credential.environment(shell, None) == shell


def test_what_a_program_gives_stands_under_names_of_ours() -> None:
    values = {"user": "bg_1", "password": "x", "host": "10.0.0.9", "port": 6379}
    shell = {"BREAKGLASS_CREDENTIAL_URL": "elsewhere", "PGHOST": "kept"}
    found = credential.environment(shell, Opened("command", NOW, values))
    assert found == {
        "PGHOST": "kept",
        "BREAKGLASS_CREDENTIAL_USER": "bg_1",
        "BREAKGLASS_CREDENTIAL_PASSWORD": "x",
        "BREAKGLASS_CREDENTIAL_HOST": "10.0.0.9",
        "BREAKGLASS_CREDENTIAL_PORT": "6379",
    }


@pytest.mark.parametrize(
    ("platform", "more", "says"),
    [
        ("postgres", {"LD_PRELOAD": "/x"}, "'LD_PRELOAD' of a credential for 'postgres'"),
        ("postgres", {"passfile": "/x"}, "'passfile' of a credential"),
        ("kubernetes", {}, "a credential for 'kubernetes'"),
    ],
)
def test_what_this_client_cannot_hand_over_is_refused_and_never_dropped(
    platform: str, more: dict[str, str], says: str
) -> None:
    with pytest.raises(UnavailableError, match="cannot hand over") as caught:
        credential.environment({}, Opened(platform, NOW, {**OURS.values, **more}))
    assert says in str(caught.value)


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    server = start_postgres()
    server.run("create role app login password 'app'", "create role bg_x login password 'bg'")
    yield server
    server.close()


def login(database: Postgres, user: str, password: str) -> Opened:
    values = {"host": "127.0.0.1", "port": database.port, "dbname": "postgres"}
    return Opened("postgres", NOW, {**values, "user": user, "password": password})


def test_the_target_says_who_we_are_before_anything_else_runs_there(
    mira: Responder, database: Postgres
) -> None:
    """R8: PGSERVICE led elsewhere, PGHOSTADDR and PGREQUIREAUTH stopped it, PGOPTIONS passed."""
    mira.broker.connect = {"host": "127.0.0.1", "port": database.port, "dbname": "postgres"}
    mira.broker.platform = "postgres"
    services = mira.cwd / "services"
    services.write_text(
        f"[prod]\nhost=127.0.0.1\nport={database.port}\nuser=app\npassword=app\ndbname=postgres\n"
    )
    mira.extra |= {"PGSERVICEFILE": str(services), "PGSERVICE": "prod", "PGHOSTADDR": "192.0.2.1"}
    mira.extra |= {"PGREQUIREAUTH": "none", "PGOPTIONS": "-c search_path=evil"}
    assert mira.breaks().code == 0
    handle = mira.broker.broken[mira.grant].intent.handle
    database.run(f"create role {handle} login password 'x'")
    question = ("-c", "select current_user || current_setting('search_path')", "-XAtq")
    done = mira.types("breakglass", "psql", mira.grant, "--", *question)
    assert (done.code, done.out.strip()) == (0, f'{handle}"$user", public'), done.err
    database.run(f"alter role {handle} rename to elsewhere")
    done = mira.types("breakglass", "psql", mira.grant, "--", *question)
    assert (done.code, done.out) == (5, "")
    assert "password authentication failed" in done.err  # the target's own words, whole


def test_a_login_that_the_target_knows_by_another_name_runs_nothing(database: Postgres) -> None:
    database.run("alter role bg_x set role to app", "grant app to bg_x")
    found = login(database, "bg_x", "bg")
    environment = credential.environment(os.environ, found)
    with pytest.raises(Exception, match="says that we are 'app', the grant is 'bg_x'") as caught:
        credential.probe(found, environment)
    assert getattr(caught.value, "name", "") == "wrong_user"
    credential.probe(None, environment)
