"""A call ends within its time, with an answer or one kind of error, whatever the neighbour does."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.errors import (
    BreakglassError,
    MalformedError,
    RefusedError,
    UnavailableError,
    UnprovenError,
)
from breakglass.http.client import Peer
from tests.kit.bad_server import BadServer

WITHIN = timedelta(seconds=0.4)


@pytest.fixture
def server() -> Iterator[BadServer]:
    made = BadServer()
    yield made
    made.close()


@pytest.fixture
def neighbour(server: BadServer) -> Peer:
    return Peer(server.address, name="ledger", within=WITHIN, answer_bytes_at_most=1_000_000)


def test_connections_are_kept(server: BadServer, neighbour: Peer) -> None:
    for _ in range(5):
        assert neighbour.get("/x").json() == {"well": True}
    assert server.connections == 1


def test_a_request_is_one_packet_with_its_body(server: BadServer, neighbour: Peer) -> None:
    neighbour.post("/x", b"body", "text/plain")
    host = server.address.removeprefix("http://")
    assert server.asked == [
        f"POST /x HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\n"
        "Content-Length: 4\r\n\r\nbody".encode()
    ]


@pytest.mark.parametrize(
    ("mood", "name"),
    [
        ("hangs", "unanswered"),
        ("drips", "unanswered"),
        ("hangs up", "unanswered"),
        ("stops half way", "nonsense"),
        ("noise", "nonsense"),
        ("endless", "nonsense"),
        ("endless header", "nonsense"),
    ],
)
def test_every_trouble_is_unavailability_within_its_time(
    server: BadServer, neighbour: Peer, mood: str, name: str
) -> None:
    server.mood = mood
    start = time.monotonic()
    with pytest.raises(UnavailableError, match="'ledger'") as caught:
        neighbour.get("/x")
    assert time.monotonic() - start < 1.5
    assert caught.value.name == name
    server.mood = "well"
    assert neighbour.get("/x").json() == {"well": True}


def test_nobody_there_is_unreachable(server: BadServer, neighbour: Peer) -> None:
    server.close()
    with pytest.raises(UnavailableError, match="cannot be reached") as caught:
        neighbour.get("/x")
    assert caught.value.name == "unreachable"


def test_a_call_is_never_sent_twice(server: BadServer, neighbour: Peer) -> None:
    neighbour.get("/first")
    server.mood = "hangs up"
    with pytest.raises(UnavailableError):
        neighbour.post("/second", b"x")
    assert len(server.asked) == 2


def test_a_connection_closed_while_idle_is_not_used(server: BadServer, neighbour: Peer) -> None:
    neighbour.get("/x")
    server.hang_up()
    time.sleep(0.05)
    assert neighbour.get("/x").json() == {"well": True}
    assert server.connections == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, MalformedError),
        (403, RefusedError),
        (404, RefusedError),
        (409, RefusedError),
        (413, MalformedError),
        (422, UnprovenError),
        (429, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
        (302, UnavailableError),
    ],
)
def test_a_neighbours_error_comes_back_as_ours(
    server: BadServer, neighbour: Peer, status: int, kind: type[BreakglassError]
) -> None:
    server.status = status
    server.answer = json.dumps({"error": "some_name", "message": "why", "hint": "so"}).encode()
    with pytest.raises(kind, match="why") as caught:
        neighbour.get("/x")
    assert type(caught.value) is kind
    assert (caught.value.name, caught.value.hint) == ("some_name", "so")


@pytest.mark.parametrize(
    "answer", [b"", b"not json", b"[]", b"{}", b'{"error": 7}', b"[" * 100_000]
)
def test_an_error_without_words_is_nonsense(
    server: BadServer, neighbour: Peer, answer: bytes
) -> None:
    server.status, server.answer = 403, answer
    with pytest.raises(UnavailableError, match="make no sense") as caught:
        neighbour.get("/x")
    assert caught.value.name == "nonsense"


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/ä", "/a\x00"])
def test_a_path_cannot_smuggle_a_header(server: BadServer, neighbour: Peer, path: str) -> None:
    with pytest.raises(UnavailableError):
        neighbour.get(path)
    assert server.asked == []


def test_an_address_file_is_read_again_after_a_restart(tmp_path: Path) -> None:
    neighbour = Peer(tmp_path, name="ledger", within=WITHIN)
    with pytest.raises(UnavailableError, match="has not started"):
        neighbour.get("/x")
    for _ in range(2):
        server = BadServer()
        (tmp_path / "address").write_text(server.address + "\n")
        assert neighbour.get("/x").json() == {"well": True}
        server.close()
        time.sleep(0.05)


def test_many_threads_share_a_neighbour(server: BadServer, neighbour: Peer) -> None:
    answers: list[object] = []

    def call() -> None:
        for _ in range(20):
            answers.append(neighbour.get("/x").json())

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [{"well": True}] * 160
    assert server.connections <= 8


def test_close_cuts_off_a_call_under_way(server: BadServer) -> None:
    neighbour = Peer(server.address, within=timedelta(seconds=20))
    server.mood = "hangs"
    threading.Timer(0.2, neighbour.close).start()
    start = time.monotonic()
    with pytest.raises(UnavailableError):
        neighbour.get("/x")
    assert time.monotonic() - start < 2


def test_a_full_backlog_is_bounded_too() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = listener.getsockname()[1]
    fillers = [socket.socket() for _ in range(4)]
    for each in fillers:
        each.setblocking(False)
        each.connect_ex(("127.0.0.1", port))
    start = time.monotonic()
    with pytest.raises(UnavailableError):
        Peer(f"http://127.0.0.1:{port}", within=WITHIN).get("/x")
    assert time.monotonic() - start < 1.5
    for each in [*fillers, listener]:
        each.close()
