"""Two ledgers over one journal in a real PostgreSQL, with their witnesses and archiver."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg

from breakglass.clock import SystemClock
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Peer
from breakglass.ledger.export import export
from breakglass.ledger.verifier import verify_heads, verify_tree
from breakglass.submit.outbox import Outbox, Receipt
from breakglass.tlog.checkpoint import parse_checkpoint
from breakglass.tlog.proof import TlogProof, verify_proof
from tests.kit.journals import journal_database
from tests.kit.postgres import Postgres
from tests.kit.processes import LogSet, Process, draft, make_log_set, until
from tests.kit.reading import ReadingPeer

WITHIN = timedelta(seconds=20)
FREEZING = str(Path(__file__).resolve().parent / "freezing_ledger.py")


@dataclass
class Pair:
    """A log set whose ledger has a twin; ``first`` and ``second`` change roles as they like."""

    log_set: LogSet
    second: Process
    server: Postgres
    dsn: str

    @property
    def first(self) -> Process:
        """The log set's own ledger."""
        return self.log_set.ledger

    @property
    def both(self) -> tuple[Process, Process]:
        """The two ledgers."""
        return self.first, self.second

    @property
    def ledgers(self) -> Path:
        """A file that names both, as clients are told."""
        return self.log_set.folder / "ledgers"

    def start(self) -> Pair:
        """Start all; the first ledger is the active one."""
        self.log_set.start()
        self.second.start()
        return self

    def neighbour(self, within_s: float = 5) -> Peer:
        """Speak to whichever answers."""
        within, signer = timedelta(seconds=within_s), self.log_set.ledger.reader
        return ReadingPeer(self.ledgers, name="ledger", within=within, signer=signer)

    def outbox(self, number: int = 0) -> Outbox:
        """Be a submitter that knows both addresses."""
        folder = self.log_set.folder / f"outbox-{number}"
        folder.mkdir(exist_ok=True)
        return Outbox(self.neighbour(), self.log_set.submitters[number], folder, SystemClock())

    def active(self) -> Process:
        """Wait until one is open, and return it."""
        found: list[Process] = []
        until(lambda: bool(found.extend(p for p in self.both if role(p) == "active") or found))
        return found[0]

    def other(self, than: Process) -> Process:
        """Return the other one."""
        return self.second if than is self.first else self.first

    def revive(self, process: Process) -> None:
        """What a service manager does: start it again, if it ended."""
        if process.ended() is not None:
            process.start()

    def told(self) -> str:
        """Return what both said."""
        return "\n--\n".join(each.said() for each in self.both)

    def heads(self) -> dict[int, bytes]:
        """Return every head that was ever committed."""
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute("select size, signed from heads", binary=True).fetchall()
        return dict(rows)

    def kill(self) -> None:
        """End all."""
        self.second.kill()
        self.log_set.kill()


def make_pair(folder: Path, server: Postgres, *, submitters: int = 1, settings: str = "") -> Pair:
    """Make the folders; nothing runs."""
    dsn = journal_database(server)
    postgres = f'[postgres]\ndsn_file = "dsn"\n{settings}'
    log_set = make_log_set(folder, submitters=submitters, ledger_settings=postgres)
    ledger = log_set.ledger.folder
    (ledger / "dsn").touch(0o600)
    (ledger / "dsn").write_text(dsn + "\n")
    second = folder / "ledger-2"
    second.mkdir(mode=0o700)
    for name in ("settings.toml", "key", "dsn", "policy", "submitters"):
        (second / name).touch(0o600)
        (second / name).write_bytes((ledger / name).read_bytes())
    (folder / "ledgers").write_text("ledger\nledger-2\n")
    (log_set.archiver.folder / "settings.toml").write_text('ledger = "../ledgers"\n')
    twin = Process(second, "breakglass.ledger", reader=log_set.ledger.reader)
    return Pair(log_set, twin, server, dsn)


def role(process: Process, within_s: float = 0.5) -> str:
    """Ask a ledger what it is; empty if it does not answer."""
    try:
        with process.neighbour(within_s) as neighbour:
            return str(neighbour.get("/healthz").json()["role"])
    except (BreakglassError, KeyError):
        return ""


def append(outbox: Outbox, ident: str, within: timedelta = WITHIN) -> Receipt:
    """Record one note."""
    (receipt,) = outbox.append([draft(ident)], within)
    return receipt


def frozen(process: Process) -> None:
    """Freeze it, and be sure that it is."""
    process.signal(signal.SIGSTOP)
    until(lambda: stopped(process))


def stopped(process: Process) -> bool:
    """Say whether it is frozen."""
    assert process.popen is not None
    stat = Path(f"/proc/{process.popen.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


@dataclass
class Watch:
    """Looks at every head that anybody shows, all the time."""

    pair: Pair
    seen: dict[int, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    looks: int = 0

    @contextlib.contextmanager
    def watching(self) -> Iterator[Watch]:
        """Look until the end of the block."""
        done = threading.Event()
        thread = threading.Thread(target=self._watch, args=(done,))
        thread.start()
        try:
            yield self
        finally:
            done.set()
            thread.join()

    def _watch(self, done: threading.Event) -> None:
        import hashlib

        origin = hashlib.sha256(self.pair.log_set.log.name.encode()).hexdigest()
        sources = [(process, "/checkpoint") for process in self.pair.both]
        cosigners = [*self.pair.log_set.witnesses, self.pair.log_set.archiver]
        sources += [(process, f"/{origin}/checkpoint") for process in cosigners]
        asked = [(process.neighbour(0.2), path) for process, path in sources]
        while not done.is_set():
            for neighbour, path in asked:
                with contextlib.suppress(UnavailableError):
                    reply = neighbour.send("GET", path)
                    if reply.status == 200:
                        self.add(reply.body)
            self.looks += 1
            done.wait(0.01)

    def add(self, note: bytes) -> None:
        """Keep a head that was shown."""
        checkpoint = parse_checkpoint(note)[0]
        self.seen[checkpoint.size].add(checkpoint.root)


def check_everything(pair: Pair, receipts: dict[str, Receipt], watch: Watch | None = None) -> None:
    """All that was acknowledged is in the log, once; and the log has one history only."""
    policy = pair.log_set.policy
    shown = watch or Watch(pair)
    for receipt in receipts.values():
        proof = TlogProof.parse(receipt.proof)
        assert verify_proof(receipt.note, proof, policy).index == receipt.index
        shown.add(proof.checkpoint)
    copy = pair.log_set.folder / f"copy-{time.monotonic_ns()}"
    export(pair.active().address, copy, policy_text=policy.text, signer=pair.first.reader)
    head = verify_tree(copy, policy)
    entries = list(verify_heads(copy, policy, head.checkpoint))
    for receipt in receipts.values():
        assert entries[receipt.index].note == receipt.note
        assert entries[receipt.index].head == TlogProof.parse(receipt.proof).checkpoint
    assert len({entry.note for entry in entries}) == len(entries)
    committed = {size: parse_checkpoint(note)[0].root for size, note in pair.heads().items()}
    for size, roots in shown.seen.items():
        # Nobody was ever shown a head that is not the one of its size in the journal.
        assert roots == {committed[size]}, f"two heads of size {size}"
