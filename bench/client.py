"""What a client command costs in CPU, against a whole organisation on this machine; JSON lines.

Target (DESIGN.md section 11): 150 ms of the command's own CPU, the least of 10 runs.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TIMES, TARGET_MS = 10, 150
CLI = [sys.executable, "-m", "breakglass.cli"]
BREAK = ["break", "hello", "--incident", "INC-4821", "--why", "measuring"]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, organisation(Path(name)) as org:
        ran(org, ["incident", "declare", "INC-4821", "--severity", "SEV1", "--title", "bench"])
        grant = re.findall(r"g-[a-z2-7]{12}", ran(org, BREAK)[1])[0]
        token = ["gate", "token", grant, "--gate", "hello-gate", "--for", "run-1"]
        for what, command in (
            ("break", BREAK),
            ("break, the list", ["break"]),
            ("status", ["status"]),
            ("gate token", token),
            ("run", ["run", grant, "--", "true"]),
            ("incident list", ["incident", "list"]),
            ("review show", ["review", "show", grant]),
            ("--help", ["--help"]),
        ):
            took = sorted(ran(org, command)[0] for _ in range(TIMES))
            line = {"bench": "client CPU", "command": what, "min_ms": took[0], "p50_ms": took[5]}
            print(json.dumps({**line, "target_ms": TARGET_MS}), flush=True)


@contextmanager
def organisation(folder: Path) -> Iterator[Path]:
    """Make and run one, until the block ends."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "id_ed25519")],
        check=True,
    )
    org = folder / "org"
    init = [*CLI, "init", str(org), "--as", "mira", "--key", str(folder / "id_ed25519")]
    quiet = {"stderr": subprocess.DEVNULL, "env": surroundings(folder)}
    subprocess.run(init, check=True, stdout=subprocess.DEVNULL, **quiet)
    command = [*CLI, "up", "--org", str(org)]
    up = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **quiet)
    try:
        assert up.stdout is not None
        next(line for line in up.stdout if line.startswith("ready"))
        yield org
    finally:
        up.terminate()
        up.wait(20)


def ran(org: Path, command: list[str]) -> tuple[float, str]:
    """Run a command; its CPU in milliseconds, ssh-keygen's included, and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    given = {"cwd": org, "env": surroundings(org.parent), "text": True}
    done = subprocess.run([*CLI, *command], capture_output=True, check=False, **given)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr}")
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return round(used * 1000, 1), done.stdout


def surroundings(folder: Path) -> dict[str, str]:
    """Return an environment in which nothing of whoever runs this is touched."""
    return {**os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}


if __name__ == "__main__":
    main()
