"""How long a token takes to verify in process and how large it is, and how fast a log folds.

JSON lines. Targets (DESIGN.md section 11): 2 ms and 12 KB a token and 3 KB a card, for 10 people on
the card's list and for 10,000; 4,000 records a second and core, without heads.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.kit.organisation import NOW, Organisation
from vectors.token.forging import crowded

from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import fold
from breakglass.records.kinds.alert import Delivery
from breakglass.records.kinds.ended import EndedWhy
from breakglass.token.token import Token, parse_token
from breakglass.token.verify import verify_token

TOKENS, GRANTS = 400, 200


def main() -> None:
    """Print one line a figure."""
    for people in (10, 10_000):
        token(people)
    org = lives(GRANTS)
    log, genesis = list(org.log.entries()), org.genesis
    rates = []
    for _ in range(3):
        start = time.process_time()
        state = fold(genesis, log)
        rates.append(len(log) / (time.process_time() - start))
    assert not state.void.count
    _print("log folded, without heads", max(rates), "records/s/core", records=len(log))


def token(people: int) -> None:
    """Measure a token whose card's list names so many people."""
    found = crowded(people - 1)
    assert isinstance(found.token, Token)
    data, verifier = found.token.encoded().encode(), found.org.verifier(level="archived")
    each_ms = _milliseconds(
        lambda: verify_token(parse_token(data), verifier, "42", found.org.now), TOKENS
    )
    middle, late = each_ms[len(each_ms) // 2], each_ms[-4]
    _print("token verified, in process, CPU", middle, "ms", p99=late, people=people)
    _print("token", len(data), "bytes", people=people)
    _print("card", len(found.token.card), "bytes", people=people)


def lives(grants: int) -> Organisation:
    """Write a log of whole lives of grants, ten records each, a pulse and a tally among them."""
    org = Organisation()
    org.begin()
    tally = kinds.Passages("deploy-approval", NOW, NOW, 90, 3, 1, 1, 2, 40, 900, ())
    role = "minter:orders-db"
    for number in range(grants):
        said = org.statement(glass="orders-repair", nonce=f"{number:032x}")
        signed = org.sign(said)
        org.state_that("broker", org.asked(signed))
        broken = org.break_glass(said=said, signed=signed)
        body = kinds.Minted(broken.grant, "postgres", "bg", {}, broken.intent.not_after, 41)
        org.state_that(role, body)
        org.state_that(role, kinds.Usable(broken.grant, "select 1", 60))
        alarm = kinds.Alert(
            "glass", broken.grant, broken.index, "sink", ("sink",), Delivery.DELIVERED,
            "", 1, "",
        )  # fmt: skip
        org.state_that("monitor", alarm)
        org.justify(broken)
        org.state_that("monitor", kinds.Pulse(1, ("sink", "file")))
        org.state_that("gate:deploy-approval", tally)
        org.state_that(role, kinds.Ended(broken.grant, EndedWhy.IDLE, "", None))
        org.state_that(role, kinds.Dead(broken.grant, "login refused", 900, 1, ()))
    return org


def _milliseconds(call: Callable[[], object], times: int) -> list[float]:
    found = []
    for _ in range(times):
        start = time.process_time()
        call()
        found.append((time.process_time() - start) * 1000)
    return sorted(found)


def _print(what: str, value: float, unit: str, **more: float) -> None:
    rounded = {name: round(each, 3) for name, each in more.items()}
    print(json.dumps({"bench": what, "value": round(value, 3), "unit": unit, **rounded}))


if __name__ == "__main__":
    main()
