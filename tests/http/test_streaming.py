"""Long bodies, both ways, over a real process: in parts, in time, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import socket
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from breakglass.errors import MalformedError, RefusedError, UnavailableError
from breakglass.http.client import Incoming, Outgoing, Peer
from breakglass.submit.blob_upload import file_parts, get_attachment, measured
from tests.kit.large import LARGEST, MIB
from tests.kit.processes import Process, until

ROOM = """
import sys
from datetime import timedelta
from breakglass.errors import RefusedError
from breakglass.http.edge import application
from breakglass.http.routes import Crowd, Streamed, get, json_response, nobody
from breakglass.http.streaming import upload_route
from breakglass.process.serving import Service, process_main

log = []

class Receiving:
    def __init__(self, digest): self.digest, self.size, self.longest = digest, 0, 0
    def part(self, data):
        self.size += len(data)
        self.longest = max(self.longest, len(data))
        if self.digest == "fails": raise ValueError("secret")
    def finish(self):
        log.append("finished")
        return json_response({"size": self.size, "longest": self.longest})
    def abandon(self): log.append("abandoned")

def begin(asked, size):
    if asked.path["name"] == "refused":
        raise RefusedError("'sam' may not", name="not_sam")
    return Receiving(asked.path["name"])

def parts(count, fails):
    for _ in range(count):
        yield b"x" * 262144
    if fails:
        raise ValueError("secret")
    yield b"y"

def give(who, asked):
    count = int(asked.query["count"])
    return Streamed(count * 262144 + 1, parts(count, asked.query.get("fails")))

def build(folder, clock):
    within = lambda size: timedelta(seconds=1 if size == 777 else 30)
    crowd = Crowd(2, RefusedError("full", name="full"))
    return Service(application([
        upload_route("/up/{name}", begin, body_at_most=67108864, within=within, crowd=crowd),
        get("/down", nobody, give, Streamed),
        get("/log", nobody, lambda who, asked: {"log": log}, dict),
    ]))

sys.exit(process_main(sys.argv[1:], build, "room"))
"""


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "room.py").write_text(textwrap.dedent(ROOM))
    folder = tmp_path / "folder"
    folder.mkdir()

    process = Process(folder, "room", (sys.executable, str(tmp_path / "room.py")))
    process.start()
    yield process
    process.kill()


def up(neighbour: Peer, name: str, size: int) -> dict[str, object]:
    file = io.BytesIO(b"z" * size)
    outgoing = Outgoing(size, lambda: file_parts(file))
    return neighbour.send("PUT", f"/up/{name}", outgoing).checked().json()


def began(process: Process, name: str, size: int) -> socket.socket:
    at = urlsplit(process.address)
    opened = socket.create_connection((at.hostname or "", at.port or 0), timeout=20)
    opened.sendall(f"PUT /up/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
    return opened


def log_of(process: Process) -> list[str]:
    return process.neighbour().get("/log").json()["log"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("size", [0, 1, 262144, 5 * MIB + 1, LARGEST])
def test_a_body_goes_up_in_parts_and_whole(room: Process, size: int) -> None:
    answer = up(room.neighbour(30), "any", size)
    assert answer["size"] == size
    assert int(str(answer["longest"])) < MIB
    assert log_of(room) == ["finished", "abandoned"]


def test_a_refusal_is_heard_without_sending_the_rest(room: Process) -> None:
    sent = 0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        while sent < LARGEST:
            sent += MIB
            yield b"z" * MIB
            time.sleep(0.01)  # a line slower than the answer

    neighbour = room.neighbour(30)
    with pytest.raises(RefusedError, match="'sam' may not"):
        neighbour.send("PUT", "/up/refused", Outgoing(LARGEST, parts)).checked()
    assert sent < LARGEST
    # A body sent in one piece hears it too, and the next call does not take it for its answer.
    with pytest.raises(RefusedError, match="'sam' may not"):
        neighbour.send("PUT", "/up/refused", b"z" * 20 * MIB).checked()
    assert up(neighbour, "any", 3)["size"] == 3


def test_one_that_drips_is_cut_off_in_time(room: Process) -> None:
    with began(room, "any", 777) as opened:
        opened.sendall(b"z" * 100)
        opened.settimeout(20)
        answer = opened.recv(4096)
        while b"}" not in answer:
            answer += opened.recv(4096)
    assert b" 503 " in answer
    assert b"too_slow" in answer
    assert log_of(room) == ["abandoned"]


def test_so_many_at_once_and_each_frees_its_place(room: Process) -> None:
    for _ in range(3):
        with began(room, "any", 10), began(room, "any", 10):
            neighbour = room.neighbour()

            def full(neighbour: Peer = neighbour) -> bool:
                answer = neighbour.send("PUT", "/up/any", b"z").json()
                return answer.get("error") == "full"

            until(full)
        until(lambda: room.neighbour().send("PUT", "/up/any", b"z").status == 200)


def test_an_error_inside_says_nothing_of_the_body(room: Process) -> None:
    reply = room.neighbour().send("PUT", "/up/fails", b"z")
    assert reply.json()["error"] == "internal"
    assert b"secret" not in reply.body
    assert log_of(room) == ["abandoned"]


def test_a_body_comes_down_into_a_file(room: Process, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as file:
        incoming = Incoming(file, LARGEST + 1)
        reply = room.neighbour(30).send("GET", "/down?count=256", into=incoming)
        assert (reply.status, reply.body) == (200, b"")
        wanted = hashlib.sha256(b"x" * LARGEST + b"y").hexdigest()
        assert measured(file) == (wanted, LARGEST + 1)


def test_more_than_was_wanted_is_not_written_down(room: Process) -> None:
    file = io.BytesIO()
    with pytest.raises(UnavailableError, match="answered more than 1000000 bytes"):
        room.neighbour().send("GET", "/down?count=256", into=Incoming(file, 1_000_000))
    assert len(file.getvalue()) <= 1_000_000


def test_a_body_that_breaks_off_is_not_taken_for_whole(room: Process) -> None:
    with pytest.raises(UnavailableError):
        room.neighbour().send("GET", "/down?count=3&fails=1", into=Incoming(io.BytesIO(), MIB * 9))


def test_an_error_is_raised_and_nothing_is_written(room: Process) -> None:
    file = io.BytesIO()
    with pytest.raises(RefusedError, match="Not Found"):
        get_attachment(room.neighbour(), "0" * 64, 100, file)
    assert file.getvalue() == b""


def test_a_body_of_another_size_than_was_said_is_not_sent(room: Process) -> None:
    neighbour = room.neighbour()
    for parts in ([b"zz"], [b"z" * 20]):
        with pytest.raises(MalformedError, match="has another size than 10 bytes"):
            neighbour.send("PUT", "/up/any", Outgoing(10, lambda parts=parts: iter(parts)))  # type: ignore[misc]
    until(lambda: log_of(room) == ["abandoned"] * 2)
