"""Start a process whose clock is wrong by a known amount; for the demo and for tests.

    python -m breakglass.demo.skewed_clock ROOM SECONDS FOLDER [--die-with-parent PID]

No setting of any process names another clock; this launcher hands the process's own factory one.
"""

from __future__ import annotations

import importlib
import sys
from datetime import timedelta

from breakglass.clock import OffsetClock, SystemClock
from breakglass.process.serving import process_main

ROOMS = ("ledger", "witness", "archiver", "broker", "minter", "monitor")


def main(arguments: list[str]) -> int:
    """Serve a folder with a clock that is off; returns the exit code."""
    if len(arguments) < 3 or arguments[0] not in ROOMS:
        print(__doc__, file=sys.stderr)
        return 2
    room, seconds, *rest = arguments
    clock = OffsetClock(SystemClock(), timedelta(seconds=float(seconds)))
    app = importlib.import_module(f"breakglass.{room}.app")
    return process_main(rest, app.build, room, clock)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
