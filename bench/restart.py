"""How soon a ledger answers after a start, by the size of its journal, and what memory it takes.

The journal is filled directly, without a ledger; its notes are not signed, since a start does not
look at them. Also: how long ``ledger fsck`` needs for all of it, per 100,000 entries. Prints JSON
lines. Targets: start under 2 s and memory under 200 MB with 1,000,000 entries (issue 3).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.kit.made_journal import fill
from tests.kit.processes import LogSet, make_log_set

from breakglass.ledger.fsck import check_folder
from breakglass.ledger.journal import Entry
from breakglass.ledger.sqlite_journal import SqliteJournal

FILLING = b"x" * 500


def main() -> None:
    """Measure and print."""
    given = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    given.add_argument("--entries", type=int, default=1_000_000)
    given.add_argument("--starts", type=int, default=5)
    options = given.parse_args()
    with tempfile.TemporaryDirectory() as name:
        log_set = make_log_set(Path(name) / "set")
        try:
            run(log_set, options.entries, options.starts)
        finally:
            log_set.kill()


def run(log_set: LogSet, entries: int, starts: int) -> None:
    """Start on an empty journal, and on a full one."""
    for each in log_set.processes[:-1]:
        each.start()
    say("start, empty", **started(log_set, starts))
    log_set.ledger.stop()
    (log_set.ledger.folder / "data" / "journal.sqlite").unlink()
    began = time.perf_counter()
    filled = make_journal(log_set, entries)
    say("journal made", entries=filled, seconds=round(time.perf_counter() - began, 1))
    say("start, full", entries=filled, target_s=2, **started(log_set, starts))
    log_set.ledger.stop()
    began = time.perf_counter()
    found = check_folder(log_set.ledger.folder)
    seconds = time.perf_counter() - began
    say("fsck", sound=found.sound, entries_per_s=round(filled / seconds))


def say(what: str, **figures: object) -> None:
    """Print one line."""
    print(json.dumps({"bench": what, **figures}), flush=True)


def started(log_set: LogSet, starts: int) -> dict[str, object]:
    """Start the ledger so many times, until it answers with its size; the last one runs on."""
    took, size = [], 0
    for number in range(starts):
        if number:
            log_set.ledger.stop()
        began = time.perf_counter()
        log_set.ledger.start()
        size = log_set.ledger.neighbour().get("/healthz").json()["size"]
        took.append(time.perf_counter() - began)
    assert log_set.ledger.popen is not None
    status = Path(f"/proc/{log_set.ledger.popen.pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return {
        "size": size,
        "min_s": round(min(took), 2),
        "max_s": round(max(took), 2),
        "resident_mb": int(resident.split()[1]) // 1024,
        "load": round(os.getloadavg()[0], 1),
    }


def make_journal(log_set: LogSet, entries: int) -> int:
    """Fill the ledger's journal, 256 entries a commit."""
    path = log_set.ledger.folder / "data" / "journal.sqlite"
    journal = SqliteJournal(path)
    journal._writer.execute("pragma synchronous = off")
    key = log_set.submitters[0].verifier.label
    made = 0

    def batch() -> Sequence[Entry]:
        nonlocal made
        numbers = range(made, min(made + 256, entries))
        made = numbers.stop
        return [
            Entry(b"note %d\n" % each + FILLING, key, f"id-{each}", each, f"{each:064x}")
            for each in numbers
        ]

    size = fill(journal, log_set.log, batch)
    journal.close()
    return size


if __name__ == "__main__":
    main()
