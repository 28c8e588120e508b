"""docs/how-to/postgres.md, typed as it stands, at a real PostgreSQL."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.isolated import Person, running_up
from tests.kit.postgres import Postgres, bg_roles, start_postgres
from tests.kit.processes import until
from tests.kit.typed_page import acts_of
from tests.scripts.test_minter_commands import psql
from tests.scripts.test_program_minter_page import put_in

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/postgres.md"
EXAMPLE = "g-7kq3m2x4p5ab"


@pytest.fixture
def server() -> Iterator[Postgres]:
    running = start_postgres(major=18)
    try:
        running.run("create database orders")
        running.run(
            "create table orders(id int primary key, state text)",
            "insert into orders values (1, 'stuck')",
            dbname="orders",
        )
        yield running
    finally:
        running.close()


def test_every_line_of_the_page_can_be_typed(tmp_path: Path, server: Postgres) -> None:
    mira = Person.at(tmp_path)
    said = mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key))
    assert said.code == 0, said.err
    acts, grant = acts_of(PAGE), EXAMPLE
    made = next(number for number, each in enumerate(acts) if each.who == "admin")
    for part in (acts[:made], acts[made:]):
        with running_up(mira):
            for act in part:
                if act.file:
                    put_in(mira, act)
                elif act.who == "admin":
                    psql(server, mira.cwd / "orders-db.sql")
                else:
                    line = act.text.replace("port=5432", f"port={server.port}")
                    words = shlex.split(line.replace(EXAMPLE, grant))
                    if words[1:3] == ["minter", "check"]:
                        until(lambda words=words: mira.types(*words).code == 0)
                        continue
                    said = mira.types(*words)
                    assert said.code == 0, f"{line}: {said.err}"
                    grant = said.row("grant") if words[1] == "break" else grant
            if part[-1].text.startswith("breakglass done"):
                until(lambda: bg_roles(server) == [])
    assert server.column("select state from orders", dbname="orders") == ["repaired"]
