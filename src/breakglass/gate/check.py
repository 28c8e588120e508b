"""Run a gate's own check, bounded, and say what it said.

There are three outcomes and the third is never the first: passed, failed, could not be evaluated.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

COULD_NOT_RUN = frozenset({75, *range(124, 128)})
"""EX_TEMPFAIL; and what ``timeout`` and shells return when a command could not be run."""


class Checked(StrEnum):
    """What a check said."""

    PASSED = "passed"
    FAILED = "failed"
    COULD_NOT_EVALUATE = "could_not_evaluate"


@dataclass(frozen=True)
class Check:
    """A check's outcome, why, and how long it took."""

    outcome: Checked
    detail: str
    took: timedelta


def run_command(
    arguments: Sequence[str], within: timedelta, could_not_run: frozenset[int] = COULD_NOT_RUN
) -> Check:
    """Run a check command; its output goes where ours goes.

    The command gets a process group of its own, so that a check that hangs is ended with all its
    children. Nothing that goes wrong here can read as «passed».

    Args:
        arguments: the argument vector; no shell reads it.
        within: after this long the check counts as not evaluated.
        could_not_run: exit codes that mean the same.
    """
    begun = time.monotonic()
    try:
        process = subprocess.Popen(list(arguments), start_new_session=True)
    except (OSError, ValueError) as error:
        return _ended(Checked.COULD_NOT_EVALUATE, f"cannot be started: {error}", begun)
    try:
        code = process.wait(timeout=within.total_seconds())
    except subprocess.TimeoutExpired:
        _end_group(process)
        detail = f"no answer within {within.total_seconds():g} s"
        return _ended(Checked.COULD_NOT_EVALUATE, detail, begun)
    except BaseException:
        _end_group(process)
        raise
    if code == 0:
        return _ended(Checked.PASSED, "exit 0", begun)
    if code < 0:
        detail = f"ended by signal {-code}"
        return _ended(Checked.COULD_NOT_EVALUATE, detail, begun)
    outcome = Checked.COULD_NOT_EVALUATE if code in could_not_run else Checked.FAILED
    return _ended(outcome, f"exit {code}", begun)


def run_callable(check: Callable[[], bool], within: timedelta) -> Check:
    """Run a check in Python: ``True`` alone passes, ``False`` fails, all else is not evaluated.

    A check that hangs leaves its thread behind; the gate is shut all the same.
    """
    begun = time.monotonic()
    said: list[object] = []

    def ask() -> None:
        try:
            said.append(check())
        except Exception as error:  # noqa: BLE001 - the edge to somebody else's code; stays shut
            said.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(within.total_seconds())
    if not said:
        detail = f"no answer within {within.total_seconds():g} s"
        return _ended(Checked.COULD_NOT_EVALUATE, detail, begun)
    if said[0] is True:
        return _ended(Checked.PASSED, "passed", begun)
    if said[0] is False:
        return _ended(Checked.FAILED, "failed", begun)
    if isinstance(said[0], Exception):
        # Only the type: the message of a stranger's error may hold a secret.
        detail = f"the check raised {type(said[0]).__name__}"
    else:
        detail = f"the check answered {type(said[0]).__name__}, not true or false"
    return _ended(Checked.COULD_NOT_EVALUATE, detail, begun)


def _ended(outcome: Checked, detail: str, begun: float) -> Check:
    return Check(outcome, detail, timedelta(seconds=time.monotonic() - begun))


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
