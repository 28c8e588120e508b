"""Start processes, wait until they answer, and be sure that none of them outlives us.

Children ask the kernel to end them when we end (``--die-with-parent``), so even ``kill -9`` leaves
nothing behind. They sit in process groups of their own: a Ctrl-C at the terminal reaches only us,
and we stop them in order, the writers of records before the ledger.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Peer

START_WITHIN = timedelta(seconds=20)
STOP_WITHIN = timedelta(seconds=4)  # a room stops within two seconds of SIGTERM


@dataclass(frozen=True)
class Started:
    """One process that answers."""

    name: str
    pid: int
    address: str
    took: timedelta


@dataclass
class Child:
    """One process of ours, with the file that holds what it says on standard error."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]
    log: Path
    began: float = field(default_factory=time.monotonic)

    def alive(self) -> bool:
        """Say whether it still runs."""
        return self.process.poll() is None

    def has_ended(self) -> UnavailableError:
        """Return the error that says that it ended, and why."""
        return UnavailableError(
            f"{self.name!r} ended with code {self.process.returncode}: {self.last_words()}",
            name=ErrorName.NOT_STARTED,
            hint=f"its log: {self.log}",
        )

    def last_words(self) -> str:
        """Return why it ended, or the last line that it said."""
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        errors = [line for line in lines[-5:] if ": error: " in line]
        return (errors or lines or ["no output"])[-1][:300]


def spawn(
    name: str, folder: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> Child:
    """Start one process; it may not answer yet.

    Args:
        name: for messages.
        folder: the process's own; its log goes to ``log`` there.
        arguments: of the interpreter, for example ``-m breakglass.ledger FOLDER``.
        environment: all of it; nothing is inherited beside.
    """
    (folder / "address").unlink(missing_ok=True)  # of an earlier life; it must not be believed
    log = folder / "log"
    with open(log, "ab", opener=_private) as sink:
        process = subprocess.Popen(
            # Nothing is imported from where ``up`` was typed, nor from what PYTHONPATH names: the
            # keys are in reach.
            [sys.executable, "-P", "-E", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=dict(environment),
            process_group=0,
        )
    return Child(name, folder, process, log)


def wait_until_up(child: Child, within: timedelta = START_WITHIN) -> Started:
    """Wait until a process has written its address and answers ``/healthz``.

    It may still read the ledger then; ``readiness.py`` waits for that too.

    Raises:
        UnavailableError: it ended or did not answer in time; it is not running then.
    """
    until = child.began + within.total_seconds()
    said = "no answer"
    while time.monotonic() < until:
        if not child.alive():
            raise child.has_ended()
        if (child.folder / "address").exists():
            try:
                with Peer(child.folder, name=child.name, within=timedelta(seconds=2)) as each:
                    each.get("/healthz")
                took = timedelta(seconds=time.monotonic() - child.began)
                # Somebody may stop it at this very moment, and it takes its address with it.
                address = (child.folder / "address").read_text("ascii").strip()
            except (BreakglassError, OSError) as error:
                said = str(error)
            else:
                return Started(child.name, child.process.pid, address, took)
        time.sleep(0.02)
    stop(child)
    raise UnavailableError(
        f"{child.name!r} is not up after {within.total_seconds():g} s ({said}); it was stopped",
        name=ErrorName.NOT_STARTED,
        hint=f"its log: {child.log}",
    )


def stop(child: Child, within: timedelta = STOP_WITHIN) -> None:
    """Ask a process to stop, then make it; returns when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        child.process.send_signal(signal.SIGTERM)
    try:
        child.process.wait(within.total_seconds())
    except subprocess.TimeoutExpired:
        kill(child)


def kill(child: Child) -> None:
    """End a process without asking, as a power cut would."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, signal.SIGKILL)
    child.process.wait()


def stop_all(children: Sequence[Child]) -> None:
    """Stop processes in the reverse of the order in which they were started."""
    for child in reversed(children):
        with contextlib.suppress(ProcessLookupError):
            child.process.send_signal(signal.SIGTERM)
    for child in reversed(children):
        stop(child)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
