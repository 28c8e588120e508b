"""How soon processes are ready after a start, by the size of the log, and what memory they take.

The ledger (``--entries``): its journal is filled directly; its notes are not signed, since a start
does not look at them. Also: how long ``ledger fsck`` needs for all of it, per 100,000 entries.
Targets: start under 2 s and memory under 200 MB with 1,000,000 entries (issue 3).

Broker, minter and monitor (``--records``, one or more numbers): one after the other, each alone
with the ledger, until its view is current; from its snapshot, from its cache alone, and from the
ledger; beside a log with no grant in it. The records are real: of 1,000,000 there are 75,000 grants
and the tallies of 200 gates, told over 200 days of witnessed time. And ``up`` as a whole. Prints
JSON lines; 0 leaves a part out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.kit.made_journal import fill
from tests.kit.months_log import Life, make_months
from tests.kit.processes import LogSet, make_log_set

from breakglass.embedded.readiness import Readiness
from breakglass.embedded.supervisor import Started
from breakglass.embedded.up import Organisation, Process, processes_of, running
from breakglass.ledger.fsck import check_folder
from breakglass.ledger.journal import Entry
from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.node.snapshots import SNAPSHOT

FILLING = b"x" * 500
CACHES = {"monitor": "data/ledger"}  # of the others: data/view
WAYS = ("from the snapshot", "from the cache", "from the ledger")


def main() -> None:
    """Measure and print."""
    given = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    given.add_argument("--entries", type=int, default=1_000_000)
    given.add_argument("--starts", type=int, default=5)
    given.add_argument("--records", type=int, nargs="*", default=[20_000])
    given.add_argument("--made", type=Path, help="an organisation that tests.kit.months_log made")
    options = given.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.entries:
            log_set = make_log_set(Path(name) / "set")
            try:
                run(log_set, options.entries, options.starts)
            finally:
                log_set.kill()
        for records in filter(None, options.records):
            followers(Path(name), records)
    if options.made:
        measure(options.made)


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
    return {
        "size": size,
        "min_s": round(min(took), 2),
        "max_s": round(max(took), 2),
        "resident_mb": resident_mb(log_set.ledger.popen.pid),
        "load": round(os.getloadavg()[0], 1),
    }


def resident_mb(pid: int) -> int:
    """Return the memory that a process has now, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(resident.split()[1]) // 1024


def followers(folder: Path, records: int) -> None:
    """Make a log of so many records, and one with no grant in it, and measure on both."""
    life = Life(grants=records * 75 // 1000, gates=max(1, records // 5000), records=records)
    for name, each in (("empty", Life(1, 0, 1, 0)), ("full", life)):
        org = folder / f"{name}-{records}"
        began = time.perf_counter()
        make_months(org, each, datetime.now(UTC).replace(second=0, microsecond=0))
        say("log made", records=records, seconds=round(time.perf_counter() - began, 1))
        measure(org)


def measure(org: Path) -> None:
    """Start broker, minter and monitor of an organisation, in each of the three ways."""
    began = time.perf_counter()
    # Every cache is full afterwards, and the archiver has everything.
    with running(org) as organisation:
        size = organisation.get("ledger", "/healthz")["size"]
        say("up, the first time", entries=size, seconds=round(time.perf_counter() - began, 2))
    began = time.perf_counter()
    with running(org):
        say("up", entries=size, seconds=round(time.perf_counter() - began, 2))
    cosigners, *groups = processes_of(org)
    with running(org, [cosigners]) as organisation:
        for process in (each for group in groups for each in group):
            for how in WAYS:
                ready(organisation, process, size, how)


def ready(organisation: Organisation, process: Process, size: int, how: str) -> None:
    """Start one process, print how soon its view was current, and stop it."""
    view = organisation.org / process.name / CACHES.get(process.name, "data/view")
    if how == "from the cache":
        (view / SNAPSHOT).unlink(missing_ok=True)
    elif how == "from the ledger":
        shutil.rmtree(view)
    found: list[Started] = []
    readiness = Readiness(found.append, lambda readings: None)
    readiness.add(organisation.start(process))
    readiness.wait_ready()
    (started,) = found
    seconds = started.took.total_seconds()
    say(
        f"{process.room} ready",
        how=how,
        entries=size,
        seconds=round(seconds, 2),
        entries_per_s=round(size / seconds),
        resident_mb=resident_mb(started.pid),
        load=round(os.getloadavg()[0], 1),
    )
    organisation.stop(process.name)


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
