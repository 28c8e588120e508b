"""What a minter's API takes while it ends what expired during an outage, and at rest.

    .venv/bin/python bench/ending.py [GRANTS [CALLS]]

A shop of real processes, its target the simulator. The calls are ``POST /mint`` with fresh tokens
and ``GET /grants/ID/credential``, one at a time: first at rest, then behind a cold start of the
minter on 50,000 grants that are over, each with an account and a live session, and with its
``ended`` and ``dead`` still to be told. One JSON line for each, then their ratio (target: p99 at
most 1.5 times) and how many were ended in a second meanwhile. The load stands in the first line.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.broker.shop import Shop, running_shop
from tests.kit.expired_grants import MINTED, fill
from tests.kit.processes import until

from breakglass.errors import BreakglassError

RATIO_AT_MOST = 1.5
SETTINGS = 'platform = "simulated"\n'  # and otherwise as a minter comes


def main(grants: int, calls: int) -> None:
    """Measure and print."""
    print(json.dumps({"bench": "ending", "load": os.getloadavg()[0], "processors": os.cpu_count()}))
    with (
        tempfile.TemporaryDirectory(prefix="breakglass-bench-") as name,
        running_shop(Path(name), SETTINGS) as shop,
    ):
        measured(shop, calls // 10, "warming up")
        calm = measured(shop, calls, "at rest")
        shop.minters[0].stop()
        fill(shop.minters[0].folder / "data", grants, MINTED)
        began = time.monotonic()
        shop.minters[0].start()
        until(lambda: ended(shop) > 0)
        say("begun", grants=grants, first_ended_s=round(time.monotonic() - began, 2))
        before, began = ended(shop), time.monotonic()
        busy = measured(shop, calls, "while they end")
        after, took = ended(shop), time.monotonic() - began
        ratios = {call: round(busy[call] / calm[call], 2) for call in calm}
        say("p99, times that at rest", target=RATIO_AT_MOST, **ratios)
        say("ended meanwhile", grants=after - before, per_second=round((after - before) / took, 1))
        assert after < grants, "all were over before the last call: take more of them"


def measured(shop: Shop, calls: int, what: str) -> dict[str, float]:
    """Call so often, print what it took, and return the p99 of each call in ms."""
    took: dict[str, list[float]] = {"mint": [], "credential": []}
    refused = 0
    for _ in range(calls):
        shop.pulse()
        asking = shop.asking()
        token = shop.recorded(asking).encoded()
        try:
            took["mint"].append(timed(lambda: shop.mint(token)))  # noqa: B023
            took["credential"].append(timed(lambda: credential(shop, asking.grant)))  # noqa: B023
        except BreakglassError as error:
            refused += 1
            print(f"{what}: {error}", file=sys.stderr)
    p99 = {}
    for call, ms in took.items():
        p99[call] = statistics.quantiles(ms, n=100, method="inclusive")[98]
        p50 = round(statistics.median(ms), 1)
        say(f"{call}, {what}", calls=len(ms), p50_ms=p50, p99_ms=round(p99[call], 1))
    if refused:
        say(f"refused, {what}", calls=refused)
    return p99


def timed(call: Callable[[], object]) -> float:
    """Return how many milliseconds a call takes."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def credential(shop: Shop, grant: str) -> None:
    """Fetch it once more, as the broker does."""
    with shop.as_broker() as minter:
        assert minter.get(f"/grants/{grant}/credential").json()["sealed"]


def ended(shop: Shop) -> int:
    """Return how many grants of the minter are dead, by its own table."""
    with shop.minters[0].neighbour() as minter:
        counts: dict[str, int] = minter.get("/state").json()["summary"]["grants"]
    return counts.get("dead", 0)


def say(what: str, **figures: object) -> None:
    """Print one line."""
    print(json.dumps({"bench": "ending", "what": what, **figures}), flush=True)


if __name__ == "__main__":
    main(*([int(each) for each in sys.argv[1:]] + [50_000, 200][len(sys.argv) - 1 :]))
