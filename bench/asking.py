"""Ask, approve, usable: what the platform takes beyond the people's own signing; JSON line.

    .venv/bin/python bench/asking.py [TIMES]

One ask at one broker, its approval at a second one, and the ask's own statement at the first: two
brokers, ledger, witnesses, archiver and minter as processes, the target simulated. People sign in
this process, and that time is not counted. ``waiter`` is how long behind the approval's answer the
asker's waiting request was answered, at the other broker. Target: 80 ms.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.broker.shop import SIMULATED, Shop, make_shop
from tests.kit.processes import until

from breakglass.records.statement import Do, Why

TARGET_MS = 80


class AskingShop(Shop):
    """The small shop, whose glass with a credential may be asked for."""

    def bundle(self) -> dict[str, bytes]:
        """Return the bundle."""
        found = super().bundle()
        text = found["breakglass.yaml"]
        text = text.replace(
            b"    for: 20m\n",
            b"    for: 20m\n    approvers: {from: [group:leads], ask_need: 1}\n",
        )
        return {**found, "breakglass.yaml": text}


def main(times: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="breakglass-bench-") as name:
        shop = make_shop(Path(name), SIMULATED, AskingShop)
        try:
            shop.start()
            shop.brokers[1].start()
            until(lambda: shop.get("/healthz", 1)["ok"])
            took = [_once(shop, turn) for turn in range(times + 4)][4:]  # the first ones compile
        finally:
            shop.stop()
    parts = {part: round(statistics.median(each[part] for each in took), 1) for part in took[0]}
    line = {"bench": "ask_to_usable_ms", "n": times, **parts, "target": TARGET_MS}
    print(json.dumps({**line, "load": round(os.getloadavg()[0], 1)}))


def _once(shop: Shop, turn: int) -> dict[str, float]:
    # By turns: a broker takes ten asks of one person in a minute.
    here, who = turn % 2, ("mira", "teo")[turn // 2 % 2]
    why = Why("production", f"orders stuck in 'new', shard {turn}")  # nobody asks twice for one
    asking = shop.asking(do=Do.ASK, who=who, reason=why)
    with (
        shop.brokers[here].neighbour(30) as first,
        shop.brokers[1 - here].neighbour(30) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        first.get("/healthz"), second.get("/healthz")  # connections stand, as a client's do
        began = time.monotonic()
        view = first.post_json("/asks", asking.body)
        asked = time.monotonic()
        waiting = pool.submit(_waited, shop, here, asking.grant, view["version"])
        word = shop.answering(Do.APPROVE, asking, "sam")
        signed = time.monotonic()
        second.post_json("/answers", word)
        approved = time.monotonic()
        told = waiting.result()
        heard = max(told, approved)
        granted = first.post_json("/break", asking.body)
        usable = time.monotonic()
    assert granted["minted"]
    shop.done(asking, who)
    parts = {
        "ask": asked - began,
        "approve": approved - signed,
        "waiter": heard - approved,
        "break": usable - heard,
    }
    return {part: each * 1000 for part, each in {"p50": sum(parts.values()), **parts}.items()}


def _waited(shop: Shop, broker: int, grant: str, version: int) -> float:
    with shop.brokers[broker].neighbour(30) as asker:
        found: dict[str, Any] = asker.get(f"/requests/{grant}?after={version}&wait=20").json()
    assert found["state"] == "granted"
    return time.monotonic()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
