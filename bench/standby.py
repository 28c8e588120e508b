"""How soon a standby ledger is open after the active one was killed, frozen or stopped.

Every party is a process of its own on this machine, PostgreSQL too, with its fsync on. Two figures
a run: until the standby says that it is active, and until a client with both addresses, which
appends all the time, has its next receipt. Prints JSON lines. Target: 3 s (issue 3).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.kit.postgres import start_postgres
from tests.kit.processes import draft
from tests.kit.standby import Pair, append, make_pair, role

TARGET_S = 3


def main() -> None:
    """Measure and print."""
    given = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    given.add_argument("--runs", type=int, default=10, help="of each kind")
    given.add_argument("--appends", type=int, default=100, help="for the latency without a switch")
    options = given.parse_args()
    server = start_postgres(durable=True)
    try:
        with tempfile.TemporaryDirectory() as name:
            pair = make_pair(Path(name) / "set", server)
            try:
                pair.start()
                say("machine", cores=os.cpu_count(), load=os.getloadavg()[0])
                say("append to quorum receipt", **latency(pair, options.appends))
                for how in ("kill -9", "SIGSTOP", "SIGTERM"):
                    say(f"takeover after {how}", **takeovers(pair, how, options.runs))
            finally:
                pair.kill()
    finally:
        server.close()


def say(what: str, **figures: object) -> None:
    """Print one line."""
    print(json.dumps({"bench": what, **figures}), flush=True)


def latency(pair: Pair, appends: int) -> dict[str, object]:
    """Append one note after another with nothing wrong."""
    outbox, took = pair.outbox(), []
    for number in range(appends):
        start = time.perf_counter()
        append(outbox, f"latency-{number}")
        took.append(time.perf_counter() - start)
    outbox.close()
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    return {"p50_ms": round(cuts[49] * 1e3, 2), "p99_ms": round(cuts[98] * 1e3, 2)}


def takeovers(pair: Pair, how: str, runs: int) -> dict[str, object]:
    """End the active one so many times."""
    opened, answered = [], []
    for run in range(runs):
        active = pair.active()
        standby = pair.other(active)
        while role(standby) != "standby":
            time.sleep(0.01)
        with Client(pair, f"{how}-{run}") as client:
            start = time.perf_counter()
            if how == "kill -9":
                active.kill()
            elif how == "SIGSTOP":
                active.signal(signal.SIGSTOP)
            else:
                active.signal(signal.SIGTERM)
            while role(standby) != "active":
                time.sleep(0.005)
            opened.append(time.perf_counter() - start)
            answered.append(client.answered_after(start + opened[-1]) - start)
        active.signal(signal.SIGCONT)
        active.wait_ended()
        active.start()
    return {
        "runs": runs,
        "open_s": spread(opened),
        "next_receipt_s": spread(answered),
        "target_s": TARGET_S,
        "load": round(os.getloadavg()[0], 1),
    }


class Client:
    """Appends all the time, and remembers when each receipt came."""

    def __init__(self, pair: Pair, name: str) -> None:
        self._outbox = pair.outbox()
        self._name = name
        self._done = threading.Event()
        self._came: list[float] = []
        self._thread = threading.Thread(target=self._append)

    def __enter__(self) -> Client:
        self._thread.start()
        while not self._came:
            time.sleep(0.001)
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self._outbox.close()

    def answered_after(self, moment: float) -> float:
        """Return when the first receipt came that can only be from the new one."""
        while not self._came or self._came[-1] < moment:
            time.sleep(0.001)
        return next(each for each in self._came if each >= moment)

    def _append(self) -> None:
        for number in itertools.count():
            if self._done.is_set():
                return
            self._outbox.append([draft(f"{self._name}-{number}")], timedelta(seconds=30))
            self._came.append(time.perf_counter())


def spread(seconds: list[float]) -> dict[str, float]:
    """Return the middle and the ends."""
    return {
        "min": round(min(seconds), 3),
        "median": round(statistics.median(seconds), 3),
        "max": round(max(seconds), 3),
    }


if __name__ == "__main__":
    main()
