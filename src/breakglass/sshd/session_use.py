"""Whether anybody works in a session: a command that runs, a terminal that was just touched."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

_SSHD = ("sshd", "sshd-session", "sshd-auth")


@dataclass(frozen=True)
class _Process:
    pid: int
    name: str
    parent: int
    terminal: int


def busy(pids: list[int]) -> bool:
    """Say whether a session of these processes works; what is not known counts as work.

    Idle is a shell at its prompt: the one process beside sshd's own, on a terminal. A session
    without any process of its own forwards ports, and nobody sees from here whether they are used.
    """
    found = [each for pid in pids if (each := _process(pid)) is not None]
    sshd = {each.pid for each in found if each.name in _SSHD}
    others = [each for each in found if each.pid not in sshd]
    if len(others) != 1:
        return True
    return not (others[0].terminal and others[0].parent in sshd)


def touched(pids: list[int], within: timedelta) -> bool:
    """Say whether a terminal of these processes was read or written lately.

    The kernel keeps these times in steps of 8 s, so that nobody measures key strokes by them.
    """
    since = time.time() - within.total_seconds() - 8
    for pid in pids:
        for number in (0, 1, 2):
            with contextlib.suppress(OSError):
                path = os.readlink(f"/proc/{pid}/fd/{number}")
                if path.startswith("/dev/pts/"):
                    found = os.stat(path)
                    if max(found.st_atime, found.st_mtime) >= since:
                        return True
    return False


def _process(pid: int) -> _Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] == "Z":
        return None
    # A process may call itself 'sshd'; the file that it runs it cannot choose so.
    with contextlib.suppress(OSError):
        name = Path(os.readlink(f"/proc/{pid}/exe")).name.removesuffix(" (deleted)")
    return _Process(pid, name, int(fields[1]), int(fields[4]))
