"""Runs a process or a command whose resolver fails, and writes down whom it calls.

    python watched_process.py LOG ROOM [ARGUMENT…]

Each line of LOG is ``name HOST`` for a name that was to be resolved, which then fails, or
``call IP:PORT`` for a connection. ROOM is a room with a process, ``cli`` or ``gate``.
"""

from __future__ import annotations

import ipaddress
import os
import runpy
import socket
import sys
from typing import Any

_LOOKS_UP = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


def watch(file: str) -> None:
    """Begin to write down, for as long as this process lives."""
    log = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event in _LOOKS_UP and not _is_address(given[0]):
            os.write(log, f"name {given[0]}\n".encode())
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if event in ("socket.connect", "socket.sendto") and isinstance(given[1], tuple):
            os.write(log, f"call {given[1][0]}:{given[1][1]}\n".encode())

    sys.addaudithook(hook)


def _is_address(host: object) -> bool:
    if host is None:
        return True
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    _, watched, room, *rest = sys.argv
    watch(watched)
    sys.argv = [f"breakglass.{room}", *rest]
    runpy.run_module(f"breakglass.{room}", run_name="__main__")
