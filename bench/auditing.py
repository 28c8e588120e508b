"""A full audit of a copied log: every signature, tile, root and head, and the fold; on 1..n cores.

The log is whole lives of grants with real keys, in an export as `breakglass ledger export` writes
it. Prints JSON lines. Target (DESIGN.md section 11): 4,000 records a second and core, scaling over
cores; the tree alone 100,000.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.verifying import lives
from tests.kit.made_journal import fill
from tests.kit.organisation import Organisation

from breakglass.cli.verify_copy import audit
from breakglass.ledger.export import export
from breakglass.ledger.journal import Entry
from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.ledger.verifier import verify_tree
from breakglass.submit.record_header import read_numbering, text_digest
from breakglass.tlog.cosignature import cosign
from breakglass.tlog.note import Note


def main() -> None:
    """Measure and print."""
    given = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    given.add_argument("--grants", type=int, default=1000, help="10 records each")
    options = given.parse_args()
    org = lives(options.grants)
    for commit in (1, 4, 64):
        with tempfile.TemporaryDirectory() as name:
            copied(org, Path(name), commit)
            for cores in range(1, len(os.sched_getaffinity(0)) + 1):
                say(org, Path(name) / "copy", commit, cores)


def copied(org: Organisation, folder: Path, commit: int) -> None:
    """Write an export of the organisation's log, with so many records in each commit."""
    (folder / "data").mkdir()
    journal = SqliteJournal(folder / "data" / "journal.sqlite")
    notes = iter(org.log.notes)

    def batch() -> Sequence[Entry]:
        return [entry(note) for _, note in zip(range(commit), notes, strict=False)]

    def cosigned(head: bytes) -> bytes:
        note = Note.parse(head)
        at = org.now + timedelta(seconds=1)
        lines = [cosign(note.text, key, at) for key in org.log.witnesses.values()]
        return note.with_lines(*lines).encoded()

    fill(journal, org.log.signer, batch, cosigned)
    journal.close()
    store = folder / "data" / "attachments"
    for digest, data in org.log.attachments.items():
        (store / digest[:2]).mkdir(parents=True, exist_ok=True)
        (store / digest[:2] / digest).write_bytes(data)
    export(folder, folder / "copy", policy_text=org.trust().tlog.text, trust=org.trust_note())


def entry(note: bytes) -> Entry:
    """Read what a journal keeps beside a note."""
    parsed = Note.parse(note)
    numbering = read_numbering(parsed.text)
    digest = text_digest(parsed.text)
    return Entry(note, parsed.lines[0].key_id, numbering.id, numbering.seq, digest)


def say(org: Organisation, folder: Path, commit: int, cores: int) -> None:
    """Audit once on so many cores."""
    os.sched_setaffinity(0, range(cores))
    began = time.perf_counter()
    verify_tree(folder, org.trust().tlog)
    tree = time.perf_counter() - began
    began = time.perf_counter()
    done = audit(folder, org.trust_note(), lambda step, at, of: None)
    took = time.perf_counter() - began
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    figures = {
        "records": done.state.size,
        "heads": done.heads,
        "records_a_commit": commit,
        "cores": cores,
        "tree_records_per_s": round(done.state.size / tree),
        "records_per_s": round(done.state.size / took),
        "signatures_in_heads_per_s": round(done.heads * (1 + len(org.log.witnesses)) / took),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps({"bench": "full audit", **figures}), flush=True)


if __name__ == "__main__":
    main()
