"""``standing add``, ``scan`` and ``show``: from an empty folder to what a grant left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.isolated import Person, running_up
from tests.kit.postgres import SUPERUSER, Postgres, start_postgres
from tests.monitor.stand_ins import eventually
from tests.scripts.test_minter_commands import add as minter_add
from tests.scripts.test_minter_commands import psql, put_glass_in


@pytest.fixture
def server() -> Iterator[Postgres]:
    """Run a PostgreSQL with one stuck order in it, and an intern who may write orders."""
    running = start_postgres(major=18)
    try:
        running.run("create database orders")
        running.run(
            "create table orders(id int primary key, state text)",
            "insert into orders values (1, 'stuck')",
            "revoke create on schema public from public",
            "create role intern login",
            "grant update on orders to intern",
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


def standing(person: Person, *words: str) -> Any:
    return person.types("breakglass", "standing", *words, "--org", "org")


def found(person: Person, *words: str) -> dict[str, Any]:
    said = standing(person, *words, "orders-db", "--json")
    assert said.code == 0, said.err
    told: dict[str, Any] = json.loads(said.out)
    return told


def of(told: dict[str, Any], holder: str) -> list[dict[str, Any]]:
    return [each for each in told["standing"] if each["holder"] == holder]


def rung(person: Person) -> str:
    files = (person.cwd / "org" / "monitor").rglob("*.log")
    return "".join(each.read_text() for each in files)


def test_from_standing_add_to_what_a_grant_left_behind(mira: Person, server: Postgres) -> None:
    dsn = f"host=127.0.0.1 port={server.port} dbname=orders"
    words = ("add", "orders-db", "--dsn", dsn, "--sql", "survey.sql", "--sign-here")
    with running_up(mira):
        assert mira.types(*minter_add(server), "--sign-here").code == 0
        made = standing(mira, *words)
        assert made.code == 0, made.err
        again = standing(mira, *words)
        assert (again.code, again.row("changed")) == (0, "nothing; it stood already")
    psql(server, mira.cwd / "orders-db.sql")
    psql(server, mira.cwd / "survey.sql", "orders")
    with running_up(mira):
        put_glass_in(mira)
        first = found(mira, "scan")
        (intern,) = [each for each in of(first, "intern") if each["category"] == "table-write"]
        assert intern["glasses"] == ["orders-repair"]
        assert [each["glasses"] for each in of(first, SUPERUSER)] == [[], []]
        assert first["unknown"] == []
        broke = mira.types("breakglass", "break", "orders-repair", "--why", "x", "--org", "org")
        assert broke.code == 0, broke.err
        grant = broke.row("grant")
        during = found(mira, "scan")
        assert during["granted"]["table-write"] == 1
        assert of(during, f"bg_{grant.removeprefix('g-')}") == []
        server.run("create role sleeper login superuser")
        assert mira.types("breakglass", "done", grant, "--org", "org").code == 0
        eventually(lambda: [e for e in found(mira, "show")["trend"] if e["occasion"] == "ended"])
        shown = standing(mira, "show", "orders-db")
        assert f"LEFT BY {grant}; remove it. Else: no glass of the policy in force" in shown.out
        assert "2 of them left by grants" in shown.out
        assert {each["during"] for each in of(found(mira, "show"), "sleeper")} == {grant}
        eventually(lambda: "LEFT BEHIND at" in rung(mira))
        assert "sleeper" not in rung(mira)
        trend = found(mira, "show")["trend"]
        assert [each["entry"] for each in trend] == sorted(each["entry"] for each in trend)


def test_what_is_not_there_is_said_with_what_makes_it(mira: Person, server: Postgres) -> None:
    said = standing(mira, "show", "orders-db")
    assert (said.code, "no surveyor of 'orders-db' here" in said.err) == (6, True)
    dsn = f"host=127.0.0.1 port={server.port} dbname=orders"
    assert standing(mira, "add", "orders-db", "--dsn", dsn).code == 0
    said = standing(mira, "show", "orders-db")
    assert (said.code, "has never run" in said.err) == (6, True)
    said = standing(mira, "scan", "orders-db")
    assert said.code == 5, said.err
