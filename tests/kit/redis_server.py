"""A real Redis for tests, on its own socket, with a minter of the least right; gone with us."""

from __future__ import annotations

import contextlib
import ctypes
import json
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import RefusedError
from tests.kit.minter_program import ENVIRONMENT, WITHIN_S, settings_argv

ADMIN_PASSWORD, MINTER_PASSWORD = "only-for-tests", "of-the-minter-for-tests"
MINTER = "breakglass_minter"
LEAST = "+acl|list +acl|setuser +acl|deluser +acl|dryrun +client|list +client|kill"
ROLES = {
    "flush-checkout": ["~checkout:*", "+del", "+scan", "+get"],
    "fill-cart": ["~cart:*", "+set"],
    "too-much": ["~*", "+@all"],
    "misspelt": ["~checkout:*", "+dell"],
}
START_WITHIN_S = 60


class Session:
    """One connection. ``run`` takes words without blanks."""

    def __init__(self, path: Path, user: str, password: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(START_WITHIN_S)
        self._socket.connect(str(path))
        self._answers = self._socket.makefile("rb")
        said = self.run("AUTH", user, password)
        if said != "+OK":
            raise RefusedError(f"redis: {said}")

    def run(self, *words: str) -> str:
        """Run one command of the inline form and return the first line of its answer."""
        self._socket.sendall(" ".join(words).encode() + b"\r\n")
        line = self._answers.readline()
        if not line:
            raise ConnectionError("redis closed the connection")
        return line.decode().strip()

    def lines(self, *words: str) -> list[str]:
        """Run a command that answers with a list of texts, and return them."""
        head = self.run(*words)
        assert head.startswith("*"), head
        sizes = (int(self._answers.readline()[1:]) for _ in range(int(head[1:])))
        return [self._answers.read(size + 2).decode().strip() for size in sizes]


@dataclass
class RedisTarget:
    """A server, ``redis-minter`` and a sibling; see ``ProgramTarget``."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def path(self) -> Path:
        """Return the server's socket."""
        return self.folder / "redis.sock"

    @property
    def argv(self) -> list[str]:
        """Return the program with the settings of the minter ``cache``."""
        return self.program("cache")

    @property
    def sibling(self) -> list[str]:
        """Return the program with the settings of another minter."""
        return self.program("other-cache")

    def program(self, name: str, **changed: Any) -> list[str]:
        """Write settings and return the program that reads them."""
        login = {"user": MINTER, "password": MINTER_PASSWORD}
        place = {"socket": str(self.path)} if "host" not in changed else {}
        settings = {"name": name, **place, **login, "roles": ROLES, **changed}
        file = self.folder / f"{name}-{'-'.join(changed)}.json"
        return settings_argv("redis-minter", file, settings)

    def scope(self) -> dict[str, list[str]]:
        """Return a scope that means something here."""
        return {"roles": ["flush-checkout"]}

    def admin(self) -> Session:
        """Open a session that may do everything."""
        return Session(self.path, "default", ADMIN_PASSWORD)

    def log_in(self, secret: dict[str, Any]) -> Session:
        """Open a holder's session."""
        return Session(Path(secret["socket"]), secret["user"], secret["password"])

    def works(self, session: object) -> bool:
        """Say whether a session lives."""
        assert isinstance(session, Session)
        try:
            return session.run("PING") == "+PONG"
        except ConnectionError:
            return False

    def away(self, *, saved: bool = True) -> None:
        """Kill the server; ``saved``: its operators keep its users over a restart."""
        if saved:
            assert self.admin().run("ACL", "SAVE") == "+OK"
        self.process.kill()
        self.process.wait(20)

    def back(self) -> None:
        """Start it again."""
        self.process = _start(self.folder)

    def killed_after(self, steps: int, verb: str, order: dict[str, Any]) -> bool:
        """Call over a connection that kills the program when Redis did so many commands."""
        with socket.create_server(("127.0.0.1", 0)) as door:
            argv = self.program("cache", host="127.0.0.1", port=door.getsockname()[1])
            running = subprocess.Popen(
                [*argv, verb],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
            )
            passed = threading.Thread(
                target=self._pass_on, args=(door, steps, running), daemon=True
            )
            passed.start()
            running.communicate(json.dumps(order).encode(), WITHIN_S)
        return running.returncode == -signal.SIGKILL

    def _pass_on(self, door: socket.socket, steps: int, running: subprocess.Popen[bytes]) -> None:
        """Pass commands and answers on; the program sends one at a time, each in one piece."""
        with contextlib.suppress(OSError):
            near, _ = door.accept()
            with near, socket.socket(socket.AF_UNIX) as far:
                far.connect(str(self.path))
                while piece := _next_piece(near, far):
                    source, text = piece
                    if source is near and steps == 0:
                        running.kill()
                        return
                    steps -= source is near
                    (far if source is near else near).sendall(text)

    def close(self) -> None:
        """Stop the server and remove everything."""
        self.process.kill()
        self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)


def start_redis() -> RedisTarget:
    """Start a server; skip the test where none is installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed; make system installs it")
    folder = Path(tempfile.mkdtemp(prefix="breakglass-redis-"))
    (folder / "users.acl").write_text(
        f"user default on >{ADMIN_PASSWORD} ~* &* +@all\n"
        f"user {MINTER} on >{MINTER_PASSWORD} {LEAST}\n"
    )
    return RedisTarget(folder, _start(folder))


@contextlib.contextmanager
def redis_target() -> Iterator[RedisTarget]:
    """Give a target, and take it away."""
    target = start_redis()
    try:
        yield target
    finally:
        target.close()


def _next_piece(*ends: socket.socket) -> tuple[socket.socket, bytes] | None:
    """Return what came first and from where; None if that end is closed."""
    ready = select.select(ends, [], [], WITHIN_S)[0]
    text = ready[0].recv(1 << 16) if ready else b""
    return (ready[0], text) if text else None


def _start(folder: Path) -> subprocess.Popen[bytes]:
    at = folder / "redis.sock"
    at.unlink(missing_ok=True)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                *("redis-server", "--port", "0", "--unixsocket", at, "--dir", folder),
                *("--save", "", "--aclfile", folder / "users.acl"),
            ],
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,
        )
    until = time.monotonic() + START_WITHIN_S
    while True:
        with contextlib.suppress(OSError, RefusedError):
            Session(at, "default", ADMIN_PASSWORD)
            return process
        if time.monotonic() > until or process.poll() is not None:
            raise RuntimeError(f"Redis did not start: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.02)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


__all__ = [
    "ADMIN_PASSWORD",
    "LEAST",
    "MINTER",
    "RedisTarget",
    "Session",
    "redis_target",
    "start_redis",
]
