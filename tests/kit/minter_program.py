"""Calls a minter that is a program, as docs/reference/command-minter.md says, and what a test wants
of its target.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from breakglass.clock import format_time
from breakglass.records.grant import handle_of

PROGRAMS = Path(__file__).resolve().parents[2] / "integrations" / "minters"
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
WITHIN_S = 60  # ten in life; a loaded machine is no failure of the program
ANSWER_BYTES = 64 * 1024


class ProgramTarget(Protocol):
    """A program with its target, and what a holder can do there."""

    @property
    def argv(self) -> list[str]: ...
    @property
    def sibling(self) -> list[str]: ...  # another minter at the same target
    def scope(self) -> dict[str, list[str]]: ...
    def log_in(self, secret: dict[str, Any]) -> object:
        """Open a session; ``RefusedError`` where the target lets nobody in."""
        ...

    def works(self, session: object) -> bool: ...
    def away(self) -> None: ...
    def back(self) -> None: ...
    def killed_after(self, steps: int, verb: str, order: dict[str, Any]) -> bool:
        """Call and kill the program when the target has done so many steps; False: it was done."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Answer:
    """How a call ended; ``told`` is empty where nothing is known."""

    exit: int
    told: dict[str, Any]
    stderr: str


@dataclass
class Heard:
    """All that programs wrote to standard error, and all secrets that were minted meanwhile."""

    stderr: list[str] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)


HEARD = Heard()


def call(argv: Sequence[str], verb: str, order: dict[str, Any] | None = None) -> Answer:
    """Run one verb. A refusal without its two texts, or an answer that is none, fails the test."""
    done = subprocess.run(
        [*argv, verb],
        input=json.dumps(order or {}).encode(),
        capture_output=True,
        cwd="/",
        env=ENVIRONMENT,
        timeout=WITHIN_S,
        check=False,
    )
    stderr = done.stderr.decode()
    HEARD.stderr.append(stderr)
    assert "Traceback" not in stderr
    assert len(done.stdout) <= ANSWER_BYTES
    told = json.loads(done.stdout) if done.returncode in (0, 3) else {}
    assert isinstance(told, dict)
    if done.returncode == 3:
        assert set(told) == {"error", "says"}
    HEARD.passwords.extend([told["secret"]["password"]] if "secret" in told else [])
    return Answer(done.returncode, told, stderr)


def done(argv: Sequence[str], verb: str, order: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run one verb that has to succeed."""
    answer = call(argv, verb, order)
    assert answer.exit == 0, (verb, answer)
    return answer.told


def settings_argv(name: str, file: Path, settings: dict[str, Any]) -> list[str]:
    """Write settings that their owner alone may read, in one step; return the program with them.

    The program is a copy beside them: a minter calls none in a folder that others may write, and
    who knows where this checkout lies.
    """
    program = file.parent / name
    if not program.exists():
        shutil.copy2(PROGRAMS / name, program)
    handle, fresh = tempfile.mkstemp(dir=file.parent)
    with open(handle, "w", encoding="utf-8") as written:
        json.dump(settings, written)
    os.replace(fresh, file)
    return [str(program), "--settings", str(file)]


def new_order(target: ProgramTarget, lives: timedelta = timedelta(minutes=5)) -> dict[str, Any]:
    """Return what ``mint`` is given, for a new grant."""
    grant = "g-" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(12))
    now = datetime.now(UTC)
    return {
        "handle": handle_of(grant),
        "grant": grant,
        "session": "breakglass-INC-4821-mira",
        "scope": target.scope(),
        "source": [],
        "not_before": format_time(now - timedelta(seconds=120)),
        "expires": format_time(now + lives),
        "holder": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMIRA",
        "token": "",
    }


__all__ = [
    "ENVIRONMENT",
    "HEARD",
    "PROGRAMS",
    "WITHIN_S",
    "Answer",
    "ProgramTarget",
    "call",
    "done",
    "new_order",
    "settings_argv",
]
