"""Have a process of an organisation start again, with something done while it is stopped.

We only stop it: ``breakglass up``, or systemd, starts it again when it has ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from breakglass.clock import Deadline
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, UnavailableError
from breakglass.http.client import Peer
from breakglass.process.folder import LOCK, held

STOP_WITHIN = timedelta(seconds=15)
UP_WITHIN = timedelta(seconds=60)  # who restarts it rests longer each time
_LOOK_EVERY_S = 0.02


def restart(folder: Path, between: Callable[[], object] = lambda: None) -> bool:
    """Stop the process of ``folder``, do ``between``, and wait until it answers again.

    Args:
        folder: of a process; if none runs there, only ``between`` is done.
        between: done while nobody runs; it may take the folder's lock.

    Returns:
        whether it ran, and so runs again.

    Raises:
        UnavailableError: ``not_stopped``, and ``between`` was not done; ``not_started``, and it
            was.
    """
    ran = _stopped(folder)
    between()
    if ran:
        _wait_until_up(folder)
    return ran


def runs(folder: Path) -> bool:
    """Say whether a process holds the folder."""
    try:
        with held(folder):
            return False
    except MisconfiguredError as error:
        if error.name != ErrorName.FOLDER_IN_USE:
            raise
        return True


def _stopped(folder: Path) -> bool:
    told = 0
    for number, _ in enumerate(Deadline(STOP_WITHIN).tries(_LOOK_EVERY_S)):
        if not runs(folder):
            return number > 0
        pid = _pid(folder)
        # Looking for the lock we held it ourselves, so the number in it may for a moment be ours.
        if pid not in (0, told, os.getpid()):
            # Whoever restarts it may be quicker than we: that one is stopped as well.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            told = pid
    raise UnavailableError(
        f"process {pid} of {str(folder)!r} did not stop within {STOP_WITHIN.total_seconds():g} s",
        name=ErrorName.NOT_STOPPED,
    )


def _pid(folder: Path) -> int:
    text = (folder / LOCK).read_text("ascii").strip()
    return int(text) if text.isdigit() else 0


def _wait_until_up(folder: Path) -> None:
    for _ in Deadline(UP_WITHIN).tries(_LOOK_EVERY_S):
        if (folder / "address").exists():
            with contextlib.suppress(BreakglassError):
                with Peer(folder, name=folder.name, within=timedelta(seconds=2)) as each:
                    each.get("/healthz")
                return
    raise UnavailableError(
        f"{folder.name!r} was stopped, and nobody has started it again within"
        f" {UP_WITHIN.total_seconds():g} s",
        name=ErrorName.NOT_STARTED,
        hint=f"start it, then the same again: python -m breakglass.ROOM {folder}",
    )
