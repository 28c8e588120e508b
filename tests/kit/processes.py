"""Real processes for tests: a ledger with its witnesses and archiver, each in its own folder.

Started by their modules, on free ports, stopped by their process ids. They die with the test
run even if that is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from breakglass.http.client import Peer
from breakglass.http.request_signer import RequestSigner
from breakglass.submit.blob_upload import PERMIT, signed_permit
from breakglass.submit.record_header import NO_PREV, numbered
from breakglass.submit.spool import Draft
from breakglass.tlog.note import COSIGNATURE, SignerKey, sign_note
from breakglass.tlog.policy import TlogPolicy, parse_policy
from tests.kit.reading import ReadingPeer, signs

# Waits end what would hang, on a machine that does ten other things; they time nothing.
_WITHIN_S = 60
ORIGIN = "ledger.example/test"


@dataclass
class Process:
    """One process of ours; ``command`` starts it, given the folder."""

    folder: Path
    module: str
    command: tuple[str, ...] = ()
    popen: subprocess.Popen[bytes] | None = None
    reader: RequestSigner | None = None  # who reads, for tests; nobody says who they are without

    def start(self, wait: bool = True) -> Process:
        """Start it; returns when it answers, unless told not to wait."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "address").unlink()
        command = self.command or (sys.executable, "-m", self.module)
        with (self.folder / "stderr").open("ab") as errors:
            self.popen = subprocess.Popen(
                [*command, str(self.folder), "--die-with-parent", str(os.getpid())], stderr=errors
            )
        if wait:
            self.wait_started()
        return self

    def wait_started(self) -> None:
        """Wait for the address; fails with what the process said."""
        until = time.monotonic() + _WITHIN_S
        while not (self.folder / "address").exists():
            if self.ended() is not None or time.monotonic() > until:
                raise AssertionError(f"{self.module} did not start: {self.said()}")
            time.sleep(0.005)

    def ended(self) -> int | None:
        """Return its exit code, or ``None`` while it runs."""
        assert self.popen is not None
        return self.popen.poll()

    @property
    def peak_bytes(self) -> int:
        """Return the most memory that it ever had, or has had since ``forget_peak``."""
        assert self.popen is not None
        text = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(text.partition("VmHWM:")[2].split()[0]) * 1024

    def forget_peak(self) -> None:
        """Count its peak of memory from now on."""
        assert self.popen is not None
        Path(f"/proc/{self.popen.pid}/clear_refs").write_text("5")

    def wait_ended(self, within_s: float = _WITHIN_S) -> int:
        """Wait for its end."""
        assert self.popen is not None
        return self.popen.wait(within_s)

    def said(self) -> str:
        """Return what it wrote on standard error so far."""
        return (self.folder / "stderr").read_text("utf-8", "replace")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.popen is not None
        self.popen.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.popen is not None and self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()

    def stop(self) -> int:
        """End it as an administrator would; returns the exit code."""
        assert self.popen is not None
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.terminate()
        try:
            return self.popen.wait(_WITHIN_S)
        finally:
            self.kill()

    @property
    def address(self) -> str:
        """Where it listens."""
        return (self.folder / "address").read_text().strip()

    def neighbour(self, within_s: float = 20) -> Peer:
        """Speak to it."""
        within = timedelta(seconds=within_s)
        return ReadingPeer(self.folder, name=self.folder.name, within=within, signer=self.reader)


@dataclass
class LogSet:
    """Folders and keys of one log's parties; nothing runs until told."""

    folder: Path
    log: SignerKey
    submitters: list[SignerKey]
    ledger: Process
    witnesses: list[Process]
    archiver: Process
    policy: TlogPolicy
    keys: dict[str, SignerKey] = field(default_factory=dict)

    @property
    def processes(self) -> list[Process]:
        """All of them, the ledger last."""
        return [*self.witnesses, self.archiver, self.ledger]

    def start(self) -> LogSet:
        """Start all; returns when all answer."""
        for each in self.processes[:-1]:
            each.start(wait=False)
        for each in self.processes[:-1]:
            each.wait_started()
        self.ledger.start()
        return self

    def kill(self) -> None:
        """End all."""
        for each in self.processes:
            each.kill()


def make_log_set(
    folder: Path,
    *,
    submitters: int = 1,
    witnesses: int = 3,
    needed: int = 2,
    ledger_settings: str = "",
    ledger_command: tuple[str, ...] = (),
) -> LogSet:
    """Make the folders of a ledger, witnesses and an archiver: quorum = some of them, and it."""
    log = SignerKey.generate(ORIGIN)
    keys = {
        f"w-{n}": SignerKey.generate(f"witness-{n}.example", COSIGNATURE) for n in range(witnesses)
    }
    keys["worm"] = SignerKey.generate("archiver.example", COSIGNATURE)
    people = [name for name in keys if name != "worm"]
    lines = [f"log {log.verifier}"]
    lines += [f"witness {name} {key.verifier}" for name, key in keys.items()]
    lines += [
        f"group people {needed} {' '.join(people)}",
        "group all all people worm",
        "quorum all",
    ]
    policy = "\n".join(lines) + "\n"
    addresses = "".join(f'{name} = "../{name}"\n' for name in keys)
    signers = [SignerKey.generate(f"submitter-{n}.example") for n in range(submitters)]
    settings = f'archiver = "worm"\n{ledger_settings}\n[neighbours]\n{addresses}'
    ledger = make_process(folder / "ledger", "breakglass.ledger", log, settings)
    ledger.command = ledger_command
    ledger.reader = signs(signers[0] if signers else None)
    (ledger.folder / "policy").write_text(policy)
    (ledger.folder / "submitters").write_text(
        "".join(f"{each.verifier} broker\n" for each in signers)
    )
    found = []
    for name in people:
        found.append(make_process(folder / name, "breakglass.witness", keys[name], ""))
    archiver = make_process(
        folder / "worm", "breakglass.archiver", keys["worm"], 'ledger = "../ledger"\n'
    )
    for each in [*found, archiver]:
        (each.folder / "logs").write_text(f"{log.verifier}\n")
    return LogSet(folder, log, signers, ledger, found, archiver, parse_policy(policy), keys)


def make_process(folder: Path, module: str, key: SignerKey, settings: str) -> Process:
    """Make one process's folder."""
    folder.mkdir(parents=True, mode=0o700)
    (folder / "settings.toml").write_text(settings)
    (folder / "key").touch(0o600)
    (folder / "key").write_text(key.encoded() + "\n")
    return Process(folder, module)


@contextlib.contextmanager
def running_log_set(folder: Path, **given: object) -> Iterator[LogSet]:
    """Make a log set, start it, and end it whatever happens."""
    made = make_log_set(folder, **given)  # type: ignore[arg-type]
    try:
        yield made.start()
    finally:
        made.kill()


def draft(
    ident: str, log: str = ORIGIN, size: int = 0, attachments: tuple[bytes, ...] = ()
) -> Draft:
    """Make a record's text of the form that everybody blind to content sees."""
    import hashlib

    named = "".join(
        f"attach sha256:{hashlib.sha256(each).hexdigest()} {len(each)}\n" for each in attachments
    )
    value = {"id": ident, "log": log, "prev": NO_PREV, "seq": 0, "x": "y" * size}
    line = json.dumps(value, separators=(",", ":"))
    return Draft(ident, f"breakglass.dev/record/v1\n{named}{line}\n", attachments)


def signed(made: Draft, signer: SignerKey, seq: int, prev: str) -> bytes:
    """Number and sign a draft, as an outbox would."""
    return sign_note(numbered(made.text, seq, prev), signer).encoded()


def permit(data: bytes, signer: SignerKey) -> dict[str, str]:
    """Give the headers with which a submitter brings an attachment by hand."""
    import hashlib

    return {PERMIT: signed_permit(hashlib.sha256(data).hexdigest(), len(data), signer)}


def until(holds: Callable[[], bool], within_s: float = _WITHIN_S) -> None:
    """Wait until something holds; fails if it does not in time."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"did not happen within {within_s} s"
        time.sleep(0.005)


def no_process_left(pid: int) -> bool:
    """Say whether a process is gone (or a zombie that somebody else must reap)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True
