"""What somebody can do with a stolen log key, and with a ledger's own host; for tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from breakglass.http.client import Reply
from breakglass.tlog.checkpoint import Checkpoint, sign_checkpoint
from breakglass.tlog.cosignature import cosign
from breakglass.tlog.hashing import leaf_hash
from breakglass.tlog.merkle import consistency_path, root_of
from breakglass.tlog.note import Note, SignerKey
from breakglass.tlog.spelling import print_base64
from tests.kit.processes import Process


class Thief:
    """Holds the log's key and can speak to its neighbours."""

    def __init__(self, log: SignerKey) -> None:
        self.log = log

    def head(self, notes: Sequence[bytes], *cosigners: SignerKey) -> bytes:
        """Sign a head over any history, and have it cosigned by whatever keys were stolen too."""
        root = root_of([leaf_hash(note) for note in notes])
        signed = sign_checkpoint(Checkpoint(self.log.name, len(notes), root), self.log)
        lines = [cosign(signed.text, key, datetime.now(UTC)) for key in cosigners]
        return signed.with_lines(*lines).encoded() if lines else signed.encoded()

    def brings(self, witness: Process, old: int, notes: Sequence[bytes]) -> Reply:
        """Ask a witness to cosign that history, with the best proof there can be."""
        leaves = [leaf_hash(note) for note in notes]
        proof = consistency_path(leaves, old) if 0 < old < len(notes) else []
        lines = "".join(f"{print_base64(each)}\n" for each in proof)
        body = f"old {old}\n{lines}\n".encode() + self.head(notes)
        with witness.neighbour() as neighbour:
            return neighbour.send("POST", "/add-checkpoint", body, "text/plain")

    def archives(self, archiver: Process, old: int, notes: Sequence[bytes], shown: int) -> Reply:
        """Ask the archiver to cosign that history, showing it the last ``shown`` entries."""
        head = self.head(notes)
        body = f"old {old}\nhead {len(head)}\nlast 0\n\n".encode() + head
        for note in notes[len(notes) - shown :] if shown else ():
            body += len(note).to_bytes(2, "big") + note
        with archiver.neighbour() as neighbour:
            return neighbour.send("POST", "/add-segment", body)


def edited(ledger: Process, *statements: str) -> None:
    """Edit a ledger's journal behind its back."""
    file = sqlite3.connect(ledger.folder / "data" / "journal.sqlite", timeout=5)
    for statement in statements:
        file.execute(statement)
    file.commit()
    file.close()


def served_as_last_head(witness: Process, origin_hash: str, head: bytes) -> None:
    """Make a real witness, whose host was taken, serve another head than it cosigned."""
    witness.kill()
    Path(witness.folder / "data" / "heads" / origin_hash).write_bytes(head)
    witness.start()


def lines_of(head: bytes) -> list[str]:
    """Name who signed a head."""
    return [line.name for line in Note.parse(head).lines]
