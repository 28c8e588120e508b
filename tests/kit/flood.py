"""Strangers at a process's port: sockets that say nothing, and bodies as long as a route reads."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from breakglass.broker import routes as broker_routes
from breakglass.submit.record_header import NOTE_BYTES_AT_MOST, NOTES_AT_MOST
from breakglass.token.token import BYTES_AT_MOST

SILENT = 2000
SENDERS = 8


@dataclass(frozen=True)
class Longest:
    """The route of a process that reads the longest body, and so many bytes of it."""

    path: str
    size: int
    json: bool = False

    def body(self) -> bytes:
        """Return a body that is read to its end before it is refused."""
        if not self.json:
            return b"x" * self.size
        empty = json.dumps({"note": ""}).encode()
        return json.dumps({"note": "x" * (self.size - len(empty))}).encode()


_APPEND = NOTES_AT_MOST * (NOTE_BYTES_AT_MOST + 2)
LONGEST = {
    "ledger": Longest("/append", _APPEND),
    "archiver": Longest("/add-segment", _APPEND + 256 * 1024),
    "witness": Longest("/add-checkpoint", 128 * 1024),
    "broker": Longest("/policy", broker_routes._POLICY_BYTES, json=True),
    "minter": Longest("/mint", 2 * BYTES_AT_MOST, json=True),
    "monitor": Longest("/gates/x/reviewed", 64 * 1024, json=True),
}


@contextlib.contextmanager
def silent(address: str, count: int = SILENT) -> Iterator[list[socket.socket]]:
    """Hold so many sockets that say nothing; whichever is closed there is opened again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count + 512)), hard))
    at = urlsplit(address)
    done = threading.Event()
    held: list[socket.socket] = []

    def hold() -> None:
        while not done.is_set():
            if len(held) >= count:
                held.pop(0).close()
                done.wait(0.005)
            with contextlib.suppress(OSError):
                held.append(socket.create_connection((at.hostname or "", at.port or 0), 5))

    thread = threading.Thread(target=hold)
    try:
        for _ in range(count):
            held.append(socket.create_connection((at.hostname or "", at.port or 0), 5))
        thread.start()
        yield held
    finally:
        done.set()
        if thread.ident is not None:
            thread.join()
        for each in held:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def long_bodies(address: str, longest: Longest) -> Iterator[list[int]]:
    """Send the longest body on eight connections, again and again; gives the answers' statuses."""
    at = urlsplit(address)
    body = longest.body()
    head = f"POST {longest.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    asked = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    done = threading.Event()
    said: list[int] = []

    def send() -> None:
        while not done.is_set():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with socket.create_connection((at.hostname or "", at.port or 0), 30) as sock:
                    sock.sendall(asked)
                    said.append(int(sock.recv(4096).split()[1]))

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for each in threads:
        each.start()
    try:
        yield said
    finally:
        done.set()
        for each in threads:
            each.join()
