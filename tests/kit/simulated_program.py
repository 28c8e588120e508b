"""The simulated target behind the contract of a program: docs/reference/command-minter.md.

    python -m tests.kit.simulated_program FILE MINTER VERB

It answers by the simulator's own words, so that whatever holds of that has to hold through the
program too. ``FILE.trouble`` beside the file may hold what the program does wrong: ``hang``,
``leaves``, ``die``, ``nonsense``, ``floods``, ``talks``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from breakglass.clock import SystemClock, parse_time
from breakglass.errors import RefusedError, UnavailableError
from breakglass.minter.platforms.platform import Account, Credential, Order, Pending
from breakglass.minter.platforms.simulated import LIMITS, Simulated

Given = dict[str, Any]
ROLES = {"all"}


def answer(target: Simulated, verb: str, given: Given) -> Given:
    """Do one verb."""
    verbs: dict[str, Callable[[], Given]] = {
        "describe": lambda: _describe(target),
        "mint": lambda: _mint(target, given),
        "probe": lambda: {"evidence": target.probe(_credential(given))},
        "cut": lambda: {"sessions": target.cut(_account(given))},
        "probe-dead": lambda: {"evidence": target.probe_dead(_account(given))},
        "tidy": lambda: {"left_behind": list(target.tidy(_account(given)))},
        "list": lambda: {"handles": target.handles()},
        "check": lambda: {
            "findings": [
                {"says": each.says, "hint": each.hint, "stops": each.stops}
                for each in target.examine([], SystemClock().now())
            ]
        },
    }
    return verbs[verb]()


def _describe(target: Simulated) -> Given:
    described = target.describe()
    return {
        "contract": 1,
        "target": described.target,
        "shortest_s": 1,
        "longest_s": 43200,
        "residual_tail_s": 2,
        "binds_source": True,
        "expiry": described.limits.expiry,
        "cutting": described.limits.cutting,
        "unrecorded": described.limits.unrecorded,
    }


def _mint(target: Simulated, given: Given) -> Given:
    order = Order(
        given["grant"],
        given["handle"],
        given["session"],
        {dimension: tuple(values) for dimension, values in given["scope"].items()},
        parse_time(given["not_before"]),
        parse_time(given["expires"]),
        tuple(given["source"]),
        given["holder"],
        given["token"].encode(),
    )
    if not set(order.scope.get("roles", ())) <= ROLES:
        raise RefusedError("no such role", name="scope_unknown")
    made = target.mint(order)
    if isinstance(made, Pending):
        return {"pending": made.why, "again_in_s": 1}
    return {"secret": made.secret, "connect": made.connect, "ids": dict(made.ids)}


def _credential(given: Given) -> Credential:
    now = SystemClock().now()
    return Credential(given["handle"], given["secret"], given["connect"], given["ids"], now)


def _account(given: Given) -> Account:
    return Account(given["handle"], given["ids"])


def _misbehave(file: Path, verb: str) -> None:
    trouble = file.with_name(f"{file.name}.trouble")
    said = trouble.read_text() if trouble.exists() and verb != "describe" else ""
    if said == "hang":
        time.sleep(60)
    if said == "leaves" and os.fork() == 0:  # a child that holds the answer open
        time.sleep(60)
    if said == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if said == "nonsense":
        print("password=hunter2")
        sys.exit(0)
    if said == "floods":
        print("x" * 1_000_000)
        sys.exit(0)
    if said == "talks":
        print("the cupboard is locked", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Be called once."""
    file, minter, verb = Path(arguments[0]), arguments[1], arguments[2]
    _misbehave(file, verb)
    given = json.loads(sys.stdin.buffer.read())
    target = Simulated(file, minter, SystemClock(), replace(LIMITS, dimensions={"role": "roles"}))
    try:
        print(json.dumps(answer(target, verb, given)))
    except RefusedError as error:
        print(json.dumps({"error": str(error.name), "says": error.message}))
        return 3
    except UnavailableError as error:
        print(error.message, file=sys.stderr)
        return 5
    finally:
        target.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
