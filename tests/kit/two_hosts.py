"""Two hosts on one machine: network namespaces joined by a cable that can be pulled.

Each has its own loopback, so that nothing meets but over the cable. Needs root and iproute2.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

ONE, TWO = "10.77.0.1", "10.77.0.2"


def why_not() -> str:
    """Return why there can be no second host here; empty if there can."""
    if shutil.which("ip") is None:
        return "iproute2 is missing: no 'ip'"
    name = f"bg-try-{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network namespaces here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=False)
    return ""


@dataclass(frozen=True)
class TwoHosts:
    """Their names; commands run there behind ``on``."""

    one: str
    two: str

    @staticmethod
    def on(host: str) -> tuple[str, ...]:
        """Return what to put before a command so that it runs on that host."""
        return ("ip", "netns", "exec", host)

    def cut(self) -> None:
        """Pull the cable at the second host."""
        _ip("-n", self.two, "link", "set", "cable", "down")

    def heal(self) -> None:
        """Plug it in again."""
        _ip("-n", self.two, "link", "set", "cable", "up")


@contextlib.contextmanager
def two_hosts() -> Iterator[TwoHosts]:
    """Make them, and take them away again."""
    mark = secrets.token_hex(3)
    hosts = TwoHosts(f"bg-one-{mark}", f"bg-two-{mark}")
    try:
        for host in (hosts.one, hosts.two):
            _ip("netns", "add", host)
            _ip("-n", host, "link", "set", "lo", "up")
        ends = ("cable", "netns", hosts.one, "type", "veth", "peer", "name", "cable")
        _ip("link", "add", *ends, "netns", hosts.two)
        for host, address in ((hosts.one, ONE), (hosts.two, TWO)):
            _ip("-n", host, "address", "add", f"{address}/24", "dev", "cable")
            _ip("-n", host, "link", "set", "cable", "up")
        yield hosts
    finally:
        for host in (hosts.one, hosts.two):
            subprocess.run(["ip", "netns", "delete", host], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
