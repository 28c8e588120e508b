"""What strangers may take of a process: connections, time and memory; over real sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.kit.flood import silent
from tests.kit.processes import Process, until
from tests.process.test_serving import certificate

ROOM = """
import sys, threading
from dataclasses import dataclass
from breakglass.errors import RefusedError
from breakglass.http.edge import application
from breakglass.http.routes import Response, get, nobody, post, text_response
from breakglass.process.serving import Service, Serving, process_main
from breakglass.process.settings import read_settings

@dataclass(frozen=True)
class Body:
    text: str

def build(folder, clock):
    released = threading.Event()
    at_work = set()
    def wait(who, asked):
        released.wait(60)
        return text_response("waited")
    def long(who, asked):
        at_work.add(threading.get_ident())
        many = len(at_work)
        released.wait(0.2)
        at_work.discard(threading.get_ident())
        return text_response(str(many))
    def large(who, asked):
        return text_response("x" * 32_000_000)
    app = application([
        get("/now", nobody, lambda who, asked: text_response("now"), Response),
        get("/wait", nobody, wait, Response),
        get("/large", nobody, large, Response),
        post("/said", nobody, bytes, lambda who, asked: text_response("yes"), Response, 1000),
        post("/long", nobody, bytes, long, Response, 8_000_000),
        post("/typed", nobody, Body, lambda who, asked: text_response("yes"), Response, 8_000_000),
    ])
    return Service(app, read_settings(folder, Serving), closing=released.set)

sys.exit(process_main(sys.argv[1:], build, "room"))
"""
LITTLE = "[limits]\nconnections = 20\n"
SOME = "[limits]\nconnections = 200\n"
QUICK = "[limits]\nhead_within_s = 0.3\nbody_within_s = 0.3\nunread_at_most_s = 0.5\n"


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    folder = tmp_path / "room"
    folder.mkdir()
    (folder / "settings.toml").write_text("")
    (folder / "room.py").write_text(textwrap.dedent(ROOM))
    made = Process(folder, "room", (sys.executable, str(folder / "room.py")))
    yield made
    made.kill()


def _started(process: Process, settings: str) -> Process:
    (process.folder / "settings.toml").write_text(settings)
    return process.start()


@contextlib.contextmanager
def _connected(process: Process, said: bytes = b"") -> Iterator[socket.socket]:
    at = urlsplit(process.address)
    with socket.create_connection((at.hostname or "", at.port or 0), 10) as sock:
        sock.sendall(said)
        yield sock


def _is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(4096) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def _answer(sock: socket.socket) -> tuple[int, bytes]:
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    return answer.status, answer.read()


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@pytest.mark.parametrize(
    "said",
    [b"", b"GET /now HT", b"POST /said HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"],
    ids=["nothing", "half-a-head", "half-a-body"],
)
def test_who_does_not_go_on_is_hung_up_on(process: Process, said: bytes) -> None:
    _started(process, QUICK)
    with _connected(process, said) as sock:
        assert _is_closed(sock)
    assert process.neighbour().get("/now").status == 200


def test_a_body_that_drips_is_hung_up_on(process: Process) -> None:
    _started(process, QUICK)
    with _connected(process, b"POST /said HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n") as s:
        s.settimeout(0.05)

        def drips() -> bool:
            with contextlib.suppress(OSError):
                s.sendall(b"x")
            return _is_closed(s)

        until(drips)


def test_an_answer_that_nobody_takes_is_given_up(process: Process) -> None:
    _started(process, QUICK)
    with _connected(process, _get("/large")) as sock:
        until(lambda: "connections that kept us waiting were closed" in process.said(), 20)
        read = 0
        with contextlib.suppress(ConnectionResetError):
            while part := sock.recv(1 << 20):
                read += len(part)
    assert read < 32_000_000


def test_silent_sockets_give_way_and_a_request_at_work_does_not(process: Process) -> None:
    _started(process, SOME)
    said: list[tuple[int, bytes]] = []
    with _connected(process, _get("/wait")) as waits:
        with silent(process.address, 600):
            for _ in range(20):
                assert process.neighbour().get("/now").status == 200
        thread = threading.Thread(target=lambda: said.append(_answer(waits)))
        thread.start()
        process.stop()
        thread.join(5)
    assert said == [(200, b"waited")]


def test_a_connection_whose_signature_was_accepted_outlives_strangers_that_were_answered(
    process: Process,
) -> None:
    """What was sent and taken stands for the signature that every process's own route asks for."""
    _started(process, LITTLE)
    asked = b"POST /said HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
    with contextlib.ExitStack() as held:
        known = held.enter_context(_connected(process, asked))
        assert _answer(known)[0] == 200
        first = held.enter_context(_connected(process, _get("/now")))
        assert _answer(first) == (200, b"now")
        for _ in range(40):
            each = held.enter_context(_connected(process, _get("/now")))
            assert _answer(each) == (200, b"now")
        assert _is_closed(first)
        known.sendall(_get("/now"))
        assert _answer(known)[0] == 200


def test_strangers_do_not_take_every_thread(process: Process) -> None:
    _started(process, "threads = 8\n")
    asked = b"POST /said HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
    with contextlib.ExitStack() as held:
        known = held.enter_context(_connected(process, asked))
        assert _answer(known)[0] == 200
        waiting = [held.enter_context(_connected(process, _get("/wait"))) for _ in range(20)]
        for each in waiting[6:]:
            status, said = _answer(each)
            assert (status, json.loads(said)["error"]) == (503, "busy")
        known.sendall(_get("/now"))
        assert _answer(known)[0] == 200


@pytest.mark.parametrize("files", [64, 256])
def test_a_small_file_limit_is_borne(process: Process, files: int) -> None:
    limited = ("sh", "-c", f'ulimit -n {files}; exec "$0" "$@"', *process.command)
    process.command = limited
    process.start()
    with silent(process.address, 400):
        for _ in range(20):
            assert process.neighbour().get("/now").status == 200
    assert "out of system resource" not in process.said()


def test_the_soft_limit_of_files_is_raised_at_the_start(process: Process) -> None:
    process.command = ("sh", "-c", 'ulimit -S -n 100; exec "$0" "$@"', *process.command)
    process.start()
    assert process.popen is not None
    limits = Path(f"/proc/{process.popen.pid}/limits").read_text()
    (line,) = [each for each in limits.splitlines() if each.startswith("Max open files")]
    assert int(line.split()[3]) > 100


def test_peers_that_shake_no_hand_hold_no_place_under_tls(process: Process) -> None:
    pem, key = certificate()
    (process.folder / "tls.pem").write_bytes(pem)
    (process.folder / "tls.key").write_bytes(key)
    _started(process, f'certificate = "tls.pem"\ncertificate_key = "tls.key"\n{SOME}')
    with silent(process.address, 600):
        for _ in range(10):
            assert process.neighbour().get("/now").status == 200
    (process.folder / "settings.toml").write_text(
        f'certificate = "tls.pem"\ncertificate_key = "tls.key"\n{QUICK}'
    )
    process.stop()
    process.start()
    with _connected(process) as sock:
        assert _is_closed(sock), "the handshake may take for ever"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with _connected(process) as sock, context.wrap_socket(sock) as secured:
        assert _is_closed(secured), "the head may take for ever"


def test_the_longest_bodies_are_worked_on_one_at_a_time(process: Process) -> None:
    process.start()
    said: list[bytes] = []

    def send() -> None:
        reply = process.neighbour(30).send("POST", "/long", b"x" * 4_000_000)
        said.append(reply.body)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert said == [b"1"] * 6


def test_a_body_of_a_million_values_is_refused_before_it_is_read(process: Process) -> None:
    process.start()
    process.forget_peak()
    before = process.peak_bytes
    body = b'{"text": [' + b"[]," * 2_000_000 + b"[]]}"
    reply = process.neighbour(30).send("POST", "/typed", body, "application/json")
    assert (reply.status, reply.json()["error"]) == (400, "too_large")
    assert process.peak_bytes - before < 40_000_000
