"""Ports for organisations and servers that tests make, so that no two of them meet.

An organisation keeps the ports that it chose, also while nothing of it runs. Two of people who do
not know of each other may choose the same ones by chance, and what starts second does not come
up: rare for people, and not rare for thousands of tests. So each worker deals from its own ports.
A server's is none of those that systems hand out either: a client's socket might get it between
the choice and the server's start, or while the server is stopped.
"""

from __future__ import annotations

import itertools
import os
import secrets
import socket

# Below what ``init`` picks from by itself, and below what systems hand out.
_LOWEST, _WORKERS, _ROWS, _LENGTH = 10_000, 8, 50, 25
_dealt = itertools.count(secrets.randbelow(_ROWS))
# For single ones, below the rows.
_LOWEST_ALONE, _ALONE = 5_600, 500
_dealt_alone = itertools.count(secrets.randbelow(_ALONE))


def base_port() -> int:
    """Return the first of 25 free ports that no other worker deals from."""
    for _ in range(_ROWS):
        row = _worker() * _ROWS + next(_dealt) % _ROWS
        base = _LOWEST + row * _LENGTH
        if all(_is_free(port) for port in range(base, base + _LENGTH)):
            return base
    raise AssertionError(f"worker {_worker()} finds no {_LENGTH} free ports in a row")


def own_port() -> int:
    """Return a free port that no other worker deals, for a server that cannot choose one."""
    for _ in range(_ALONE):
        port = _LOWEST_ALONE + _worker() * _ALONE + next(_dealt_alone) % _ALONE
        if _is_free(port):
            return port
    raise AssertionError(f"worker {_worker()} finds no free port")


def _worker() -> int:
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
