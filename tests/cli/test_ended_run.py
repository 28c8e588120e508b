"""``breakglass run`` that is ended takes its command along: the credential lives in that."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.processes import no_process_left, until

RUNS = """
import subprocess, sys
from datetime import UTC, datetime, timedelta
from breakglass.cli import run
run._ASK_EVERY_S, run._GRACE_S = 600, 0.5
child = subprocess.Popen(["sh", "-c", sys.argv[1]], stdout=subprocess.PIPE)
print(child.pid, child.stdout.readline().decode(), flush=True)
run._wait(None, "g-7kq3m2x4p5ab", child, datetime.now(UTC) + timedelta(minutes=30))
sys.exit(child.returncode if child.returncode >= 0 else 128 - child.returncode)
"""


def _catches(pid: int, number: signal.Signals) -> bool:
    caught = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[0]
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("echo up; exec sleep 300", 128 + signal.SIGTERM),
        ("trap '' TERM; echo up; while :; do sleep 0.1; done", 128 + signal.SIGKILL),
    ],
    ids=["heeds-it", "is-deaf"],
)
def test_whoever_ends_it_ends_the_command(number: signal.Signals, command: str, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RUNS, command], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline().split()[0])
    until(lambda: _catches(process.pid, number))
    process.send_signal(number)
    assert process.wait(30) == code
    until(lambda: no_process_left(child))


def test_ctrl_c_belongs_to_the_command() -> None:
    """In psql it cancels a query, and must not end the grant's session."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUNS, "echo up; exec sleep 1"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    until(lambda: _catches(process.pid, signal.SIGTERM))  # set behind the one for Ctrl-C
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
