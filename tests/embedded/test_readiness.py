"""A process that gets on is waited for, however long; one that stands still is not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from breakglass.embedded.readiness import Readiness, Reading
from breakglass.embedded.supervisor import Child, Started, kill, spawn
from breakglass.errors import UnavailableError

SLOW = """
import http.server, json, os, sys
folder, step, of, falls_silent_at = sys.argv[1], *map(int, sys.argv[2:])
address = os.path.join(folder, "address")
size = 0

class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global size
        size = min(size + step, of)
        if falls_silent_at and size >= falls_silent_at:
            self.close_connection = True
            return
        said = {"ok": False, "size": size, "of": of, "current": size == of, "ledger": ""}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Slow)
with open(address + ".new", "w") as file:
    file.write(f"http://127.0.0.1:{server.server_port}")
os.rename(address + ".new", address)
server.serve_forever()
"""
"""Reads ``step`` further entries whenever it is asked, up to ``of``."""


@dataclass
class Start:
    """A readiness over stand-ins, whose clock goes on by 15 s at each rest."""

    folder: Path
    now: float = 1000.0
    children: list[Child] = field(default_factory=list)
    told: list[Started] = field(default_factory=list)
    seen: list[Reading] = field(default_factory=list)
    at_rest: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.readiness = Readiness(
            self.told.append, self.seen.extend, now=lambda: self.now, rest=self.rest
        )

    def rest(self, seconds: float) -> None:
        """Let 15 s pass on the clock of the readiness."""
        self.now += 15
        self.at_rest()

    def stand_in(self, name: str, step: int, of: int, falls_silent_at: int = 0) -> Child:
        """Start one; it listens already."""
        folder = self.folder / name
        folder.mkdir()
        words = ["-c", SLOW, str(folder), str(step), str(of), str(falls_silent_at)]
        child = spawn(name, folder, words, os.environ)
        self.children.append(child)
        until = time.monotonic() + 60
        while not (folder / "address").exists():
            assert child.alive(), child.last_words()
            assert time.monotonic() < until, "it does not listen"
            time.sleep(0.01)
        self.readiness.add(child)
        return child


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made = Start(tmp_path)
    yield made
    for child in made.children:
        kill(child)


def test_a_process_that_reads_slowly_is_waited_for_long_beyond_the_bound(start: Start):
    start.stand_in("broker", step=10_000, of=100_000)
    start.readiness.wait_answering()
    assert start.told == []
    start.readiness.wait_ready()
    assert list(dict.fromkeys(start.seen)) == [
        Reading("broker", size, 100_000) for size in range(10_000, 100_000, 10_000)
    ]
    (broker,) = start.told
    assert broker.took.total_seconds() >= 9 * 15


def test_a_process_that_stands_still_is_given_up_on_with_its_last_size(start: Start):
    quick = start.stand_in("minter-orders-db", step=5, of=5)
    stuck = start.stand_in("broker", step=0, of=100_000)
    with pytest.raises(UnavailableError) as said:
        start.readiness.wait_ready()
    assert said.value.name == "not_started"
    assert str(said.value) == (
        "'broker' has not moved for 20 s at entry 0 of 100,000; all processes are stopped"
    )
    assert said.value.hint == f"its log: {stuck.log}"
    assert [each.name for each in start.told] == [quick.name]
    assert start.now == 1030, "it was given up on too early, or too late"


def test_a_process_that_answers_no_more_is_given_up_on_too(start: Start):
    start.stand_in("monitor", step=100, of=1000, falls_silent_at=300)
    with pytest.raises(UnavailableError, match="'monitor' has not moved for 20 s at entry 200 of"):
        start.readiness.wait_ready()
    assert start.now == 1000 + 15 + 30


def test_a_process_that_dies_while_another_is_waited_for_ends_the_wait(start: Start):
    dying = start.stand_in("ledger", step=5, of=5)
    start.stand_in("broker", step=1, of=1_000_000)

    def power_cut() -> None:
        if len(start.seen) > 3:
            kill(dying)

    start.at_rest = power_cut
    with pytest.raises(UnavailableError, match="'ledger' ended with code -9") as said:
        start.readiness.wait_ready()
    assert said.value.hint == f"its log: {dying.log}"
    assert [each.name for each in start.told] == ["ledger"]


def test_whoever_waits_can_break_it_off_at_any_time(start: Start):
    start.stand_in("broker", step=1, of=1_000_000)

    def ctrl_c() -> None:
        raise KeyboardInterrupt

    start.at_rest = ctrl_c
    with pytest.raises(KeyboardInterrupt):
        start.readiness.wait_ready()
