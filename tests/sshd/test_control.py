"""The control call: what it answers, and that nonsense does nothing."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from breakglass.clock import format_time
from breakglass.errors import UnavailableError
from breakglass.records.grant import serial_of
from breakglass.sshd.grant_certificate import TYPE
from breakglass.sshd.host_config import HostConfig
from breakglass.sshd.host_daemon import HostDaemon
from breakglass.sshd.host_socket import HostSocket, call
from breakglass.sshd.main import main
from breakglass.sshd.setup_lines import setup_lines
from breakglass.sshd.steady_clock import KEEP_EVERY, SteadyClock
from tests.sshd.conftest import Place

HANDLE = "bg_aaaaaaaaaaaa"
HOSTILE = {
    "too large": (b'{"v":1,"verb":"' + b"x" * 70_000 + b'"}', "too_large"),
    "no JSON": (b"cut everything", "bad_json"),
    "nothing": (b"", "bad_json"),
    "a list": (b"[]", "malformed"),
    "unknown verb": (b'{"v":1,"verb":"give"}', "bad_request"),
    "no verb": (b'{"v":1}', "bad_request"),
    "a key twice": (b'{"v":1,"verb":"describe","verb":"list"}', "duplicate_key"),
    "another version": (b'{"v":2,"verb":"describe"}', "bad_request"),
    "true for one": (b'{"v":true,"verb":"describe"}', "bad_request"),
    "a field too many": (b'{"v":1,"verb":"list","handle":"bg_a"}', "unknown_field"),
    "a field too few": (b'{"v":1,"verb":"cut","handle":"bg_a"}', "missing_field"),
    "a path for a handle": (b'{"v":1,"verb":"cut","handle":"bg_../x","ids":{}}', "malformed"),
    "two handles in a line": (b'{"v":1,"verb":"cut","handle":"bg_a\\nbg_b","ids":{}}', "malformed"),
    "an account like an option": (b'{"v":1,"verb":"check","accounts":["-x"]}', "malformed"),
    "a number that is none": (b'{"v":1,"verb":"used","within_s":1e3}', "not_integer"),
    "PAM's own word": (
        b'{"v":1,"verb":"job","account":"root","pid":4}',
        "forbidden",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", HOSTILE)
def test_nonsense_is_answered_and_does_nothing(place: Place, how: str) -> None:
    request, name = HOSTILE[how]
    before = place.host.ask("list")
    error = place.host.say(request)["error"]
    assert error["name"] == name
    assert error["message"]
    assert place.host.ask("list") == before


def test_a_stranger_on_the_socket_is_refused(place: Place) -> None:
    ask = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        's.sendall(b\'{"v":1,"verb":"list"}\'); s.shutdown(1); print(s.recv(999))'
    )
    done = subprocess.run(
        ["runuser", "-u", place.host.accounts[0], "--", "python3", "-c", ask, place.host.socket],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "PermissionError" in done.stderr


def test_a_caller_who_says_nothing_holds_up_nobody(place: Place) -> None:
    silent = []
    for _ in range(8):
        silent.append(socket.socket(socket.AF_UNIX))
        silent[-1].connect(str(place.host.socket))
    assert place.host.ask("describe")["host"] == "web-1"
    for each in silent:
        each.close()


def test_describe_open_and_list_say_who_and_what(place: Place) -> None:
    host, broken = place.host, place.org.grant()
    assert host.ask("describe") == {"v": 1, "host": "web-1", "minter": "web", "version": "0.1.0"}
    intent = broken.intent
    said = {
        "handle": intent.handle,
        "grant": intent.grant,
        "serial": str(serial_of(intent.handle)),
        "accounts": list(host.accounts),
        "not_before": format_time(intent.not_before),
        "expires": format_time(intent.not_after),
    }
    for _ in range(2):
        assert host.ask("open", **said) == {"v": 1, "known": True}
    assert intent.handle in host.ask("list")["handles"]
    assert host.ask("open", **(said | {"serial": "7"}))["error"]["name"] == "mismatch"
    assert host.ask("cut", handle=intent.handle, ids={"host": "web-1"}) == {"v": 1, "sessions": 0}
    assert host.ask("open", **said)["error"]["name"] == "ended"
    assert "evidence" in host.ask("probe-dead", handle=intent.handle, certificate=None)
    assert host.ask("tidy", handle=intent.handle) == {"v": 1, "left_behind": []}


def test_open_behind_the_end_is_refused(place: Place) -> None:
    now = datetime.now(UTC)
    said = {
        "handle": HANDLE,
        "grant": "g-aaaaaaaaaaaa",
        "serial": str(serial_of(HANDLE)),
        "accounts": [place.host.accounts[0]],
        "not_before": format_time(now - timedelta(hours=1)),
        "expires": format_time(now - timedelta(seconds=1)),
    }
    assert place.host.ask("open", **said)["error"]["name"] == "ended"
    assert HANDLE not in place.host.ask("list")["handles"]


def test_a_cut_of_what_was_never_heard_of_refuses_its_login_from_then_on(place: Place) -> None:
    session = place.begin()
    assert session.dead()["error"]["name"] == "alive"
    assert session.cut() == {"v": 1, "sessions": 0}
    assert session.runs("id").returncode == 255
    assert "evidence" in session.dead()
    assert place.host.ask("tidy", handle=session.handle) == {"v": 1, "left_behind": []}


def test_probe_says_whether_it_would_let_in(place: Place) -> None:
    host, session = place.host, place.begin()
    ask = {"certificate": session.line, "account": host.accounts[0]}
    assert session.handle in host.ask("probe", **ask)["evidence"]
    assert host.ask("probe", **(ask | {"account": "root"}))["error"]["name"] == "wrong_scope"
    session.cut()
    assert host.ask("probe", **ask)["error"]["name"] == "ended"


def test_check_and_setup_say_what_the_host_lacks_and_needs(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    host = place.host
    found = host.ask("check", accounts=[*host.accounts[:2], "nobody-here"])["findings"]
    said = [each["says"] for each in found]
    # The files of PAM are bound inside the host's namespace alone: from here they do not call us.
    assert any("does not call" in each for each in said)
    assert any("no account 'nobody-here'" in each for each in said)
    keys = [each for each in found if "authorizedkeysfile" in each["says"]]
    assert [(host.accounts[1] in each["says"], each["stops"]) for each in keys] == [(True, False)]
    assert main(["--folder", str(host.folder), "check", *host.accounts, "--json"]) == 6
    assert json.loads(capsys.readouterr().out)["findings"]
    lines = setup_lines(HostConfig.open(host.folder), host.accounts[:1], str(host.program))
    for line in lines.splitlines():
        if line.startswith(("UsePAM", "RevokedKeys", "AuthorizedPrincipals", "PermitUserRC")):
            assert line in (host.folder / "sshd_config").read_text()
        if line.startswith("session required"):
            assert line in (host.folder / "pam.d" / host.name).read_text()


def test_a_call_while_no_daemon_runs_is_answered_so(place: Place) -> None:
    place.host.kill_daemon()
    try:
        assert place.host.ask("describe")["error"]["name"] == "unavailable"
    finally:
        place.host.start_daemon()


def test_a_clock_set_back_lengthens_no_grant(tmp_path: Path) -> None:
    class Hands:
        at = datetime(2026, 6, 22, 3, 0, tzinfo=UTC)

        def now(self) -> datetime:
            return self.at

    hands = Hands()
    clock = SteadyClock(tmp_path / "clock", hands)
    clock.keep()
    before = clock.now()
    hands.at -= timedelta(hours=2)
    assert clock.now() >= before
    assert clock.behind >= timedelta(hours=2) - timedelta(seconds=1)
    # Nor does a restart behind it, whatever the machine's clock says then.
    assert SteadyClock(tmp_path / "clock", hands).now() >= before - KEEP_EVERY
    # One set forward ends early, and is followed back.
    hands.at = before + timedelta(days=1)
    assert clock.now() == hands.at
    hands.at = before
    assert clock.now() < before + timedelta(minutes=5)
    time.sleep(0.01)
    assert clock.now() > before


def test_root_alone_is_asked_for_the_daemon(place: Place) -> None:
    words = (place.host.program, "--folder", place.host.folder, "serve")
    done = subprocess.run(
        ["runuser", "-u", place.host.user, "--", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6
    assert "as root" in done.stderr


def test_pam_that_reads_an_accounts_environment_stops(place: Place) -> None:
    host = place.host
    inside = ["nsenter", "--mount", f"--target={host.sshd.pid}", "--", host.program]
    words = [*inside, "--folder", host.folder, "check", "--json"]
    file = host.folder / "pam.d" / host.name
    kept, told = file.read_text(), []
    try:
        for line in ("", "# user_readenv=1\n", "session required pam_env.so user_readenv=1\n"):
            file.write_text(line + kept)
            done = subprocess.run(words, capture_output=True, check=False)
            said = json.loads(done.stdout)["findings"]
            told.append([each["stops"] for each in said if "user_readenv" in each["says"]])
    finally:
        file.write_text(kept)
    assert told == [[], [], [True]]


def test_a_call_that_finds_no_thread_left_does_not_end_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listening = HostSocket(path, "root", cast("HostDaemon", None))  # nonsense gets to no daemon
    serving = threading.Thread(target=listening.serve)
    serving.start()
    before = threading.stack_size(2**46)  # more than a process may map: none begins
    try:
        with pytest.raises(UnavailableError, match=r"before it answered|does not answer"):
            call(path, b"nonsense")
    finally:
        threading.stack_size(before)
    assert b"bad_json" in call(path, b"nonsense")
    listening.close()
    serving.join(10)


@pytest.mark.parametrize("said", [{}, {"SSH_AUTH_INFO_0": "publickey {kind} AAAA"}])
def test_a_session_that_cannot_be_told_leaves_no_connection(
    place: Place, said: dict[str, str]
) -> None:
    host = place.host
    told = {name: text.format(kind=TYPE) for name, text in said.items()}
    told |= {"PAM_TYPE": "open_session", "PAM_SERVICE": host.name, "PAM_USER": host.accounts[0]}
    typed = f"{host.program} --folder {host.folder} session; echo lives"
    done = subprocess.run(["sh", "-c", typed], env=told, capture_output=True, check=False)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == b""
