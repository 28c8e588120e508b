"""A long log for an organisation of ``breakglass init``, without the time that appending takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from breakglass.clock import to_milliseconds
from breakglass.ledger.journal import Entry
from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.process.folder import held
from breakglass.process.key_store import keeping_of
from breakglass.records import all_kinds as kinds
from breakglass.records.record import Envelope, record_text
from breakglass.records.statement import digest_of
from breakglass.tlog.cosignature import cosign
from breakglass.tlog.note import Note, sign_note
from tests.kit.made_journal import fill

GATE = "hello-gate"


def lengthen(org: Path, count: int, gate: str = GATE) -> int:
    """Append so many tallies of a gate to the ledger's journal; returns the log's size then.

    They are real: signed by the gate's key, in its chain, in heads that the log signed and every
    witness cosigned. The organisation must have begun its log, with its ledger stopped.
    """
    with held(org / "ledger"):
        log, key = keeping_of(org / "ledger").read(), keeping_of(org / "gates" / gate).read()
        cosigners = [*org.glob("witness-*"), org / "archiver"]
        witnesses = [keeping_of(each).read() for each in cosigners]
        journal = SqliteJournal(org / "ledger" / "data" / "journal.sqlite")
        journal._writer.execute("pragma synchronous = off")
        place = journal.place(key.verifier.label)
        seq, prev, end = place.next, place.prev, place.next + count

        def batch() -> Sequence[Entry]:
            nonlocal seq, prev
            entries: list[Entry] = []
            now = to_milliseconds(datetime.now(UTC))
            tally = kinds.Passages(gate, now, now, 90, 3, 1, 1, 2, 40, 900, ())
            while seq < end and len(entries) < 256:
                text = record_text(Envelope(log.name, f"passages/{seq}", now, seq, prev), tally)
                prev = digest_of(text)
                note = sign_note(text, key).encoded()
                entries.append(Entry(note, key.verifier.label, f"passages/{seq}", seq, prev))
                seq += 1
            return entries

        def cosigned(head: bytes) -> bytes:
            note = Note.parse(head)
            lines = [cosign(note.text, each, datetime.now(UTC)) for each in witnesses]
            return note.with_lines(*lines).encoded()

        try:
            return fill(journal, log, batch, cosigned)
        finally:
            journal.close()
