"""A process starts from its folder, answers in one form, and ends promptly, whatever waits."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from breakglass.errors import RefusedError, UnavailableError
from breakglass.http.client import Peer
from tests.kit.processes import Process, no_process_left, until

ROOM = """
import sys, threading, time
from dataclasses import dataclass
from breakglass.errors import RefusedError
from breakglass.http.edge import application
from breakglass.http.routes import Response, get, nobody, post, text_response
from breakglass.process.serving import Service, Serving, process_main
from breakglass.process.settings import read_settings

@dataclass(frozen=True)
class Body:
    number: int
@dataclass(frozen=True)
class Released:
    released: bool

def build(folder, clock):
    serving = read_settings(folder, Serving)
    released = threading.Event()
    def wait(who, asked):
        released.wait(30)
        return Released(True)
    def hang(who, asked):
        time.sleep(30)
    def no(who, asked):
        raise RefusedError("'sam' may not", name="not_sam", hint="ask mira")
    def broken(who, asked):
        raise ValueError("secret " + asked.body.decode())
    def typed_broken(who, asked):
        raise ValueError("secret")
    def stranger(asked):
        raise RefusedError("this route knows its askers", name="stranger")
    def now(who, asked):
        return text_response(clock.now().isoformat())
    app = application([
        get("/wait", nobody, wait, Released), get("/hang", nobody, hang, Response),
        get("/no", nobody, no, Response), get("/now", nobody, now, Response),
        post("/broken", nobody, bytes, broken, Response, 100),
        post("/typed", nobody, Body, lambda who, asked: asked.body, Body, 1000),
        post("/typed-no", nobody, Body, no, Response, 1000),
        post("/typed-broken", nobody, Body, typed_broken, Response, 1000),
        post("/known", stranger, Body, typed_broken, Response, 1000),
    ])
    return Service(app, serving, closing=released.set)

sys.exit(process_main(sys.argv[1:], build, "room"))
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    folder = tmp_path / "room"
    folder.mkdir()
    (folder / "settings.toml").write_text("")
    (folder / "room.py").write_text(textwrap.dedent(ROOM))
    made = Process(folder, "room", (sys.executable, str(folder / "room.py")))
    yield made
    made.kill()


def test_sigterm_ends_it_within_two_seconds_with_long_polls_open(process: Process) -> None:
    process.start()
    answers: list[object] = []

    def poll() -> None:
        answers.append(process.neighbour(20).get("/wait").json())

    threads = [threading.Thread(target=poll) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    start = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - start < 2
    for thread in threads:
        thread.join(2)
    assert answers == [{"released": True}] * 8, "a long poll was cut off instead of answered"
    assert not (process.folder / "address").exists()


def test_a_hanging_handler_does_not_keep_it(process: Process) -> None:
    process.start()

    def hang() -> None:
        with pytest.raises(UnavailableError):
            process.neighbour(20).get("/hang")

    thread = threading.Thread(target=hang)
    thread.start()
    time.sleep(0.2)
    start = time.monotonic()
    process.stop()
    assert time.monotonic() - start < 2.5
    thread.join(2)


def test_it_dies_with_a_parent_that_is_killed(process: Process, tmp_path: Path) -> None:
    parent = tmp_path / "parent.py"
    command = [*process.command, str(process.folder), "--die-with-parent"]
    parent.write_text(
        f"import os, subprocess, time\np = subprocess.Popen([*{command!r}, str(os.getpid())])\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    started = subprocess.Popen([sys.executable, str(parent)], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    try:
        until(lambda: (process.folder / "address").exists())
        started.kill()
        started.wait()
        until(lambda: no_process_left(pid), 3)
    finally:
        started.kill()
        if not no_process_left(pid):
            os.kill(pid, signal.SIGKILL)


def test_the_address_is_told_only_when_it_accepts(process: Process) -> None:
    process.start(wait=False)
    until(lambda: (process.folder / "address").exists())
    assert process.neighbour().get("/now").status == 200


def test_one_process_per_folder(process: Process) -> None:
    process.start()
    address = process.address
    second = Process(process.folder, "room", process.command)
    second.start(wait=False)
    assert second.wait_ended() == 6
    assert "in use by process" in process.said()
    (process.folder / "address").write_text(address)
    assert process.neighbour().get("/now").status == 200
    process.kill()
    process.start()  # the kernel let go of the lock


def test_off_loopback_it_needs_a_certificate(process: Process) -> None:
    (process.folder / "settings.toml").write_text('host = "0.0.0.0"\n')
    process.start(wait=False)
    assert process.wait_ended() == 6
    assert "there is no certificate; not started" in process.said()
    assert "hint: off loopback" in process.said()


def test_a_port_in_use_is_said(process: Process) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (process.folder / "settings.toml").write_text(f"port = {taken.getsockname()[1]}\n")
        process.start(wait=False)
        assert process.wait_ended() == 6
    assert "cannot listen on 127.0.0.1" in process.said()


def test_an_interface_that_is_not_there_is_said_with_another_one(process: Process) -> None:
    """On a machine with IPv6 alone."""
    alone = "ip link set lo up && ip addr del 127.0.0.1/8 dev lo"
    made = subprocess.run(["unshare", "-n", "sh", "-c", alone], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("no network of our own may be made here")
    then = ("unshare", "-n", "sh", "-c", f'{alone} && exec "$0" "$@"')
    process.command = (*then, *process.command)
    process.start(wait=False)
    assert process.wait_ended() == 6
    assert 'hint: name an address of this machine: [serving] host = "::1"' in process.said()


def test_errors_leave_in_one_form_and_say_nothing_of_the_inside(process: Process) -> None:
    process.start()
    neighbour = process.neighbour()
    with pytest.raises(RefusedError, match="'sam' may not") as caught:
        neighbour.get("/no")
    assert (caught.value.name, caught.value.hint) == ("not_sam", "ask mira")
    with pytest.raises(RefusedError, match="'sam' may not"):
        neighbour.post_json("/typed-no", {"number": 1})
    assert neighbour.post_json("/typed", {"number": 1}) == {"number": 1}
    cases = [
        ("POST", "/broken", b"hunter2", 500, "internal"),
        ("POST", "/typed-broken", b'{"number": 1}', 500, "internal"),
        ("POST", "/typed", b'{"number": "x"}', 400, "malformed"),
        ("POST", "/typed", b'{"number": 1, "x": 1}', 400, "unknown_field"),
        ("POST", "/typed", b"{", 400, "bad_json"),
        ("POST", "/known", b"{", 403, "stranger"),
        ("POST", "/typed", b'{"number": 1, "x": "' + b"y" * 2000 + b'"}', 413, "too_large"),
        ("POST", "/broken", b"y" * 101, 413, "too_large"),
        ("GET", "/nowhere", b"", 404, "not_found"),
        ("POST", "/no", b"", 405, "not_allowed"),
    ]
    for method, path, body, status, name in cases:
        reply = neighbour.send(method, path, body, "application/json")
        assert (reply.status, reply.json()["error"]) == (status, name), path
        assert set(reply.json()) == {"error", "message", "hint"}
        assert b"secret" not in reply.body
    said = process.said()
    assert "stayed shut: ValueError at broken:" in said
    assert "hunter2" not in said
    assert "secret" not in said
    assert "Traceback" not in said


def test_answers_are_not_held_back_by_nagle(process: Process) -> None:
    """Without TCP_NODELAY on the server's side each answer takes 40 ms."""
    process.start()
    neighbour = process.neighbour()
    took = []
    for _ in range(20):
        start = time.monotonic()
        neighbour.get("/now")
        took.append(time.monotonic() - start)
    assert sorted(took)[3] < 0.03


def test_tls_with_a_pinned_certificate(process: Process) -> None:
    pem, key = certificate()
    (process.folder / "tls.pem").write_bytes(pem)
    (process.folder / "tls.key").write_bytes(key)
    (process.folder / "settings.toml").write_text(
        'certificate = "tls.pem"\ncertificate_key = "tls.key"\nhost = "0.0.0.0"\n'
    )
    process.start()
    address = process.address.replace("0.0.0.0", "127.0.0.1")
    assert address.startswith("https://127.0.0.1:")
    assert Peer(address).get("/now").status == 200
    other = address.partition("#")[0] + "#" + "0" * 64
    with pytest.raises(UnavailableError, match="not the pinned"):
        Peer(other).get("/now")
    with pytest.raises(UnavailableError, match="cannot be reached"):
        Peer(address.partition("#")[0]).get("/now")  # no authority vouches for it
    with pytest.raises(UnavailableError):
        Peer(address.replace("https", "http")).get("/now")


def certificate() -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "room")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.public_bytes(serialization.Encoding.PEM), private
