"""Somebody's terminal: runs the real commands, with nothing of the real user's around them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breakglass.demo.stage import Stage
from breakglass.errors import UnavailableError

_WITHIN_S = 40
_BREAKGLASS = (sys.executable, "-m", "breakglass.cli")
_GATE = (sys.executable, "-m", "breakglass.gate")


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended; ``took`` in seconds."""

    code: int
    out: str
    err: str
    took: float

    def json(self) -> Any:
        """Read standard output as JSON.

        Raises:
            ValueError: it is none; the error names what the command complained of.
        """
        try:
            return json.loads(self.out)
        except ValueError as error:
            raise ValueError(f"exit {self.code}: {self.err.strip()[-300:]}") from error

    def row(self, label: str) -> str:
        """Return one labelled line of the output; '' if there is none."""
        for line in self.out.splitlines():
            if line.startswith(label):
                return line.removeprefix(label).strip()
        return ""

    @property
    def last(self) -> str:
        """Return the last words, for a check that did not hold."""
        return (self.err.strip() or self.out.strip())[-300:]


def clean_environment(home: Path, agent: Path, programs: Path) -> dict[str, str]:
    """Return an environment of the demo's own: no file, agent or setting of the user's.

    Args:
        home: stands for the home folder.
        agent: the socket of the people's agent.
        programs: where ``psql`` is.
    """
    # Where Python finds us and where temporary files go is this machine's business.
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "SSH_AUTH_SOCK": str(agent),
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "PSQLRC": os.devnull,
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
        "PYTHONUTF8": "1",
    }


@dataclass(frozen=True)
class Terminal:
    """One person at one terminal; ``org`` is their client.toml."""

    stage: Stage
    org: Path
    environment: dict[str, str]
    folder: Path

    def types(self, *arguments: str, show: bool = True) -> Said:
        """Run ``breakglass`` with these arguments, shown as typed with what it answered."""
        if show:
            self.stage.command("breakglass", *arguments)
        said = self._run([*_BREAKGLASS, *arguments])
        if show:
            self.stage.answered(said.out, said.err)
        return said

    def asks(self, *arguments: str) -> Any:
        """Run ``breakglass … --json`` unseen and return what it printed."""
        return self.types(*arguments, "--json", show=False).json()

    def gate(self, *arguments: str, show: tuple[str, ...] = ()) -> Said:
        """Run ``breakglass-gate``; ``show`` is what is shown as typed for it."""
        if show:
            self.stage.command(*show)
        said = self._run([*_GATE, *arguments])
        if show:
            self.stage.answered(said.out, said.err)
        return said

    def opens(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``breakglass`` and leave it running, with a pipe to type into."""
        return subprocess.Popen(
            [*_BREAKGLASS, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment(),
            cwd=self.folder,
        )

    def _run(self, command: Sequence[str]) -> Said:
        began = time.monotonic()
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                env=self._environment(),
                cwd=self.folder,
                timeout=_WITHIN_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"{command[-1]!r} took more than {_WITHIN_S} s") from error
        return Said(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def _environment(self) -> dict[str, str]:
        return {**self.environment, "BREAKGLASS_ORG": str(self.org)}
