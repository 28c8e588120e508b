"""A look at everything after a crash: the log, the archive, the witnesses, and what clients know.

Nothing is sampled. What was checked before and has the same bytes is not checked again by
signature; every hash, tile, index and chain is computed anew each time.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from breakglass.archiver.archived_log import ArchivedLog
from breakglass.archiver.object_store import PosixObjectStore
from breakglass.errors import BreakglassError
from breakglass.ledger.journal import Head, Journal
from breakglass.ledger.journal_check import examine
from breakglass.submit.record_header import NO_PREV, read_numbering, text_digest
from breakglass.tlog.edge import TreeEdge
from breakglass.tlog.hashing import leaf_hash
from breakglass.tlog.key import check_signature
from breakglass.tlog.note import Note
from breakglass.tlog.proof import TlogProof, verify_head, verify_proof
from breakglass.witness.heads import Heads
from tests.faults.acknowledged import Book, Id
from tests.kit.processes import LogSet

ALARMS = (
    "rolled back",
    "does not lead",
    "stopped recording for good",
    "is damaged",
    "archive lacks",
    "two writers",
    "two roots",
    "Traceback",
    "error inside",
)
"""What our processes say when they see tampering, or are at a loss; a crash is neither."""


@dataclass
class Found:
    """What is wrong, by kind: ``lost``, ``doubled``, ``false_alarm``, ``contradiction``."""

    wrong: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    entries: int = 0
    signatures: int = 0

    def add(self, kind: str, what: str) -> None:
        self.wrong[kind] += 1
        self.told.append(f"{kind}: {what}")


class Auditor:
    """Looks at one log set, again and again.

    Args:
        log_set: whose witnesses and archiver are looked at in their folders.
        journal: opens the journal to read it; it is closed after each look.
        book: what clients were told.
    """

    def __init__(self, log_set: LogSet, journal: Callable[[], Journal], book: Book) -> None:
        self._log_set = log_set
        self._journal = journal
        self._book = book
        self._submitters = {each.verifier.label: each.verifier for each in log_set.submitters}
        self._store = PosixObjectStore(log_set.archiver.folder / "data" / "store")
        self._prefix = hashlib.sha256(log_set.log.name.encode()).hexdigest()
        self._proven: set[bytes] = set()  # SHA-256 of bytes whose signatures were checked

    def look(self) -> Found:
        """Look at everything while nobody appends."""
        found = Found()
        journal = self._journal()
        try:
            notes, heads = self._log(journal, found)
        except BreakglassError as error:
            found.add("contradiction", str(error))
            return found
        finally:
            journal.close()
        found.entries = len(notes)
        ids = self._chains(notes, found)
        self._clients(notes, heads, ids, found)
        self._archive(notes, heads, found)
        self._witnesses(notes, heads, found)
        self._processes(found)
        return found

    def _log(self, journal: Journal, found: Found) -> tuple[list[bytes], list[Head]]:
        # Every entry, tile, index, and every head's own signature: what ``ledger fsck`` does.
        examined = examine(journal, [self._log_set.log.verifier])
        for finding in examined.findings:
            found.add("contradiction", f"{finding.name}: {finding.what}")
        heads: list[Head] = []
        while head := journal.head_after(heads[-1].size if heads else 0):
            heads.append(head)
            if head.cosigned is not None and self._is_new(head.cosigned):
                verify_head(head.cosigned, self._log_set.policy)
                found.signatures += 1
        if heads and heads[-1].cosigned is None:
            found.add("contradiction", "everybody has an answer, and the last head no quorum")
        return journal.notes(0, examined.size), heads

    def _chains(self, notes: Sequence[bytes], found: Found) -> dict[Id, int]:
        """Check every submitter's signature and chain; returns where each id stands."""
        ids: dict[Id, int] = {}
        chains: dict[bytes, tuple[int, str]] = {}
        for index, data in enumerate(notes):
            note = Note.parse(data)
            (line,) = note.lines
            if self._is_new(data):
                key = self._submitters[line.label]
                check_signature(key, note.text.encode(), line.signature)
                found.signatures += 1
            numbering = read_numbering(note.text)
            if (numbering.seq, numbering.prev) != chains.get(line.label, (0, NO_PREV)):
                found.add("contradiction", f"entry {index} breaks the chain of {line.name}")
            chains[line.label] = (numbering.seq + 1, text_digest(note.text))
            if (line.name, numbering.id) in ids:
                found.add("doubled", f"entry {index} is {numbering.id!r} again")
            ids[line.name, numbering.id] = index
            self._attachments(index, numbering.attachments, found)
        return ids

    def _attachments(self, index: int, named: Sequence[tuple[str, int]], found: Found) -> None:
        for digest, _ in named:
            stored = self._store.get(f"{self._prefix}/attachment/{digest}")
            if stored is None or hashlib.sha256(stored).hexdigest() != digest:
                found.add("lost", f"attachment {digest} of entry {index} is not archived")

    def _clients(
        self, notes: Sequence[bytes], heads: Sequence[Head], ids: dict[Id, int], found: Found
    ) -> None:
        finals = {head.cosigned for head in heads}
        for (name, ident), receipt in list(self._book.acknowledged.items()):
            if receipt.index >= len(notes) or notes[receipt.index] != receipt.note:
                found.add("lost", f"{ident} of {name} is not entry {receipt.index}")
            if self._is_new(receipt.proof + receipt.note):
                proof = TlogProof.parse(receipt.proof)
                proven = verify_proof(receipt.note, proof, self._log_set.policy)
                found.signatures += 1
                if proven.index != receipt.index:
                    found.add("contradiction", f"the receipt of {ident} is of another entry")
                if proof.checkpoint not in finals:
                    found.add("contradiction", f"{ident} was shown a head that nobody else sees")
        for name, ident in self._book.posted:
            if (name, ident) not in ids:
                found.add("lost", f"{ident} of {name} was posted and never recorded")
        for name, ident in self._book.never & ids.keys():
            found.add("contradiction", f"{ident} of {name} was never to be recorded, and is")
        for note in self._book.refused & set(notes):
            found.add("contradiction", f"entry {notes.index(note)} had been refused")

    def _archive(self, notes: Sequence[bytes], heads: Sequence[Head], found: Found) -> None:
        archived: list[bytes] = []
        signed = [head.signed for head in heads]
        log = self._log_set.log
        archive = ArchivedLog(self._store, log.name, [log.verifier])
        try:
            for number, commit in enumerate(archive.commits()):
                archived.extend(commit.entries)
                if number >= len(signed) or commit.head_note != signed[number]:
                    found.add("contradiction", f"segment {number} is not commit {number}")
        except BreakglassError as error:
            if notes:
                found.add("contradiction", f"the archive does not hold: {error}")
        if archived != list(notes):
            found.add("contradiction", f"{len(archived)} archived, {len(notes)} in the journal")

    def _witnesses(self, notes: Sequence[bytes], heads: Sequence[Head], found: Found) -> None:
        roots = {}
        edge = TreeEdge()
        ends = {head.size for head in heads}
        for note in notes:
            edge.append(leaf_hash(note))
            if edge.size in ends:
                roots[edge.size] = edge.root()
        newest = heads[-1].cosigned if heads else None
        cosigners = verify_head(newest, self._log_set.policy).cosigners if newest else {}
        for each in self._log_set.witnesses:
            name = each.folder.name
            kept = Heads(each.folder / "data" / "heads").last(self._log_set.log.name)
            if kept.note and roots.get(kept.checkpoint.size) != kept.checkpoint.root:
                found.add("contradiction", f"{name} holds a head of another log")
            if name in cosigners and kept.checkpoint.size < edge.size:
                found.add("contradiction", f"{name} cosigned {edge.size} and does not remember it")

    def _processes(self, found: Found) -> None:
        for each in self._log_set.processes:
            if each.ended() is not None:
                found.add("false_alarm", f"{each.folder.name} ended with {each.ended()}")
            for alarm in ALARMS:
                if alarm in each.said():
                    line = next(line for line in each.said().splitlines() if alarm in line)
                    found.add("false_alarm", f"{each.folder.name} said: {line}")

    def _is_new(self, data: bytes) -> bool:
        digest = hashlib.sha256(data).digest()
        if digest in self._proven:
            return False
        self._proven.add(digest)
        return True
