"""Somebody who appends to one log set, keeps what they are told, and looks at everything."""

from __future__ import annotations

from datetime import timedelta

from breakglass.clock import SystemClock
from breakglass.http.client import Reply
from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.submit.outbox import Outbox
from breakglass.tlog.tiles import encode_bundle
from tests.faults.acknowledged import Book
from tests.faults.audit import Auditor
from tests.kit.disks import Disk
from tests.kit.processes import LogSet, Process, draft, signed

WITHIN = timedelta(seconds=20)


class Clerk:
    """Appends to a log set, keeps what it is told, and looks at everything in the end."""

    def __init__(self, log_set: LogSet) -> None:
        self.log_set = log_set
        self.book = Book()
        self.signer = log_set.submitters[0]
        self.ledger = log_set.ledger.neighbour(8)

    def note(self, ident: str, size: int = 0) -> bytes:
        """Sign a note for the place where the ledger says that we stand."""
        told = self.ledger.get(f"/submitter/{self.signer.verifier.label}").json()
        return signed(draft(ident, size=size), self.signer, told["next"], told["prev"])

    def send(self, *notes: bytes) -> Reply:
        return self.ledger.send("POST", "/append", encode_bundle(notes))

    def appended(self, *idents: str, submitter: int = 0) -> None:
        """Append through an outbox, until there are receipts."""
        folder = self.log_set.folder / f"outbox-{len(self.book.acknowledged)}"
        folder.mkdir()
        signer = self.log_set.submitters[submitter]
        outbox = Outbox(self.log_set.ledger.neighbour(), signer, folder, SystemClock())
        try:
            receipts = outbox.append([draft(ident) for ident in idents], WITHIN)
        finally:
            outbox.close()
        for ident, receipt in zip(idents, receipts, strict=True):
            self.book.acknowledged[signer.name, ident] = receipt

    def read(self) -> None:
        """Everything that was acknowledged can be read and proven."""
        for receipt in self.book.acknowledged.values():
            assert self.ledger.get(f"/proof/{receipt.index}").body
        commits = self.ledger.get("/entries?from=0&wait=0").json()["commits"]
        notes = [note.encode() for each in commits for note in each["entries"]]
        for receipt in self.book.acknowledged.values():
            assert notes[receipt.index] == receipt.note
        assert self.ledger.get("/checkpoint").body

    def whole(self) -> None:
        """Nothing is lost, doubled or contradicted, and nobody rang for tampering."""
        journal = self.log_set.ledger.folder / "data" / "journal.sqlite"
        found = Auditor(self.log_set, lambda: SqliteJournal(journal), self.book).look()
        assert found.told == []


def on_disk(process: Process) -> Disk:
    """Put a disk under a process that can be slow, stuck or broken."""
    disk = Disk(process.folder / "trouble")
    process.command = disk.command(process.module)
    return disk


def told(reply: Reply) -> tuple[int, str]:
    return reply.status, str(reply.json()["error"])
