"""Start a process that writes down when it reached each step of its story; for bench/breaking.py.

    python bench/stepping.py ROOM FOLDER [--die-with-parent PID]

The hooks are those at which tests crash. A line of the file ``steps`` in the folder: the thread,
the step's name, and the time by the monotonic clock in nanoseconds.
"""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import threading
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

from breakglass.process.serving import process_main

HOOKS = {"ledger": "reached", "broker": "at", "minter": "at"}
_FIRST = ("1", "parsed", "verified", "answered")  # of a story; what lies before is rest
FILE = "steps"


def main(arguments: list[str]) -> int:
    """Serve a folder and write the steps down; returns the exit code."""
    room, *rest = arguments
    app = importlib.import_module(f"breakglass.{room}.app")
    file = os.open(Path(rest[0]) / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def reached(step: object) -> None:
        line = f"{threading.get_ident()} {step} {time.monotonic_ns()}\n"
        os.write(file, line.encode())

    return process_main(rest, partial(app.build, **{HOOKS[room]: reached}), room)


def between(file: Path, since_ns: int) -> dict[str, list[float]]:
    """Return, for each two steps that followed each other in a thread, the milliseconds between."""
    last: dict[str, tuple[str, int]] = {}
    found: defaultdict[str, list[float]] = defaultdict(list)
    for line in file.read_text("ascii").splitlines():
        thread, step, at = line.split(" ")
        before, then = last.get(thread, ("", 0))
        if before and step not in _FIRST and then >= since_ns:
            found[f"{before} to {step}"].append((int(at) - then) / 1e6)
        last[thread] = step, int(at)
    return found


def medians(file: Path, since_ns: int, at_least: int) -> dict[str, float]:
    """Return the middle of each that was seen so often, in the order in which they came."""
    took = between(file, since_ns)
    return {
        name: round(statistics.median(each), 2)
        for name, each in took.items()
        if len(each) >= at_least
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
