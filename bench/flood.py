"""What a break takes while strangers flood one process, for each kind of process; JSON lines.

    .venv/bin/python bench/flood.py [BREAKS]

Two floods: 2,000 sockets that say nothing, and 8 connections that send the longest body of a route
again and again. The first line of a kind is the calm just before; targets: a factor of 2 on the
median, no break refused, 300 MB. Flood and breaks share this machine's processors, so the figures
say something only where nothing else runs: the load stands in the first line.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.broker.shop import Shop
from tests.embedded.monitored import monitored_shop, process_of
from tests.kit.flood import LONGEST, SENDERS, SILENT, long_bodies, silent

from breakglass.errors import BreakglassError


def main(breaks: int) -> None:
    """Measure and print."""
    print(json.dumps({"bench": "flood", "load": os.getloadavg()[0], "processors": os.cpu_count()}))
    with (
        tempfile.TemporaryDirectory(prefix="breakglass-bench-") as name,
        monitored_shop(Path(name)) as shop,
    ):
        for kind in LONGEST:
            calm = measured(shop, kind, "calm", nullcontext(), breaks)
            address = process_of(shop, kind).address
            floods = {
                f"{SILENT} silent": silent(address),
                f"{SENDERS} long bodies": long_bodies(address, LONGEST[kind]),
            }
            for flood, held in floods.items():
                measured(shop, kind, flood, held, breaks, calm)


def measured(
    shop: Shop,
    kind: str,
    flood: str,
    held: AbstractContextManager[object],
    breaks: int,
    calm: float = 0.0,
) -> float:
    """Break so often under a flood, print what it took, and return the median in ms."""
    process = process_of(shop, kind)
    process.forget_peak()
    took, refused = [], 0
    with held:
        for _ in range(breaks):
            asking = shop.asking()
            began = time.perf_counter()
            try:
                shop.break_glass(asking)
            except BreakglassError:
                refused += 1
            took.append((time.perf_counter() - began) * 1000)
    median = statistics.median(took)
    line = {
        "bench": "flood_ms",
        "at": kind,
        "flood": flood,
        "n": breaks,
        "p50": round(median, 1),
        "max": round(max(took), 1),
        "refused": refused,
        "peak_mb": round(process.peak_bytes / 1e6),
    }
    factor = {"factor": round(median / calm, 2)} if calm else {}
    print(json.dumps({**line, **factor}), flush=True)
    return median


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
