"""A token verified by ``breakglass-gate`` from a cold start: CPU of the whole process; JSON line.

.venv/bin/python bench/gate_cold.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from breakglass.clock import to_milliseconds

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.kit.organisation import Organisation

TIMES = 20


def main() -> None:
    """Measure and print."""
    org = Organisation(now=to_milliseconds(datetime.now(UTC)))
    org.begin()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "settings.toml").write_text(
            f'gate = "deploy-approval"\nlog = "{org.log_name}"\nledger = "http://127.0.0.1:9"\n'
        )
        (folder / "trust").write_bytes(org.trust_note())
        (folder / "token").write_text(org.token(org.break_glass()).encoded())
        command = [sys.executable, "-m", "breakglass.gate", "verify", "deploy-approval"]
        command += ["--folder", name, "--token", str(folder / "token"), "--for", "42"]
        took = sorted(_cpu_ms(command) for _ in range(TIMES))
    line = {"bench": "breakglass-gate_cold_cpu_ms", "n": TIMES, "min": took[0]}
    print(json.dumps({**line, "p50": took[TIMES // 2], "target": 150}))


def _cpu_ms(command: list[str]) -> float:
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    user = after.children_user - before.children_user
    return round((user + after.children_system - before.children_system) * 1000, 1)


if __name__ == "__main__":
    main()
