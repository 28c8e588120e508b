"""Append to quorum receipt: latency of one client, appends a second of many, and of one in batches.

Every party is a process of its own on this machine: ledger, three witnesses (two needed), archiver;
once with the journal in SQLite, once in PostgreSQL.
Prints JSON lines. Targets: DESIGN.md section 11.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.kit.journals import journal_database
from tests.kit.postgres import start_postgres
from tests.kit.processes import LogSet, draft, running_log_set, signed

from breakglass.clock import SystemClock
from breakglass.replica.follower import Follower
from breakglass.submit.outbox import Outbox
from breakglass.submit.record_header import NO_PREV, numbered, text_digest
from breakglass.tlog.key import check_signature
from breakglass.tlog.note import SignerKey
from breakglass.tlog.tiles import encode_bundle

NOTE_SIZE = 400  # of filling; about 800 bytes a note


def main() -> None:
    """Measure and print."""
    given = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    given.add_argument("--appends", type=int, default=200, help="of the one client")
    given.add_argument("--seconds", type=float, default=5, help="of each throughput run")
    options = given.parse_args()
    with tempfile.TemporaryDirectory() as name:
        say("machine", **machine(Path(name)))
    for journal, settings in journals():
        with tempfile.TemporaryDirectory() as name:
            measured(journal, settings, Path(name), options.appends, options.seconds)


def journals() -> Iterator[tuple[str, str]]:
    """Give each kind of journal, and the ledger's settings for it; PostgreSQL with its fsync on."""
    yield "SQLite", ""
    server = start_postgres(durable=True)
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".dsn") as dsn:
            dsn.write(journal_database(server) + "\n")
            dsn.flush()
            yield "PostgreSQL", f"[postgres]\ndsn_file = {json.dumps(dsn.name)}"
    finally:
        server.close()


def measured(journal: str, settings: str, folder: Path, appends: int, seconds: float) -> None:
    """Print the three figures of one journal."""
    with running_log_set(folder / "set", submitters=66, ledger_settings=settings) as log_set:
        figures = one_client(log_set, folder, appends)
        say("append to quorum receipt", journal=journal, **figures)
        before = cpu_seconds(log_set)
        figures = many(log_set, seconds)
        say("64 submitters", journal=journal, **figures, **spent(log_set, before, figures))
        before = cpu_seconds(log_set)
        figures = batches(log_set, folder, seconds)
        told = "one submitter, batches of 256"
        say(told, journal=journal, **figures, **spent(log_set, before, figures))


def say(what: str, **figures: object) -> None:
    """Print one line."""
    print(json.dumps({"bench": what, **figures}), flush=True)


def machine(folder: Path) -> dict[str, object]:
    """Measure what everything else is made of."""
    key, data = SignerKey.generate("bench"), os.urandom(600)
    verifier, signature = key.verifier, key.sign_bytes(data)
    file = os.open(folder / "fsync", os.O_CREAT | os.O_RDWR)

    def synced() -> None:
        os.pwrite(file, data, 0)
        os.fsync(file)

    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "fsync_ms": round(1e3 / rate(synced, 200), 3),
        "sha256_600_bytes_per_s": round(rate(lambda: hashlib.sha256(data).digest(), 50_000)),
        "ed25519_sign_per_s": round(rate(lambda: key.sign_bytes(data), 3_000)),
        "ed25519_verify_per_s": round(
            rate(lambda: check_signature(verifier, data, signature), 3_000)
        ),
    }


def rate(work: Callable[[], object], times: int) -> float:
    """Return how often a second ``work`` can be done."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return times / (time.perf_counter() - start)


def cpu_seconds(log_set: LogSet) -> dict[str, float]:
    """Return what each process has used so far, and this one; ``client`` is us."""
    ticks = os.sysconf("SC_CLK_TCK")
    used = {"client": sum(os.times()[:2])}
    for each in log_set.processes:
        assert each.popen is not None
        words = Path(f"/proc/{each.popen.pid}/stat").read_text().rpartition(")")[2].split()
        used[each.folder.name] = (int(words[11]) + int(words[12])) / ticks
    return used


def spent(
    log_set: LogSet, before: dict[str, float], figures: dict[str, object]
) -> dict[str, object]:
    """Say how much CPU an append took in each process: what other work on the machine leaves be."""
    after = cpu_seconds(log_set)
    appends = int(str(figures["appends"]))
    micros = {name: round((after[name] - before[name]) / appends * 1e6) for name in after}
    return {"cpu_us_per_append": micros, "load": round(os.getloadavg()[0], 1)}


def one_client(log_set: LogSet, folder: Path, appends: int) -> dict[str, object]:
    """Append one note after another, through an outbox; and see how far behind a follower is."""
    (folder / "one").mkdir()
    outbox = Outbox(
        log_set.ledger.neighbour(), log_set.submitters[64], folder / "one", SystemClock()
    )
    follower = Follower(
        log_set.ledger.neighbour(), lambda: log_set.policy, folder / "follower", lambda entry: None
    ).start()
    took, behind = [], []
    for number in range(appends):
        start = time.perf_counter()
        (receipt,) = outbox.append([draft(f"one-{number}", size=NOTE_SIZE)], timedelta(seconds=5))
        answered = time.perf_counter()
        follower.wait_for(receipt.index, timedelta(seconds=5))
        took.append(answered - start)
        behind.append(time.perf_counter() - answered)
    outbox.close()
    follower.close()
    return {
        "appends": appends,
        **quantiles(took, "ms"),
        "target_p50_ms": 25,
        "target_p99_ms": 80,
        **quantiles(behind, "follower_behind_ms"),
    }


def quantiles(seconds: list[float], name: str) -> dict[str, float]:
    """Return median and 99th percentile in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"p50_{name}": round(cuts[49] * 1e3, 2), f"p99_{name}": round(cuts[98] * 1e3, 2)}


def many(log_set: LogSet, seconds: float) -> dict[str, object]:
    """Let 64 submitters append one note each, again and again."""
    counts, took = [0] * 64, []
    until = time.perf_counter() + seconds

    def submit(number: int) -> None:
        signer, neighbour, prev = log_set.submitters[number], log_set.ledger.neighbour(), NO_PREV
        while time.perf_counter() < until:
            start = time.perf_counter()
            made = draft(f"many-{counts[number]}", size=NOTE_SIZE)
            note = signed(made, signer, counts[number], prev)
            prev = text_digest(numbered(made.text, counts[number], prev))
            neighbour.post("/append", encode_bundle([note]))
            counts[number] += 1
            took.append(time.perf_counter() - start)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(64)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = sum(counts)
    per_second = round(done / (time.perf_counter() - start))
    return {
        "appends": done,
        "appends_per_s": per_second,
        "target_per_s": 1000,
        **quantiles(took, "ms"),
    }


def batches(log_set: LogSet, folder: Path, seconds: float) -> dict[str, object]:
    """Let one submitter append as fast as it can: two callers of its outbox, 256 notes a call."""
    (folder / "batches").mkdir()
    outbox = Outbox(
        log_set.ledger.neighbour(), log_set.submitters[65], folder / "batches", SystemClock()
    )
    counts = [0, 0]
    start = time.perf_counter()

    def submit(number: int) -> None:
        while time.perf_counter() < start + seconds:
            ids = (f"batch-{number}-{counts[number] + at}" for at in range(256))
            drafts = [draft(each, size=NOTE_SIZE) for each in ids]
            counts[number] += len(outbox.append(drafts, timedelta(seconds=5)))

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = sum(counts)
    per_second = round(done / (time.perf_counter() - start))
    outbox.close()
    return {"appends": done, "appends_per_s": per_second, "target_per_s": 5000}


if __name__ == "__main__":
    main()
