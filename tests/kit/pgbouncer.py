"""A real pgbouncer before a real PostgreSQL: roles log in through it by ``auth_query``.

It keeps no list of users: what it knows of a role it asks the target for at each login, by
``LOOKUP``, so a role that was made a moment ago gets in and one that is shut out does not.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
import pytest

from breakglass.demo.server_place import ServerPlace, make_server_place
from tests.kit.port_rows import own_port
from tests.kit.postgres import PASSWORD, Postgres, die_with_parent

_PROGRAM = "/usr/sbin/pgbouncer"
_START_WITHIN_S = 60
LOOKUP = """\
create function pgbouncer_lookup(name text) returns table(role text, verifier text)
  language sql security definer set search_path = pg_catalog, pg_temp as $$
    select rolname, rolpassword from pg_authid where rolname = name and rolcanlogin
      and not rolsuper and (rolvaliduntil is null or rolvaliduntil > now()) $$;
revoke all on function pgbouncer_lookup(text) from public;
grant execute on function pgbouncer_lookup(text) to pgbouncer;"""
"""What ``docs/reference/minters.md`` shows, run in each database."""


@dataclass
class Pooler:
    """A running pgbouncer."""

    place: ServerPlace
    port: int
    process: subprocess.Popen[bytes]

    def connect(self, user: str, password: str, dbname: str = "orders") -> psycopg.Connection:
        """Log in through it, each statement committed."""
        where = {"host": "127.0.0.1", "port": self.port, "dbname": dbname}
        found: psycopg.Connection = psycopg.connect(
            **where, user=user, password=password, connect_timeout=5, autocommit=True
        )
        return found

    def lets_in(self, user: str, password: str, dbname: str = "orders") -> bool:
        """Log in through it and ask something, which takes a session of the target."""
        try:
            with self.connect(user, password, dbname) as session:
                session.execute("select 1")
        except psycopg.Error:
            return False
        return True

    def show(self, what: str) -> list[tuple[object, ...]]:
        """Ask its own console."""
        console = self.connect("pgbouncer", PASSWORD, "pgbouncer")
        try:
            with psycopg.ClientCursor(console) as cursor:  # it knows no prepared statements
                return cursor.execute(f"show {what}".encode()).fetchall()
        finally:
            console.close()

    def log(self) -> str:
        """Return what it wrote."""
        return (self.place.folder / "log").read_text("utf-8", "replace")

    def close(self) -> None:
        """Stop it and remove everything."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.place.remove()


def prepare_lookup(server: Postgres, databases: Sequence[str] = ("orders", "billing")) -> None:
    """Make the pooler's own role, and what it asks of roles, in each database."""
    server.run(f"create role pgbouncer login password '{PASSWORD}'")
    for each in databases:
        server.run(f"grant connect on database {each} to pgbouncer")
        server.run(LOOKUP, dbname=each)


@contextlib.contextmanager
def pgbouncer(
    server: Postgres,
    mode: str = "session",
    *,
    databases: str = "",
    query: str = "select role, verifier from public.pgbouncer_lookup($1)",
    settings: str = "",
) -> Iterator[Pooler]:
    """Run a pooler before a server; skip the test where none is installed.

    Args:
        mode: its ``pool_mode``.
        databases: lines of its section ``[databases]``, each with ``{server}`` for the target;
            all of the target's databases if empty.
        query: its ``auth_query``.
        settings: further lines of its section ``[pgbouncer]``.
    """
    if not shutil.which(_PROGRAM):
        pytest.skip("pgbouncer is not installed; make system installs it")
    place, port = make_server_place(), own_port()
    target = f"host=127.0.0.1 port={server.port}"
    users, rules = place.folder / "users", place.folder / "pgbouncer.ini"
    users.write_text(f'"pgbouncer" "{PASSWORD}"\n')
    rules.write_text(
        f"[databases]\n{(databases or '* = {server}').format(server=target)}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {users}\nauth_user = pgbouncer\n"
        f"auth_query = {query}\nadmin_users = pgbouncer\npool_mode = {mode}\n"
        f"default_pool_size = 4\nserver_login_retry = 0\n{settings}\n"
    )
    for each in (users, rules):
        place.give(each)
    with (place.folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [_PROGRAM, rules],
            stdout=log,
            stderr=log,
            cwd=place.folder,
            preexec_fn=die_with_parent,
            **place.as_user(),
        )
    found = Pooler(place, port, process)
    try:
        _wait(found)
        yield found
    finally:
        found.close()


def _wait(pooler: Pooler) -> None:
    until = time.monotonic() + _START_WITHIN_S
    while True:
        try:
            pooler.show("version")
        except psycopg.OperationalError:
            if time.monotonic() > until or pooler.process.poll() is not None:
                raise RuntimeError(f"pgbouncer did not start: {pooler.log()[-2000:]}") from None
            time.sleep(0.02)
        else:
            return
