"""Who holds a port of this machine, as far as Linux tells: a user always, a process if it is ours.

Source: proc(5), ``/proc/net/tcp``: local address, state 0A (listening), uid, inode.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

_LISTENING = "0A"


def port_holder(port: int) -> str:
    """Say who listens on ``port``: ``process 812 (postgres) of user 'sam'``; empty if unknown."""
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                return _said(int(words[7]), words[9])
    return ""


def _said(uid: int, inode: str) -> str:
    try:
        user = f"user {pwd.getpwuid(uid).pw_name!r}"
    except KeyError:
        user = f"user {uid}"
    process = _process_with(f"socket:[{inode}]")
    return f"{process} of {user}" if process else f"a process of {user}"


def _process_with(socket: str) -> str:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for handle in (process / "fd").iterdir():
                if os.readlink(handle) == socket:
                    name = (process / "comm").read_text("utf-8", "replace").strip()
                    return f"process {process.name} ({name})"
        except OSError:
            continue  # another user's, or just gone
    return ""
