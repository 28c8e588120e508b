"""Rates and verdicts: 200 gates, two years, a million passages; JSON lines, one a measurement.

    python bench/deviance.py              # cold and incremental, and a page
    python bench/deviance.py --accuracy   # the verdicts on organisations that nobody looked at

With ``--first 10000`` they are those of docs/explanation/verdicts.md.

Cold is reading the folder and judging every gate in a fresh process state; incremental is one new
bypass at each of five gates within the day.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from breakglass.verdicts.charts.page import page
from breakglass.verdicts.folder import read_folder, write_folder
from breakglass.verdicts.history import Bypass
from breakglass.verdicts.verdict_board import VerdictBoard

GATES, WEEKS, PASSAGES = 200, 104, 1_000_000
AS_OF = datetime(2026, 6, 29, tzinfo=UTC)
FILLERS = ("cart", "search", "billing", "login", "mailer", "stock", "pricing", "edge")
REASONS = (
    "integration suite flaky again on {}, passed on rerun",
    "gate takes 40 minutes and the rollback of {} cannot wait",
    "checkout 5xx spike, rolling {} back",
    "hotfix for {}",
    "nobody from the approver group answered for {}",
    "config typo in {}",
    "order queue stuck, clearing the DLQ of {}",
    "rotate the certificate of {} before it ends",
)


def say(name: str, value: float, unit: str, bound: float | None = None) -> None:
    line: dict[str, object] = {"bench": "deviance", "name": name, "value": value, "unit": unit}
    if bound is not None:
        line |= {"bound": bound, "holds": value < bound}
    print(json.dumps(line), flush=True)


def organisation(folder: Path) -> int:
    """Write two years of 200 gates, about 1 % of a million passages bypassed."""
    rng = random.Random("bench")
    people = [f"p{i:03d}" for i in range(120)]
    start = AS_OF.date() - timedelta(weeks=WEEKS)
    events: list[Bypass] = []
    passages: dict[str, dict[date, float]] = {}
    shares: dict[str, dict[str, dict[str, float]]] = {}
    weights = [rng.paretovariate(1.2) for _ in range(GATES)]
    for number, weight in enumerate(weights):
        gate = f"gate-{number:03d}"
        weekly = PASSAGES * weight / sum(weights) / WEEKS
        passages[gate] = {
            start + timedelta(weeks=w): float(round(weekly * rng.uniform(0.8, 1.2)))
            for w in range(WEEKS)
        }
        team = rng.sample(people, 12)
        shares[gate] = {"": dict.fromkeys(team, 1 / 12)}
        for _ in range(round(weekly * WEEKS * rng.choice((0.002, 0.004, 0.02)))):
            at = AS_OF - timedelta(seconds=rng.uniform(0, WEEKS * 7 * 86400))
            incident = f"INC-{rng.randint(1, 5000)}" if rng.random() < 0.6 else ""
            reason = rng.choice(REASONS).format(rng.choice(FILLERS))
            person = rng.choice(team)
            events.append(Bypass(f"b{len(events)}", at, gate, person, incident, reason=reason))
    write_folder(folder, AS_OF, events, passages, shares)
    return len(events)


def speed() -> bool:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "history"
        bypasses = organisation(folder)
        say("bypasses", bypasses, "count")
        began = time.perf_counter()
        history = read_folder(folder)
        read = time.perf_counter() - began
        standing = VerdictBoard()
        standing.refresh(history)
        cold = time.perf_counter() - began
        say("read", round(read, 3), "s")
        say("cold", round(cold, 3), "s", 5.0)
        gates = list(history.gates)
        for at in range(0, GATES, GATES // 5):
            new = Bypass("new", AS_OF - timedelta(hours=1), gates[at].name, "p001", reason="flaky")
            gates[at] = replace(gates[at], events=(*gates[at].events, new))
        began = time.perf_counter()
        judged = standing.refresh(replace(history, gates=tuple(gates)))
        changed = time.perf_counter() - began
        say("judged_again", len(judged), "gates")
        say("incremental", round(changed, 3), "s", 0.5)
        began = time.perf_counter()
        written = page(history, list(standing.verdicts.values()), "bench")
        drawn = time.perf_counter() - began
        say("page", round(drawn, 3), "s", 3.0)
        say("page_size", len(written.encode()), "bytes", 1_000_000)
        return cold < 5.0 and changed < 0.5 and drawn < 3.0 and len(written.encode()) < 1_000_000


def accuracy(organisations: int, first_held_out: int) -> bool:
    """Score the verdicts on both simulators, tuned and held out, with exact limits."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.verdicts.scoring import MAKERS, score

    from breakglass.verdicts.intervals import share_exact

    def limits(share: float, gates: int) -> list[float]:
        found = share_exact(round(share * gates), gates)
        return [round(found.low, 3), round(found.high, 3)]

    for maker in MAKERS:
        for held_out in (False, True):
            first = first_held_out if held_out else 0
            for level in ("easy", "medium", "unfamiliar", "hard"):
                seeds = range(first, first + organisations)
                told = score(level, seeds, held_out=held_out, maker=maker)
                line = {
                    "bench": "deviance",
                    "name": "accuracy",
                    "simulator": maker,
                    "level": level,
                    "set": "held out" if held_out else "tuned on",
                    "gates": told.gates,
                    "accuracy": round(told.accuracy, 3),
                    "accuracy_95": limits(told.accuracy, told.gates),
                    "harm": round(told.harm, 3),
                    "harm_95": limits(told.harm, told.gates),
                    "false_alarms": round(told.false_alarms, 3),
                    "coverage": round(told.coverage, 3),
                    "lowest_recall": round(told.lowest_recall, 3),
                    "confusion": {
                        f"{truth}>{read}": n for (truth, read), n in sorted(told.confusion.items())
                    },
                }
                print(json.dumps(line), flush=True)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--accuracy", action="store_true", help="score the verdicts instead")
    parser.add_argument("--organisations", type=int, default=84, help="per level, 12 gates each")
    # Organisations under 11005 were looked at; docs/explanation/verdicts.md counts it.
    parser.add_argument("--first", type=int, default=11_005, help="first one that is held out")
    chosen = parser.parse_args()
    good = accuracy(chosen.organisations, chosen.first) if chosen.accuracy else speed()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
