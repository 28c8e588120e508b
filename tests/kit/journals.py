"""Journals on the tests' PostgreSQL: each in a database of its own, used by a plain role."""

from __future__ import annotations

import secrets

import psycopg

from tests.kit.postgres import PASSWORD, Postgres
from tests.kit.processes import until


def journal_database(server: Postgres) -> str:
    """Make an empty database and a role that owns it and nothing else; returns its DSN."""
    name = f"ledger_{secrets.token_hex(6)}"
    server.run(
        f"create role {name} login password '{PASSWORD}'",
        f"create database {name} owner {name}",
    )
    return server.dsn(name, PASSWORD, name)


def wait_gone(dsn: str) -> None:
    """Wait until nobody else has a session in this database."""
    query = "select count(*) from pg_stat_activity where datname = current_database()"
    with psycopg.connect(dsn, autocommit=True) as connection:
        until(lambda: connection.execute(query).fetchone() == (1,))
