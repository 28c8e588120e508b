"""Start every process of an embedded organisation, activate its policy once, and stay.

Order: witnesses and archiver, the ledger, then who states records; those read the ledger side by
side. Whoever dies later is started again; SIGINT or SIGTERM stops all, and a ``kill -9`` of us ends
them too.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from breakglass.clock import Deadline
from breakglass.embedded.alert_log import ALARMS, AlertLog
from breakglass.embedded.readiness import Readiness, Reading
from breakglass.embedded.supervisor import (
    Child,
    Started,
    kill,
    spawn,
    stop,
    stop_all,
    wait_until_up,
)
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, UnavailableError
from breakglass.http.client import Peer
from breakglass.http.request_signer import RequestSigner
from breakglass.operate.maintainer_signing import encoded_activation, read_signed
from breakglass.operate.retired_cosigners import moved_out
from breakglass.process.folder import held
from breakglass.process.key_store import read_key
from breakglass.records.trust import accept_trust
from breakglass.tlog.note import Note

_REST_AT_MOST_S = 30.0
_LIVED_LONG_S = 60.0
_READ_WITHIN = timedelta(seconds=15)
_BEGIN_WITHIN = timedelta(seconds=20)


@dataclass(frozen=True)
class Process:
    """One process to start: its room and its folder, and how it is started if not as usual."""

    name: str
    room: str
    arguments: tuple[str, ...] = ()

    @property
    def cosigns(self) -> bool:
        """Say whether it is a witness or an archiver."""
        return self.room in ("witness", "archiver")

    def command(self, folder: Path) -> list[str]:
        """Return the interpreter's arguments."""
        usual = ("-m", f"breakglass.{self.room}")
        parent = str(os.getpid())
        return [*(self.arguments or usual), str(folder), "--die-with-parent", parent]


def processes_of(org: Path) -> list[list[Process]]:
    """Return the organisation's processes in the order of their needs, those of a group at once.

    Raises:
        MisconfiguredError: the folder holds no organisation.
    """
    if not (org / "ledger" / "settings.toml").is_file():
        raise MisconfiguredError(
            f"{str(org)!r} holds no organisation",
            hint=f"make one: breakglass init {org}",
        )
    witnesses = [Process(path.name, "witness") for path in sorted(org.glob("witness-*"))]
    minters = [Process(path.name, "minter") for path in sorted(org.glob("minter-*"))]
    surveyors = [Process(path.name, "surveyor") for path in sorted(org.glob("surveyor-*"))]
    cosigners = [*witnesses, Process("archiver", "archiver")]
    return [
        [each for each in cosigners if not moved_out(org / each.name)]
        + [Process("ledger", "ledger")],
        [Process("broker", "broker")],
        [*minters, *surveyors, Process("monitor", "monitor")],
    ]


@dataclass
class Organisation:
    """An organisation that runs; made by ``up``."""

    org: Path
    environment: Mapping[str, str]
    children: dict[str, Child] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)

    def start(self, process: Process) -> Child:
        """Start one process; it may not answer yet."""
        folder = self.org / process.name
        child = spawn(process.name, folder, process.command(folder), self.environment)
        self.children[process.name], self.processes[process.name] = child, process
        return child

    def restart(self, name: str) -> Started:
        """Start a process again that has ended or was stopped; it may still read the ledger."""
        return wait_until_up(self.start(self.processes[name]))

    def stop(self, name: str) -> None:
        """Stop one process; it is remembered and can be restarted."""
        stop(self.children[name])

    def kill(self, name: str) -> None:
        """End one process as a power cut would."""
        kill(self.children[name])

    def call(self, name: str, within: timedelta = timedelta(seconds=15)) -> Peer:
        """Return a caller for one process."""
        return Peer(self.org / name, name=name, within=within)

    def get(self, name: str, path: str) -> dict[str, Any]:
        """Ask one process what it shows to everybody."""
        with self.call(name) as neighbour:
            return neighbour.get(path).json()

    def read(self, name: str, path: str) -> dict[str, Any]:
        """Ask a process that follows the ledger as our monitor would: its key lies here too."""
        key, theirs = (read_key(self.org / each) for each in ("monitor", name))
        log = accept_trust(Note.parse((self.org / "trust").read_bytes()), None).tlog.logs[0]
        signer = RequestSigner(log.vkey.name, key, lambda shown: shown == theirs.verifier)
        with Peer(self.org / name, name=name, within=_READ_WITHIN, signer=signer) as neighbour:
            return neighbour.read(path).json()


@contextmanager
def running(
    org: Path,
    groups: list[list[Process]] | None = None,
    told: Callable[[Started], None] = lambda started: None,
    progress: Callable[[list[Reading]], None] = lambda readings: None,
) -> Iterator[Organisation]:
    """Run an organisation within the block; every process is gone behind it.

    Must be entered from a thread that lives as long as the block, best the main one: children end
    with the thread that started them.

    Args:
        org: the organisation's folder.
        groups: what to start; all of it if not given.
        told: called for each process that is ready.
        progress: called again and again, meanwhile, with those that still read the ledger.

    Raises:
        UnavailableError: one ended or stood still; all were stopped.
        MisconfiguredError: no organisation, or it runs already; nothing was touched.
    """
    # What belongs to the person at the terminal is not for the processes.
    theirs = {"SSH_AUTH_SOCK", "SSH_AGENT_PID", "BREAKGLASS_ORG"}
    environment = {name: value for name, value in os.environ.items() if name not in theirs}
    wanted = groups or processes_of(org)
    # A second one must find out before it touches anything of the first.
    with held(org):
        running = Organisation(org, environment)
        try:
            readiness = Readiness(told, progress)
            for group in wanted:
                for process in group:
                    readiness.add(running.start(process))
                readiness.wait_answering()
            readiness.wait_ready()
            yield running
        finally:
            stop_all(list(running.children.values()))


def activate_once(running: Organisation) -> int:
    """Activate the signed policy in the bundle if none is in force; returns the version in force.

    Raises:
        UnavailableError: the log does not begin.
        BreakglassError: it is not signed by enough maintainers, or the broker refuses it.
    """
    _wait_for_trust(running)
    known = running.get("broker", "/glasses")
    if known["glasses"] or known["version"]:
        return int(known["version"])
    signed = read_signed(running.org / "bundle")
    with running.call("broker") as broker:
        answer = broker.post("/policy", encoded_activation(signed), "application/json").json()
    return int(answer["version"])


def _wait_for_trust(running: Organisation) -> None:
    """Wait until the log has begun: the broker writes genesis and trust file when it starts."""
    for _ in Deadline(_BEGIN_WITHIN).tries(0.05):
        if running.get("broker", "/healthz")["ok"]:
            return
    raise UnavailableError(
        f"the log has not begun within {_BEGIN_WITHIN.total_seconds():g} s",
        name=ErrorName.NOT_BEGUN,
        hint=f"the broker's log: {running.org / 'broker' / 'log'}",
    )


def stay(running: Organisation, say: Callable[[str], None]) -> None:
    """Stay until SIGINT or SIGTERM; a process that ends is told of and started again."""
    done = threading.Event()
    before = {
        each: signal.signal(each, lambda *_: done.set()) for each in (signal.SIGINT, signal.SIGTERM)
    }
    alarms = AlertLog(running.org / "monitor" / ALARMS)
    rest = dict.fromkeys(running.children, 0.5)
    again: dict[str, float] = {}
    try:
        while not done.wait(0.2):
            for text in alarms.new():
                say(f"alarm: {text}")
            for name, child in list(running.children.items()):
                if running.processes[name].cosigns and moved_out(child.folder):
                    stop(running.children.pop(name))
                    say(f"{name} has moved to another host; stopped here")
                    continue
                if child.alive() or done.is_set():
                    continue
                if name not in again:
                    lived = time.monotonic() - child.began
                    code = child.process.returncode
                    # Code 0: somebody asked it to stop, as a change of keys does. No crash.
                    calm = code == 0 or lived > _LIVED_LONG_S
                    rest[name] = 0.5 if calm else min(rest[name] * 2, _REST_AT_MOST_S)
                    again[name] = time.monotonic() + rest[name]
                    say(f"{name} ended ({code}): {child.last_words()}; again in {rest[name]:g} s")
                elif time.monotonic() >= again[name]:
                    del again[name]
                    _again(running, name, say)
        say("stopping; some seconds where a process is at work")
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _again(running: Organisation, name: str, say: Callable[[str], None]) -> None:
    try:
        started = running.restart(name)
    except BreakglassError as error:
        say(str(error))
        return
    say(f"{name} is up again at {started.address}")
