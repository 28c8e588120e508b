"""Every channel keeps the contract of ``Channel``: the webhook and the log file alike."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.errors import UnavailableError
from breakglass.monitor.alerts.channel import Channel, Message
from breakglass.monitor.alerts.log_file import LogFile
from breakglass.monitor.alerts.webhook import Webhook
from tests.monitor.stand_ins import Sink

WITHIN = timedelta(seconds=0.4)


@dataclass
class Case:
    """A channel, what people heard on it (receivers drop a key they know), and its trouble."""

    channel: Channel
    heard: Callable[[], list[str]]
    break_it: Callable[[], None]
    mend_it: Callable[[], None]


def message(key: str) -> Message:
    body = json.dumps({"key": key, "text": "what happened — in words"}, ensure_ascii=False)
    return Message(key, "g-7kq3m2x4p5ab", body.encode())


@pytest.fixture(params=["webhook", "log_file"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "log_file":
        yield _log_file(tmp_path)
        return
    sink = Sink()
    yield Case(
        Webhook(sink.address, "secret", WITHIN),
        lambda: list(dict.fromkeys(sink.heard())),
        lambda: setattr(sink, "status", 503),
        lambda: setattr(sink, "status", 200),
    )
    sink.close()


def _log_file(folder: Path) -> Case:
    path, away = folder / "logs" / "alarms.jsonl", folder / "away"
    path.parent.mkdir()

    def heard() -> list[str]:
        return [json.loads(line)["key"] for line in path.read_text().splitlines()]

    def break_it() -> None:
        path.parent.rename(away)

    def mend_it() -> None:
        away.rename(path.parent)

    return Case(LogFile(path), heard, break_it, mend_it)


def test_what_was_delivered_was_heard(case: Case) -> None:
    case.channel.deliver(message("broke_glass/7"))
    case.channel.deliver(message("ended/9"))
    assert case.heard() == ["broke_glass/7", "ended/9"]


def test_the_same_key_is_heard_once(case: Case) -> None:
    for _ in range(3):
        case.channel.deliver(message("broke_glass/7"))
    assert case.heard() == ["broke_glass/7"]


def test_trouble_is_an_error_of_ours_and_the_message_can_be_delivered_later(case: Case) -> None:
    case.break_it()
    with pytest.raises(UnavailableError):
        case.channel.deliver(message("broke_glass/7"))
    case.mend_it()
    case.channel.deliver(message("broke_glass/7"))
    assert case.heard() == ["broke_glass/7"]


@pytest.mark.parametrize("behaviour", ["hang", "drip", "nonsense", "refuse", "cut", "redirect"])
def test_a_webhook_ends_in_time_whatever_the_receiver_does(behaviour: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if behaviour == "refuse":
            server.close()
        else:
            threading.Thread(target=_misbehave, args=(server, behaviour), daemon=True).start()
        channel = Webhook(f"http://127.0.0.1:{port}/T00/a-secret-path", "secret", WITHIN)
        started = time.monotonic()
        with pytest.raises(UnavailableError) as caught:
            channel.deliver(message("broke_glass/7"))
    assert time.monotonic() - started < 4 * WITHIN.total_seconds()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"x" * 100_000], ids=["none", "without-an-end"])
def test_a_receiver_that_said_yes_has_heard_however_its_answer_goes_on(body: bytes) -> None:
    """Else it would be rung for ever by a receiver that took each message."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + body)
            time.sleep(4 * WITHIN.total_seconds())
            connection.close()

        threading.Thread(target=take, daemon=True).start()
        Webhook(f"http://127.0.0.1:{server.getsockname()[1]}/", "secret", WITHIN).deliver(
            message("broke_glass/7")
        )


def _misbehave(server: socket.socket, behaviour: str) -> None:
    connection, _ = server.accept()
    answers = {
        "nonsense": b"\x00\xff not http\r\n\r\n",
        "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\n"
        b"Content-Length: 0\r\n\r\n",
        "cut": b"",
        "hang": b"",
        "drip": b"",
    }
    connection.recv(65536)
    connection.sendall(answers[behaviour])
    try:
        for byte in b"HTTP/1.1 200 OK\r\n" * (behaviour == "drip"):
            connection.sendall(bytes([byte]))
            time.sleep(0.1)
    except OSError:
        pass
    if behaviour == "hang":
        time.sleep(3)
    connection.close()


def test_a_line_torn_by_a_crash_stands_alone_and_its_message_is_written_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "alarms.jsonl"
    LogFile(path).deliver(message("broke_glass/7"))
    with path.open("ab") as file:
        file.write(message("ended/9").body[:20])
    LogFile(path).deliver(message("ended/9"))
    first, torn, last = path.read_bytes().splitlines()
    assert (json.loads(first)["key"], json.loads(last)["key"]) == ("broke_glass/7", "ended/9")
    assert not torn.endswith(b"}")


def test_a_file_that_was_rotated_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "alarms.jsonl"
    channel = LogFile(path)
    channel.deliver(message("broke_glass/7"))
    path.rename(tmp_path / "alarms.jsonl.1")
    channel.deliver(message("ended/9"))
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["ended/9"]


def test_nobody_else_on_the_host_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "alarms.jsonl"
    LogFile(path).deliver(message("broke_glass/7"))
    assert path.stat().st_mode & 0o777 == 0o600
