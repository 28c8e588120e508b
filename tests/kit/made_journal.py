"""Journals made without a ledger: whole commits, signed, and cosigned by nobody in particular."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from breakglass.ledger.journal import Commit, Entry, Head, Journal
from breakglass.ledger.journal_tiles import JournalTiles
from breakglass.ledger.merkle_frontier import GrowingTree
from breakglass.submit.record_header import NO_PREV, text_digest
from breakglass.tlog.checkpoint import Checkpoint, sign_checkpoint
from breakglass.tlog.hashing import leaf_hash
from breakglass.tlog.note import Note, SignerKey
from tests.kit.processes import draft, signed


def signed_entries(count: int, submitter: SignerKey) -> list[Entry]:
    """Make a submitter's first notes, numbered and signed."""
    entries, prev = [], NO_PREV
    for seq in range(count):
        note = signed(draft(f"n-{seq}"), submitter, seq, prev)
        prev = text_digest(Note.parse(note).text)
        entries.append(Entry(note, submitter.verifier.label, f"n-{seq}", seq, prev))
    return entries


def fill(
    journal: Journal,
    log: SignerKey,
    batches: Callable[[], Sequence[Entry]],
    cosigned: Callable[[bytes], bytes] = bytes,
) -> int:
    """Commit batch after batch (1 to 256 entries), until one is empty; returns the size.

    Goes on where the journal ends.
    """
    newest = journal.newest()
    size, before = (newest.size, newest.signed) if newest else (0, b"")
    tree = GrowingTree(JournalTiles(journal), size)
    while entries := batches():
        size = tree.size
        tiles = tree.extend(leaf_hash(entry.note) for entry in entries)
        tree.forget()
        checkpoint = Checkpoint(log.name, tree.size, tree.root())
        note = sign_checkpoint(checkpoint, log).encoded()
        journal.commit(Commit(size, before, entries, tiles, Head(tree.size, note)))
        journal.cosign(tree.size, cosigned(note))
        before = note
    return tree.size
