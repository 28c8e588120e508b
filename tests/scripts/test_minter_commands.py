"""``minter add`` and ``minter check``, against each version of PostgreSQL, to a repaired row."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.isolated import Person, running_up
from tests.kit.postgres import MAJORS, PASSWORD, SUPERUSER, Postgres, start_postgres
from tests.kit.processes import until

GLASS = """
  orders-repair:
    does: repair rows of orders
    blast_radius: contained
    mint: {postgres: {minter: orders-db, database: orders, template: breakglass_orders_repair}}
    for: 20m
    who: [group:oncall]
    review: {due: 3 business days, by: [second]}

channels:"""


@pytest.fixture(params=MAJORS)
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """Run a PostgreSQL with one stuck order in it."""
    running = start_postgres(major=request.param)
    try:
        running.run("create database orders")
        running.run(
            "create table orders(id int primary key, state text)",
            "insert into orders values (1, 'stuck')",
            "revoke create on schema public from public",
            dbname="orders",
        )
        yield running
    finally:
        running.close()


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    person = Person.at(tmp_path)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    return person


def add(server: Postgres) -> tuple[str, ...]:
    return (
        *("breakglass", "minter", "add", "orders-db", "--platform", "postgres"),
        *("--server", str(server.major), "--template", "breakglass_orders_repair"),
        *("--right", "select, update on orders", "--sql", "orders-db.sql"),
        *("--dsn", f"host=127.0.0.1 port={server.port} dbname=orders", "--org", "org"),
    )


def psql(server: Postgres, file: Path, database: str = "postgres") -> None:
    """Run a script as the database's administrator, as the page says."""
    environment = {"PGPASSWORD": PASSWORD, "PATH": "/usr/bin:/bin", "PGHOST": "127.0.0.1"}
    where = ["-U", SUPERUSER, "-p", str(server.port), "-d", database]
    done = subprocess.run(
        [server.place.programs / "psql", "-v", "ON_ERROR_STOP=1", "-q", *where, "-f", file],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def put_glass_in(person: Person) -> None:
    file = person.cwd / "org" / "bundle" / "breakglass.yaml"
    text = file.read_text().replace("version: 1 ", "version: 2 ", 1)
    file.write_text(text.replace("\nchannels:", GLASS, 1))
    git = ["git", "-C", str(file.parent), "-c", "user.name=mira", "-c", "user.email=m@x"]
    subprocess.run([*git, "commit", "-qam", "orders-repair"], check=True)
    for words in (("check",), ("sign", "--sign-here"), ("activate",)):
        said = person.types("breakglass", "policy", *words, "--org", "org")
        assert said.code == 0, said.err


def findings(person: Person) -> list[str]:
    said = person.types("breakglass", "minter", "check", "orders-db", "--org", "org", "--json")
    return [each["says"] for each in json.loads(said.out)["findings"] if each["stops"]]


def test_from_minter_add_to_a_repaired_row(mira: Person, server: Postgres) -> None:
    with running_up(mira):
        made = mira.types(*add(server), "--sign-here")
        assert made.code == 0, made.err
        assert made.row("in").startswith("force   trust file 2, by mira and second")
        # The secret is in the minter's settings alone; what an administrator runs has a verifier.
        script = mira.cwd / "orders-db.sql"
        assert "password 'SCRAM-SHA-256$4096:" in script.read_text()
        assert findings(mira)[0].startswith("the minter does not answer")
        # Typed again: the same password, and nothing is changed.
        again = mira.types(*add(server), "--sign-here")
        assert (again.code, again.row("changed")) == (0, "nothing; it stood already")
    psql(server, script)
    with running_up(mira):
        put_glass_in(mira)
        until(lambda: findings(mira) == [])  # the minter reads the ledger behind the broker
        broke = mira.types("breakglass", "break", "orders-repair", "--why", "stuck", "--org", "org")
        assert broke.code == 0, broke.err
        update = "update orders set state = 'repaired' where id = 1"
        grant = broke.row("grant")
        said = mira.types("breakglass", "psql", "--org", "org", grant, "-c", update)
        assert said.code == 0, said.err
        assert server.column("select state from orders", dbname="orders") == ["repaired"]
        assert mira.types("breakglass", "done", grant, "--org", "org").code == 0


def test_what_is_missing_is_named_with_what_mends_it(mira: Person, server: Postgres) -> None:
    said = mira.types("breakglass", "minter", "check", "orders-db", "--org", "org")
    assert (said.code, "no minter 'orders-db' here" in said.err) == (6, True)
    made = mira.types(*add(server))
    assert made.code == 0, made.err
    assert "next, a maintainer at home: breakglass trust next 'submitter minter:orders-db" in (
        made.err
    )
    said = mira.types("breakglass", "minter", "check", "orders-db", "--org", "org")
    assert said.code == 6
    assert "trust file 1 does not name this minter's key" in said.out
    assert f"cannot reach the database at 127.0.0.1:{server.port}" in said.out
    assert "no glass of the policy in force" in said.out or "the policy in force is" in said.out
    other = [each.replace("dbname=orders", "dbname=billing") for each in add(server)]
    said = mira.types(*other)
    assert (said.code, "a minter with another target" in said.err) == (6, True)
