"""A person's surroundings for tests: nothing of whoever runs them, and commands as typed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.plain_english import check_wording
from tests.kit.port_rows import base_port

COMMANDS = {"breakglass": "breakglass.cli", "breakglass-gate": "breakglass.gate"}


@dataclass(frozen=True)
class Typed:
    """What a command said."""

    code: int
    out: str
    err: str

    def row(self, label: str) -> str:
        """Return what stands behind a label at the beginning of a line."""
        for line in self.out.splitlines():
            word, _, rest = line.partition(" ")
            if word == label:
                return rest.strip()
        raise AssertionError(f"no row {label!r} in {self.out!r}, {self.err!r}")


@dataclass
class Person:
    """Somebody with a home of their own and a software key; ``cwd`` is where they type."""

    home: Path
    cwd: Path
    extra: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()  # what brings their commands to another host
    leaves_ports: bool = False  # to ``init``; else their organisations get ports that nobody has

    @classmethod
    def at(cls, folder: Path) -> Person:
        """Make a person who lives in ``folder``."""
        home = folder / "home"
        home.mkdir()
        return cls(home, folder)

    @property
    def key(self) -> Path:
        """Return their SSH key, made when it is first asked for."""
        path = self.home / "key"
        if not path.exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True
            )
        return path

    @property
    def environment(self) -> dict[str, str]:
        """Return all that their commands see."""
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C.UTF-8",
            **self.extra,
        }

    def types(self, *words: str, within_s: float = 60) -> Typed:
        """Type one command: ``breakglass …`` or ``breakglass-gate …``."""
        if words[:2] == ("breakglass", "init") and not self.leaves_ports:
            words = (*words, "--base-port", str(base_port()))
        done = subprocess.run(
            [*self.prefix, *command(words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.cwd,
            timeout=within_s,
            check=False,
        )
        check_wording(f"{done.stdout}\n{done.stderr}")
        return Typed(done.returncode, done.stdout, done.stderr)

    def starts(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        return self._runs(command(words))

    def starts_module(self, room: str, folder: str) -> subprocess.Popen[str]:
        """Start the process of a folder as an administrator would, and leave it running."""
        mine = ("--die-with-parent", str(os.getpid()))
        return self._runs([sys.executable, "-m", f"breakglass.{room}", folder, *mine])

    def _runs(self, words: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.prefix, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            cwd=self.cwd,
            # Where tests run in the background a shell has them ignore Ctrl-C; a person's has not.
            preexec_fn=_hears_ctrl_c,
        )


def _hears_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def command(words: Sequence[str]) -> list[str]:
    """Return the command line of what somebody typed."""
    return [sys.executable, "-m", COMMANDS[words[0]], *words[1:]]


@contextmanager
def running_up(person: Person, org: str = "org") -> Iterator[subprocess.Popen[str]]:
    """Run ``breakglass up`` until the end of the block; entered when it says that it is ready."""
    process = person.starts("breakglass", "up", "--org", org)
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("ready"):
                break
        else:
            raise AssertionError(f"up did not come up: {''.join(said)}")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@contextmanager
def real_agent(socket: Path, *keys: Path) -> Iterator[None]:
    """Run OpenSSH's own ssh-agent with some key files until the end of the block."""
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while not socket.exists():
            assert time.monotonic() < until, "the agent did not come up"
            time.sleep(0.05)
        for key in keys:
            subprocess.run(
                ["ssh-add", "-q", str(key)],
                check=True,
                env={**os.environ, "SSH_AUTH_SOCK": str(socket)},
            )
        yield
    finally:
        process.terminate()
        process.wait(10)


def processes_naming(text: str) -> list[str]:
    """Return the command lines of processes, not zombies, that mention ``text``."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if text in line and int(path.name) != os.getpid():
                found.append(f"{path.name} {line}")
        except OSError:
            continue  # it has just gone
    return found


def gone_within(text: str, seconds: float) -> list[str]:
    """Wait until nothing that mentions ``text`` runs; returns what still does."""
    until = time.monotonic() + seconds
    while (left := processes_naming(text)) and time.monotonic() < until:
        time.sleep(0.1)
    return left
