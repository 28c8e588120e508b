"""How fast a policy decides and compiles: one JSON line.

    .venv/bin/python bench/deciding.py

CPU time, one core. The budget is 0.3 ms for a decision, whatever the size of the bundle.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from struct import pack

from breakglass.policy.compile import compile_policy
from breakglass.policy.decide import decide
from breakglass.policy.facts import Facts, IncidentFacts
from breakglass.records.signing.signature import Factor

PEOPLE, GLASSES, DECISIONS = 500, 50, 3000
KIND = b"sk-ssh-ed25519@openssh.com"


def key(name: str) -> str:
    """Return a public key that belongs to nobody."""
    parts = (KIND, sha256(name.encode()).digest(), b"ssh:")
    blob = b"".join(pack(">I", len(part)) + part for part in parts)
    return f"{KIND.decode()} {b64encode(blob).decode()}"


def bundle(people: int, glasses: int) -> dict[str, bytes]:
    """Return a bundle of that size: a third of the people in each of three groups."""
    names = [f"p{number}" for number in range(people)]
    lines = ["version: 1", "organisation: bench.example", "people:"]
    lines += [f'  {name}: {{name: {name}, keys: ["{key(name)}"]}}' for name in names]
    lines += ["groups:"]
    lines += [f"  g{part}: {{members: [{', '.join(names[part::3])}]}}" for part in range(3)]
    lines += ["gates:", "  deploy: {protects: production, owner: p0, fail: closed}", "glasses:"]
    for number in range(glasses):
        lines += [
            f"  glass-{number}:",
            "    does: one thing",
            "    blast_radius: contained",
            "    opens_gates: [deploy]",
            "    mint: {postgres: {minter: db, database: orders, template: repair}}",
            "    for: 30m",
            "    who: [group:g0, group:g1]",
            "    when: {incident: [SEV1, SEV2], mfa_age: 5m}",
            "    approvers: {from: [group:g2], ask_need: 1}",
            "    review: {due: 3 business days, by: [group:g2]}",
        ]
    lines += ["channels: {file: {log_file: a.log}, hook: {webhook: 'secret:h'}}"]
    lines += ["alerts: {glass: [file, hook]}", "maintainers: {need: 2, of: [p0, p1]}"]
    return {"breakglass.yaml": "\n".join(lines).encode()}


def seconds(work: Callable[[], object], times: int) -> float:
    """Return CPU seconds for one call."""
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times


def facts(number: int, factor: Factor) -> Facts:
    """Return a request that a touched key answers and a software key does not."""
    return Facts(
        who=f"p{number * 3}",
        glass="glass-1",
        incident=IncidentFacts("INC-1", "SEV1", False, True),
        factor=factor,
        age=timedelta(seconds=3),
        path="glass",
        for_=timedelta(minutes=10),
        minter="db",
        scope={"databases": ("orders",), "templates": ("repair",)},
        now=datetime(2026, 6, 22, 3, 14, tzinfo=UTC),
    )


def main() -> None:
    """Measure, and print one line."""
    small = compile_policy(bundle(6, 2))
    files = bundle(PEOPLE, GLASSES)
    compiling = seconds(lambda: compile_policy(files), 1)
    large = compile_policy(files)
    yes, no = facts(1, Factor.TWO), facts(1, Factor.ONE)
    figures = {
        "bench": "deciding",
        "decision_ms_6_people": round(1000 * seconds(lambda: decide(small, yes), DECISIONS), 3),
        "decision_ms_500_people": round(1000 * seconds(lambda: decide(large, yes), DECISIONS), 3),
        "refusal_ms_500_people": round(1000 * seconds(lambda: decide(large, no), DECISIONS), 3),
        "compile_s_500_people_50_glasses": round(compiling, 2),
        "target_decision_ms": 0.3,
    }
    figures["decisions_per_s"] = round(1000 / float(str(figures["decision_ms_500_people"])))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
