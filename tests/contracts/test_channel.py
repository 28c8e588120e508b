"""Every channel keeps the contract of ``Channel``, whatever type it is of."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.monitor.alerts.channel import Channel, Message
from breakglass.monitor.alerts.log_file import LogFile
from breakglass.monitor.alerts.mail import Mail
from breakglass.monitor.alerts.mail import MailServer as MailPlace
from breakglass.monitor.alerts.pagerduty import PagerDuty
from breakglass.monitor.alerts.slack import Slack
from breakglass.monitor.alerts.webhook import Webhook
from tests.kit.mail_server import PASSWORD, USER, MailServer, certificate
from tests.monitor.stand_ins import Sink

WITHIN = timedelta(seconds=0.4)
SECRETS = ("secret", "a-routing-key", PASSWORD, "/hook", "sam@shop.example")


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


@pytest.fixture(params=["webhook", "log_file", "slack", "pagerduty", "starttls", "implicit"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "log_file":
        yield _log_file(tmp_path)
    elif request.param in ("starttls", "implicit"):
        server = MailServer(tmp_path, request.param)
        yield _mail(server)
        server.close()
    else:
        sink = Sink()
        yield _posted(request.param, sink)
        sink.close()


def _posted(kind: str, sink: Sink) -> Case:
    if kind == "slack":
        sink.says = b"ok"
    made: dict[str, Callable[[], Channel]] = {
        "webhook": lambda: Webhook(sink.address, "secret", WITHIN),
        "slack": lambda: Slack(sink.address, WITHIN),
        "pagerduty": lambda: PagerDuty(f"a-routing-key {sink.address}", WITHIN),
    }
    keys: dict[str, Callable[[dict[str, Any]], str]] = {
        "webhook": lambda body: body["key"],
        "slack": lambda body: body["text"].rpartition(", key ")[2],  # a person's eyes
        "pagerduty": lambda body: body["dedup_key"],
    }

    def heard() -> list[str]:
        # What has a key that is known is left out; then what people read, which names it too.
        shown = {keys[kind](body): body for body, _, _ in reversed(sink.taken)}
        order = dict.fromkeys(keys[kind](body) for body, _, _ in sink.taken)
        if kind == "pagerduty":
            return [shown[key]["payload"]["custom_details"]["key"] for key in order]
        return list(order)

    return Case(
        made[kind](),
        heard,
        lambda: setattr(sink, "status", 503),
        lambda: setattr(sink, "status", 202 if kind == "pagerduty" else 200),
    )


def _mail(server: MailServer) -> Case:
    sent = Mail(MailPlace.parse(server.url), ["sam@shop.example"], timedelta(seconds=5))

    def heard() -> list[str]:
        shown = {mail["Message-ID"]: mail for _, mail in reversed(server.taken)}
        return [_key_of(shown[each]) for each in server.ids()]

    return Case(
        sent,
        heard,
        lambda: setattr(server, "refuse", True),
        lambda: setattr(server, "refuse", False),
    )


def _key_of(mail: Any) -> str:
    text: str = mail.get_payload(decode=True).decode()
    return text.rpartition("key ")[2].strip()


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
    with pytest.raises(UnavailableError) as caught:
        case.channel.deliver(message("broke_glass/7"))
    told = f"{caught.value} {caught.value.hint}"
    assert not [each for each in SECRETS if each in told], told
    case.mend_it()
    case.channel.deliver(message("broke_glass/7"))
    assert case.heard() == ["broke_glass/7"]


@pytest.mark.parametrize(
    "behaviour", ["hang", "drip", "handshake", "nonsense", "refuse", "cut", "redirect"]
)
def test_a_webhook_ends_in_time_whatever_the_receiver_does(behaviour: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if behaviour == "refuse":
            server.close()
        else:
            threading.Thread(target=_misbehave, args=(server, behaviour), daemon=True).start()
        scheme = "https" if behaviour == "handshake" else "http"
        channel = Webhook(f"{scheme}://127.0.0.1:{port}/T00/a-secret-path", "secret", WITHIN)
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
        "handshake": b"\x16\x03\x03\x40\x00",  # the head of a TLS record of 16 KiB
    }
    connection.recv(65536)
    connection.sendall(answers[behaviour])
    try:
        slow = {"drip": b"HTTP/1.1 200 OK\r\n", "handshake": b"\x02\x00\x00\x46" + b"\x03" * 30}
        for byte in slow.get(behaviour, b""):
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


# --- mail -----------------------------------------------------------------------------------------


def _to(server: MailServer, url: str = "", *to: str) -> Mail:
    return Mail(MailPlace.parse(url or server.url), to or ("sam@shop.example",), WITHIN * 10)


def test_a_mail_is_one_thread_with_the_words_first_and_no_answer_wanted(tmp_path: Path) -> None:
    server = MailServer(tmp_path)
    _to(server).deliver(message("broke_glass/7"))
    _to(server).deliver(message("ended/9"))
    server.close()
    (to, first), (_, second) = server.taken
    assert to == ["sam@shop.example"]
    assert "what happened" in str(make_header(decode_header(first["Subject"])))
    assert first["References"] == second["References"] != first["Message-ID"]
    assert first["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("how", ["stripped", "stranger"])
def test_no_mail_and_no_password_leaves_without_tls_that_holds(tmp_path: Path, how: str) -> None:
    """Whoever is on the way takes STARTTLS out of the greeting, or answers for the server."""
    server = MailServer(tmp_path, "none" if how == "stripped" else "starttls")
    url = (
        f"smtp://{USER}:{PASSWORD}@localhost:{server.port}?from=b@shop.example"
        if how == "stripped"
        else server.url.partition("&ca=")[0]
    )
    with pytest.raises(UnavailableError, match=r"did not take it: (SMTPNotSupp|SSLCert)") as caught:
        _to(server, url).deliver(message("broke_glass/7"))
    server.close()
    assert server.taken == []
    assert PASSWORD not in str(caught.value)


def test_a_relay_on_this_host_takes_mail_without_tls(tmp_path: Path) -> None:
    server = MailServer(tmp_path, "none")
    _to(server).deliver(message("broke_glass/7"))
    server.close()
    assert len(server.taken) == 1


def test_one_refused_recipient_does_not_send_the_mail_again_to_the_others(tmp_path: Path) -> None:
    server = MailServer(tmp_path)
    server.refused = {"gone@shop.example"}
    _to(server, "", "sam@shop.example", "gone@shop.example").deliver(message("broke_glass/7"))
    server.close()
    assert [to for to, _ in server.taken] == [["sam@shop.example"]]


@pytest.mark.parametrize(
    "text",
    [
        "mail.example",
        "http://mail.example?from=a@b",
        "smtp://mail.example",
        "smtp://mail.example?from=a@b&x=1",
        "smtp://mail.example:x?from=a@b",
    ],
)
def test_a_mail_server_of_another_form_is_told_without_its_password(text: str) -> None:
    with pytest.raises(MisconfiguredError, match="not written as one") as caught:
        MailPlace.parse(text.replace("//", f"//{USER}:{PASSWORD}@"))
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("implicit", [True, False])
def test_a_mail_server_that_drips_or_hangs_ends_in_time(implicit: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            for byte in b"220-hello \r\n" * 30:
                try:
                    connection.sendall(b"\x16\x03\x01\x40" if implicit else bytes([byte]))
                except OSError:
                    return
                time.sleep(0.1)

        threading.Thread(target=drip, daemon=True).start()
        scheme = "smtps" if implicit else "smtp"
        url = f"{scheme}://localhost:{server.getsockname()[1]}?from=b@shop.example"
        started = time.monotonic()
        with pytest.raises(UnavailableError):
            Mail(MailPlace.parse(url), ["sam@shop.example"], WITHIN).deliver(message("x/1"))
    assert time.monotonic() - started < 4 * WITHIN.total_seconds()


# --- Slack, PagerDuty, addresses of people --------------------------------------------------------


def test_what_a_person_typed_gives_slack_no_orders() -> None:
    sink = Sink()
    sink.says = b"ok"
    body = json.dumps({"text": "why: <!channel> & <https://evil.example|click>"}).encode()
    Slack(sink.address, WITHIN).deliver(Message("broke_glass/7", "g-7kq3m2x4p5ab", body))
    ((posted, _, _),) = sink.taken
    sink.close()
    assert posted["text"] == (
        "why: &lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;\n"
        "thread g-7kq3m2x4p5ab, key broke_glass/7"
    )


def test_a_page_of_a_proxy_is_no_ok_of_slack() -> None:
    sink = Sink()
    sink.says = b"<html>sign in first</html>"
    with pytest.raises(UnavailableError, match="did not answer 'ok'"):
        Slack(sink.address, WITHIN).deliver(message("broke_glass/7"))
    sink.close()


def test_an_event_of_pagerduty_has_its_form_and_bounds() -> None:
    sink = Sink()
    body = json.dumps({"text": "x" * 2000, "log": "ledger.example/one", "subject": "door"}).encode()
    PagerDuty(f"a-routing-key {sink.address}", WITHIN).deliver(Message("k" * 300, "g-1", body))
    ((posted, _, _),) = sink.taken
    sink.close()
    assert posted["routing_key"] == "a-routing-key"
    assert posted["event_action"] == "trigger"
    assert (len(posted["dedup_key"]), len(posted["payload"]["summary"])) == (64, 1024)
    assert posted["payload"]["severity"] == "critical"
    assert posted["payload"]["source"] == "ledger.example/one"


def test_two_ledgers_that_ring_one_service_of_pagerduty_do_not_hide_each_others_news() -> None:
    sink = Sink()
    for log in ("ledger.example/one", "ledger.example/two"):
        body = json.dumps({"text": "x", "log": log, "key": "broke_glass/7"}).encode()
        PagerDuty(f"a-routing-key {sink.address}", WITHIN).deliver(
            Message("broke_glass/7", "g-1", body)
        )
    sink.close()
    assert len({posted["dedup_key"] for posted, _, _ in sink.taken}) == 2


NOT_REACHED = "was not reached: no public address of it answered over TLS within 0.4 s"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_that_must_lie_outside_gets_no_byte_inside(scheme: str, host: str) -> None:
    """A person may name an address of their own; the monitor's host has others that listen."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{scheme}://{host}:{server.getsockname()[1]}/hook"
        for made in (
            Webhook(address, "", WITHIN, outside=True),
            Slack(address, WITHIN, outside=True),
        ):
            with pytest.raises(UnavailableError, match=NOT_REACHED):
                made.deliver(message("broke_glass/7"))
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody connected, so no handshake began either
            server.accept()


def test_whoever_names_an_address_learns_nothing_of_what_listens_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused, slow, no TLS, a certificate of another: one text, or it were a scan of ports."""
    monkeypatch.setattr("breakglass.monitor.alerts.outside_http.is_public", lambda address: True)
    told = set()
    for behaviour in ("refuse", "hang", "nonsense", "handshake", "cut", "no such name"):
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"https://127.0.0.1:{server.getsockname()[1]}/"
            if behaviour == "refuse":
                server.close()
            elif behaviour == "no such name":
                address = "https://nowhere.invalid/"
            else:
                threading.Thread(target=_misbehave, args=(server, behaviour), daemon=True).start()
            with pytest.raises(UnavailableError, match=NOT_REACHED) as caught:
                Webhook(address, "", WITHIN, outside=True).deliver(message("broke_glass/7"))
            told.add((str(caught.value), caught.value.name, caught.value.hint))
    assert len(told) == 1


def _whole_request(connection: socket.socket) -> bytes:
    """Read head and body: who closes with bytes unread resets, and the answer may be lost."""
    found = b""
    while (end := found.find(b"\r\n\r\n")) < 0:
        found += connection.recv(65536)
    (length,) = re.findall(rb"(?i)content-length: (\d+)", found[:end])
    while len(found) < end + 4 + int(length):
        found += connection.recv(65536)
    return found


def test_a_receiver_with_a_certificate_that_holds_hears_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = certificate(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            plain, _ = server.accept()
            with context.wrap_socket(plain, server_side=True) as connection:
                heads.append(_whole_request(connection))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        port = server.getsockname()[1]
        taking = threading.Thread(target=take, daemon=True)
        taking.start()
        Webhook(f"https://localhost:{port}/hook", "secret", WITHIN * 20).deliver(
            message("broke_glass/7")
        )
        taking.join(10)
    assert heads[0].startswith(b"POST /hook HTTP/1.1\r\n")
    assert f"Host: localhost:{port}\r\n".encode() in heads[0]
