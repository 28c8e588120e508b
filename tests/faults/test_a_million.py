"""A log of 1,000,000 records: in little memory, and fsck and verify over all of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from breakglass.ledger.journal import Entry
from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.tlog.cosignature import cosign
from breakglass.tlog.note import Note
from tests.faults.ledger_client import Clerk
from tests.kit.made_journal import fill

LEDGER_MB = 200  # resident, of the whole process
READER_MB = 300
FILLING = b"x" * 500


def filled(clerk: Clerk, count: int) -> None:
    """Fill the ledger's journal with whole commits that the quorum cosigned."""
    log_set = clerk.log_set
    (log_set.ledger.folder / "data").mkdir(mode=0o700)
    journal = SqliteJournal(log_set.ledger.folder / "data" / "journal.sqlite")
    journal._writer.execute("pragma synchronous = off")
    key = log_set.submitters[0].verifier.label
    made = 0

    def batch() -> Sequence[Entry]:
        nonlocal made
        numbers = range(made, min(made + 256, count))
        made = numbers.stop
        return [
            Entry(b"note %d\n" % each + FILLING, key, f"id-{each}", each, f"{each:064x}")
            for each in numbers
        ]

    def cosigned(head: bytes) -> bytes:
        note = Note.parse(head)
        lines = [cosign(note.text, signer, datetime.now(UTC)) for signer in log_set.keys.values()]
        return note.with_lines(*lines).encoded()

    assert fill(journal, log_set.log, batch, cosigned) == count
    journal.close()


def resident_mb(pid: int, what: str) -> int:
    """Return a process's memory in MB: ``VmRSS`` now, ``VmHWM`` at most so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) // 1024


def run(script: str, *arguments: str) -> tuple[str, int]:
    """Run a script in a process of its own; returns what it said and its most memory in MB."""
    # VmHWM, and not ru_maxrss: that one begins with the memory of whoever started the process.
    measured = (
        script
        + "\nlines = open('/proc/self/status').read().splitlines()"
        + "\nprint('MB', int(next(x for x in lines if x.startswith('VmHWM')).split()[1]) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measured, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said, _, memory = done.stdout.rpartition("MB ")
    return said, int(memory)


FSCK = """
import sys
from pathlib import Path
from breakglass.ledger.fsck import check_folder
told = []
found = check_folder(Path(sys.argv[1]), progress=lambda done, of: told.append((done, of)))
print(found.size, found.sound, len(told), told[-1])
"""
VERIFY = """
import sys
from pathlib import Path
from breakglass.ledger.export import export
from breakglass.ledger.verifier import verify_heads, verify_tree
from breakglass.tlog.policy import parse_policy
ledger, copy = map(Path, sys.argv[1:])
text = (ledger / "policy").read_text()
told = []
export(ledger, copy, policy_text=text, progress=lambda done, of: told.append(done))
head = verify_tree(copy, parse_policy(text), lambda done, of: told.append(done))
entries = sum(1 for entry in verify_heads(copy, parse_policy(text), head.checkpoint))
print(head.checkpoint.size, entries, len(told))
"""


@pytest.mark.parametrize(
    "count", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)], ids=["20000", "1000000"]
)
def test_a_log_of_so_many_entries_is_served_checked_and_verified_in_bounded_memory(
    make: Callable[..., Clerk], count: int
) -> None:
    clerk = make()
    filled(clerk, count)
    ledger = clerk.log_set.ledger
    ledger.start()
    assert ledger.popen is not None
    assert clerk.ledger.get("/healthz").json()["size"] == count
    for index in (0, count // 2, count - 1):
        assert clerk.ledger.get(f"/proof/{index}").body
    followed = 0
    while followed < min(count, 50_000):
        commits = clerk.ledger.get(f"/entries?from={followed}&wait=0").json()["commits"]
        followed = commits[-1]["first"] + len(commits[-1]["entries"])
    assert resident_mb(ledger.popen.pid, "VmHWM") < LEDGER_MB
    ledger.stop()
    said, most = run(FSCK, str(ledger.folder))
    assert said.split()[:3] == [str(count), "True", str(-(-count // 256))]
    assert most < READER_MB
    copy = ledger.folder.parent / "copy"
    said, most = run(VERIFY, str(ledger.folder), str(copy))
    assert said.split() == [str(count), str(count), str(2 * -(-count // 256))]
    assert most < READER_MB
