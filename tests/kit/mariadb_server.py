"""A real MariaDB for tests, on its own socket, with a minter of the least right; gone with us."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import RefusedError
from tests.kit.minter_program import ENVIRONMENT, PROGRAMS, WITHIN_S, settings_argv

MINTER, MINTER_PASSWORD = "breakglass_minter", "of-the-minter-for-tests"
START_WITHIN_S = 60
MADE = """
create database orders;
create table orders.orders(id int primary key, state varchar(20));
insert into orders.orders values (1, 'stuck');
create table orders.secrets(id int primary key);
create role orders_repair;
grant select, update on orders.orders to orders_repair;
create role orders_builder;
grant create view, select, event on orders.* to orders_builder;
create role payroll;
"""
LET_IN = f"""
alter user {MINTER}@'%' identified by '{MINTER_PASSWORD}' account unlock;
grant orders_repair to {MINTER}@'%' with admin option;
grant orders_builder to {MINTER}@'%' with admin option;
"""
# Stands for the client 'mariadb': passes so many statements on, then kills who called it.
KILLING_CLIENT = """#!{python}
import os, signal, subprocess, sys
left = open({counter!r}, "r+")
steps = int(left.read())
statements = sys.stdin.read().split(";\\n")[:-1]
passed = statements[:steps]
done = subprocess.run(
    [{client!r}, *sys.argv[1:]], input="".join(each + ";\\n" for each in passed).encode(),
    close_fds=False,
)
if len(passed) < len(statements):
    os.kill(os.getppid(), signal.SIGKILL)
left.seek(0); left.truncate(); left.write(str(steps - len(passed))); left.close()
sys.exit(done.returncode)
"""


class Session:
    """One connection: a client that reads statements from a pipe."""

    def __init__(self, folder: Path, login: dict[str, Any]) -> None:
        file = Path(tempfile.mkstemp(dir=folder, suffix=".cnf")[1])
        file.write_text("[client]\n" + "".join(f'{key}="{text}"\n' for key, text in login.items()))
        self.client = subprocess.Popen(
            ["mariadb", f"--defaults-file={file}", "-BNn", "--unbuffered", "--skip-reconnect"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # a line that lay in a buffer here would not be seen by select
        )
        try:
            self.run("select 'in'")
        except ConnectionError as error:
            raise RefusedError(f"mariadb: {error}") from error

    def run(self, statement: str) -> list[str]:
        """Run a statement and return its lines; ``ConnectionError`` where it or the session fails.

        The client ends at its first error, and the session with it.
        """
        assert self.client.stdin
        assert self.client.stdout
        assert self.client.stderr
        with contextlib.suppress(BrokenPipeError):
            self.client.stdin.write(f"{statement};\nselect 'end of it';\n".encode())
            self.client.stdin.flush()
        lines = []
        while True:
            ready = select.select([self.client.stdout], [], [], START_WITHIN_S)[0]
            line = self.client.stdout.readline().decode() if ready else ""
            if not line:
                self.client.kill()
                raise ConnectionError(self.client.stderr.read().decode().strip())
            if line == "end of it\n":
                return lines
            lines.append(line.rstrip("\n"))


@dataclass
class MariadbTarget:
    """A server, ``mariadb-minter`` and a sibling; see ``ProgramTarget``."""

    folder: Path
    process: subprocess.Popen[bytes]
    sessions: list[Session] = field(default_factory=list)

    @property
    def argv(self) -> list[str]:
        """Return the program with the settings of the minter ``orders-db``."""
        return self.program("orders-db")

    @property
    def sibling(self) -> list[str]:
        """Return the program with the settings of another minter."""
        return self.program("billing-db")

    def program(self, name: str) -> list[str]:
        """Write settings and return the program that reads them."""
        client = {"socket": self.socket, "user": MINTER, "password": MINTER_PASSWORD}
        settings = {"name": name, "client": client}
        return settings_argv("mariadb-minter", self.folder / f"{name}.json", settings)

    @property
    def socket(self) -> str:
        """Return the server's socket."""
        return str(self.folder / "socket")

    def scope(self) -> dict[str, list[str]]:
        """Return a scope that means something here."""
        return {"roles": ["orders_repair"]}

    def run(self, sql: str, user: str = "root", password: str = "") -> list[str]:
        """Run statements, as root if nothing else is said, and return the lines of the answers."""
        return _run(self.folder, sql, user, password)

    def log_in(self, secret: dict[str, Any]) -> Session:
        """Open a holder's session."""
        self.sessions.append(Session(self.folder, secret))
        return self.sessions[-1]

    def works(self, session: object) -> bool:
        """Say whether a session lives."""
        assert isinstance(session, Session)
        try:
            return session.run("select 1") == ["1"]
        except ConnectionError:
            return False

    def away(self) -> None:
        """Kill the server."""
        self.process.kill()
        self.process.wait(20)

    def back(self) -> None:
        """Start it again."""
        self.process = _start(self.folder)

    def killed_after(self, steps: int, verb: str, order: dict[str, Any]) -> bool:
        """Call with a client that kills the program when it passed so many statements on."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        (place / "left").write_text(str(steps))
        client = place / "mariadb"
        real, counter = shutil.which("mariadb"), str(place / "left")
        client.write_text(
            KILLING_CLIENT.format(python=sys.executable, counter=counter, client=real)
        )
        client.chmod(0o700)
        done = subprocess.run(
            [*self.argv, verb],
            input=json.dumps(order).encode(),
            capture_output=True,
            env={**ENVIRONMENT, "PATH": f"{place}:{ENVIRONMENT['PATH']}"},
            timeout=WITHIN_S,
            check=False,
        )
        return done.returncode == -signal.SIGKILL

    def close(self) -> None:
        """Stop the server and remove everything."""
        for each in self.sessions:
            each.client.kill()
            each.client.communicate()
        self.away()
        shutil.rmtree(self.folder, ignore_errors=True)


def start_mariadb() -> MariadbTarget:
    """Start a server; skip the test where none is installed."""
    for each in ("mariadbd", "mariadb-install-db", "mariadb"):
        if shutil.which(each) is None:
            pytest.skip(f"{each} is not installed; make system installs mariadb-server")
    folder = Path(tempfile.mkdtemp(prefix="breakglass-mariadb-"))
    subprocess.run(
        [
            *("mariadb-install-db", "--no-defaults", f"--datadir={folder / 'data'}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db", *_as_root()),
        ],
        check=True,
        capture_output=True,
    )
    target = MariadbTarget(folder, _start(folder))
    try:
        target.run(MADE + (PROGRAMS / "mariadb-minter.sql").read_text() + LET_IN)
    except BaseException:
        target.close()
        raise
    return target


@contextlib.contextmanager
def mariadb_target() -> Iterator[MariadbTarget]:
    """Give a target, and take it away."""
    target = start_mariadb()
    try:
        yield target
    finally:
        target.close()


def _as_root() -> list[str]:
    return ["--user=root"] if os.getuid() == 0 else []


def _run(folder: Path, sql: str, user: str, password: str) -> list[str]:
    options = Path(tempfile.mkstemp(dir=folder, suffix=".cnf")[1])
    login = {"socket": folder / "socket", "user": user, "password": password}
    options.write_text("[client]\n" + "".join(f'{key}="{text}"\n' for key, text in login.items()))
    done = subprocess.run(
        ["mariadb", f"--defaults-file={options}", "-BN"],
        input=sql,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise RefusedError(f"mariadb: {done.stderr.strip()}")
    return done.stdout.splitlines()


def _start(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                *("mariadbd", "--no-defaults", f"--datadir={folder / 'data'}", *_as_root()),
                *(f"--socket={folder / 'socket'}", "--skip-networking", "--event-scheduler=ON"),
                f"--pid-file={folder / 'pid'}",
                *("--innodb-buffer-pool-size=16M", f"--general-log-file={folder / 'statements'}"),
            ],
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,
        )
    until = time.monotonic() + START_WITHIN_S
    while True:
        with contextlib.suppress(RefusedError):
            _run(folder, "select 1", "root", "")
            return process
        if time.monotonic() > until or process.poll() is not None:
            raise RuntimeError(f"MariaDB did not start: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.1)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


__all__ = [
    "MINTER",
    "MINTER_PASSWORD",
    "MariadbTarget",
    "Session",
    "mariadb_target",
    "start_mariadb",
]
