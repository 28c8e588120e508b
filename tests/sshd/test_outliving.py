"""Ways to outlive an expiry, tried on a real sshd: none of them runs behind it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.clock import format_time
from breakglass.records.grant import serial_of
from tests.kit.ssh_grants import certificate, wait_until
from tests.sshd.conftest import Place, Session

# Each leaves a process behind that would write the file again and again for ever.
WRITES = "while :; do date >> {file}; sleep 0.1; done"
WAYS = {
    "a foreground command": "{loop}",
    "nohup": "nohup sh -c '{loop}' >/dev/null 2>&1 & sleep 0.3",
    "setsid": "setsid sh -c '{loop}' >/dev/null 2>&1 </dev/null & sleep 0.3",
    "a double fork": "(setsid sh -c '({loop}) &' >/dev/null 2>&1 </dev/null &) ; sleep 0.3",
    "tmux": 'tmux -L {name} new-session -d "{loop}"; sleep 0.3',
    "deaf to signals": "nohup sh -c 'trap : TERM HUP INT QUIT; {loop}' >/dev/null 2>&1 & sleep 0.3",
    "a fork loop": (
        "f() {{ date >> {file}; sleep 0.05; f & }}; for n in 1 2 3 4; do f & done; sleep 600"
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_that_a_session_started_runs_behind_its_end(place: Place, way: str) -> None:
    session = place.begin()
    file = f"/tmp/{session.handle}"
    loop = WRITES.format(file=file)
    typed = WAYS[way].format(loop=loop, file=file, name=session.handle)
    running = session.starts(typed)
    wait_until(Path(file).exists)
    stays = way in ("a foreground command", "a fork loop")
    if not stays:
        running.communicate(timeout=30)
        wait_until(lambda: place.host.left(session.handle))
    assert session.cut()["sessions"] >= 1
    assert_over(session, file)
    if stays:
        running.communicate(timeout=10)
        assert running.returncode != 0
    os.unlink(file)


def assert_over(session: Session, file: str = "") -> None:
    """Check that nothing of a grant runs, and that the host says so."""
    wait_until(lambda: not session.place.host.left(session.handle), 5)
    evidence = session.dead()
    assert "0 processes in its cgroup; 0 jobs" in evidence.get("evidence", str(evidence))
    if file:
        size = os.path.getsize(file)
        time.sleep(0.5)
        assert os.path.getsize(file) == size


def test_the_daemon_ends_a_grant_at_its_end_with_nobody_calling(place: Place) -> None:
    session = place.begin(for_s=6)
    running = session.starts("setsid sleep 600 & sleep 600")
    wait_until(lambda: len(place.host.left(session.handle)) >= 3)
    end = session.broken.intent.not_after.timestamp()
    running.communicate(timeout=30)
    assert time.time() >= end - 0.5
    assert_over(session)
    again = session.runs("id")
    assert again.returncode == 255
    assert session.handle in place.host.ask("list")["handles"]


def test_a_forwarding_without_a_session_ends_too(place: Place) -> None:
    session = place.begin("web-tunnel")
    running = session.starts(
        options=("-N", "-L", f"{place.folder}/{session.handle}.sock:127.0.0.1:{place.host.port}")
    )
    forwarded = place.folder / f"{session.handle}.sock"
    wait_until(forwarded.exists)
    wait_until(lambda: place.host.left(session.handle))
    assert place.host.ask("cut-idle", handle=session.handle)["error"]["name"] == "busy"
    assert session.cut()["sessions"] == 1
    assert running.wait(5) != 0
    assert_over(session)


def test_no_forwarding_where_the_scope_does_not_say_so(place: Place) -> None:
    session = place.begin()
    running = session.runs(options=("-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:1"))
    assert running.returncode == 255
    session.cut()
    assert_over(session)


def test_a_key_planted_in_the_account_is_taken_away_at_the_end_and_told(place: Place) -> None:
    host, session = place.host, place.begin()
    planted = place.folder / f"planted-{session.handle}"
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", planted], check=True)
    public = planted.with_suffix(".pub").read_text().strip()
    typed = f"mkdir -m 700 -p .ssh; echo '{public}' >> .ssh/authorized_keys; chmod 600 .ssh/*"
    assert session.runs(typed, account=1).returncode == 0
    login = host.ssh(planted, host.accounts[1], "id")
    assert subprocess.run(login, check=False, capture_output=True).returncode == 0  # it would
    session.cut()
    assert subprocess.run(login, check=False, capture_output=True).returncode == 255
    (told,) = host.ask("tidy", handle=session.handle)["left_behind"]
    assert "authorized_keys" in told
    assert host.accounts[1] in told
    assert public in Path(told.rpartition("kept ")[2]).read_text()


def test_a_planted_key_opens_nothing_at_any_time_where_setups_lines_stand(place: Place) -> None:
    host, session = place.host, place.begin()
    planted = place.folder / f"planted-{session.handle}"
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", planted], check=True)
    public = planted.with_suffix(".pub").read_text().strip()
    typed = f"mkdir -m 700 -p .ssh; echo '{public}' >> .ssh/authorized_keys; chmod 600 .ssh/*"
    assert session.runs(typed, account=0).returncode == 0
    login = host.ssh(planted, host.accounts[0], "id")
    assert subprocess.run(login, check=False, capture_output=True).returncode == 255
    session.cut()


def test_what_else_a_grant_left_in_the_account_is_told(place: Place) -> None:
    session = place.begin()
    units = ".config/systemd/user"
    typed = f"cp /bin/true mine; chmod u+s mine; echo echo >> .bashrc; mkdir -p {units}"
    session.runs(f"{typed}; touch {units}/mine.timer")
    assert place.host.ask("tidy", handle=session.handle)["error"]["name"] == "alive"
    session.cut()
    told = "\n".join(place.host.ask("tidy", handle=session.handle)["left_behind"])
    for each in ("/mine:", "/.bashrc:", "/mine.timer:"):
        assert each in told
    assert session.handle not in place.host.ask("list")["handles"]


def test_a_daemon_killed_in_the_middle_of_a_cut_goes_on_when_it_is_back(place: Place) -> None:
    host, session = place.host, place.begin()
    running = session.starts("setsid sleep 600 & sleep 600")
    wait_until(lambda: len(host.left(session.handle)) >= 3)
    host.kill_daemon()
    # Nobody is let in while nobody would end it.
    other = place.begin()
    assert other.runs("id").returncode != 0
    assert host.left(other.handle) == []
    # The promise is on disk, and nothing else is done: as a crash behind step (1) leaves it.
    promise = (
        "import sys; from datetime import datetime, UTC; from pathlib import Path;"
        "from breakglass.sshd.grant_table import GrantTable;"
        "GrantTable(Path(sys.argv[1])).end(sys.argv[2], datetime.now(UTC))"
    )
    python = host.program.parent / "python"
    table = host.folder / "state" / "grants.sqlite"
    subprocess.run([python, "-I", "-c", promise, table, session.handle], check=True)
    host.start_daemon()
    running.communicate(timeout=20)
    assert_over(session)


def test_a_daemon_killed_at_any_moment_of_a_cut_finishes_it(place: Place) -> None:
    host = place.host
    for wait_s in (0.0, 0.005, 0.02, 0.05, 0.1):
        session = place.begin()
        running = session.starts("setsid sleep 600 & sleep 600")
        wait_until(lambda of=session: len(host.left(of.handle)) >= 3)
        cutting = subprocess.Popen(
            [host.program, "--folder", host.folder, "control"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        assert cutting.stdin is not None
        cutting.stdin.write(
            b'{"v":1,"verb":"cut","handle":"%s","ids":{}}' % session.handle.encode()
        )
        cutting.stdin.close()
        time.sleep(0.3 + wait_s)
        host.kill_daemon()
        cutting.wait(30)
        host.start_daemon()
        if session.dead().get("error"):
            assert "error" not in session.cut()  # it was killed before it heard
        running.communicate(timeout=20)
        assert_over(session)


def test_a_grant_that_ended_while_no_daemon_ran_ends_at_its_start(place: Place) -> None:
    host, session = place.host, place.begin(for_s=5)
    running = session.starts("setsid sleep 600 & sleep 600")
    wait_until(lambda: len(host.left(session.handle)) >= 3)
    host.kill_daemon()
    time.sleep(max(0, session.broken.intent.not_after.timestamp() - time.time()) + 0.5)
    assert host.left(session.handle)
    host.start_daemon()
    running.communicate(timeout=20)
    assert_over(session)


def test_a_daemon_that_is_stopped_ends_no_grant(place: Place) -> None:
    host, session = place.host, place.begin()
    running = session.starts("sleep 600")
    wait_until(lambda: host.left(session.handle))
    assert host.daemon is not None
    host.daemon.send_signal(signal.SIGTERM)
    assert host.daemon.wait(10) == 0
    assert host.left(session.handle)
    host.start_daemon()
    assert host.ask("used", handle=session.handle, within_s=60) == {"v": 1, "used": True}
    session.cut()
    running.communicate(timeout=20)
    assert_over(session)


def test_two_grants_on_one_account_and_the_end_of_one_leaves_the_other(place: Place) -> None:
    first, second = place.begin(), place.begin()
    one, two = first.starts("sleep 600"), second.starts("sleep 600")
    wait_until(lambda: place.host.left(first.handle) and place.host.left(second.handle))
    first.cut()
    one.communicate(timeout=20)
    assert_over(first)
    assert place.host.left(second.handle)
    second.cut()
    two.communicate(timeout=20)


def test_a_login_by_a_certificate_behind_its_end_is_refused_whatever_the_daemon_heard(
    place: Place,
) -> None:
    broken = place.org.grant(for_s=2)
    session = place.shown(broken, certificate(place.org, broken))
    wait_until(lambda: time.time() > broken.intent.not_after.timestamp() + 0.2)
    assert session.runs("id").returncode == 255


def test_cut_idle_spares_whoever_works_and_ends_a_shell_at_its_prompt(place: Place) -> None:
    host, session = place.host, place.begin()
    running = session.starts(options=("-tt",))
    wait_until(lambda: len(host.left(session.handle)) >= 3)
    running.stdin.write(b"sleep 300\n")
    running.stdin.flush()
    wait_until(lambda: len(host.left(session.handle)) >= 4)
    assert host.ask("cut-idle", handle=session.handle)["error"]["name"] == "busy"
    assert host.left(session.handle)
    running.stdin.write(b"\x03")
    running.stdin.flush()
    wait_until(lambda: len(host.left(session.handle)) == 3)
    assert host.ask("used", handle=session.handle, within_s=1)["used"]
    assert host.ask("cut-idle", handle=session.handle) == {"v": 1, "sessions": 1}
    running.communicate(timeout=20)
    assert_over(session)


def test_a_file_of_many_keys_is_put_back_whole_and_one_too_large_is_told(place: Place) -> None:
    host = place.host
    home = Path("/home") / host.accounts[1] / ".ssh"
    home.mkdir(mode=0o700, exist_ok=True)
    keys = home / "authorized_keys"
    many = "".join(f"ssh-ed25519 {'A' * 68} user{number}\n" for number in range(5_000))
    vast = "#" * (5 * 1024 * 1024)
    for before, after, left in (
        (many, many + "x", many),
        (many, vast, many),
        (vast, vast + "x", None),
    ):
        keys.write_text(before)
        subprocess.run(["chown", "-R", f"{host.accounts[1]}:", home], check=True)
        session = place.begin()
        assert session.runs("id", account=1).returncode == 0
        keys.write_text(after)
        session.cut()
        assert keys.read_text() == (left or after)
        (told,) = host.ask("tidy", handle=session.handle)["left_behind"]
        assert ("too large" in told) is (left is None)
    keys.unlink()
    assert host.ask("used", handle="bg_unheard", within_s=60) == {"v": 1, "used": False}


def test_a_disk_that_takes_nothing_any_more_keeps_no_session_alive(place: Place) -> None:
    state, session = place.host.folder / "state", place.begin(for_s=8)
    running = session.starts("setsid sleep 600 & sleep 600")
    wait_until(lambda: len(place.host.left(session.handle)) >= 3)
    kept = {name: (state / name).read_bytes() for name in ("ended", "clock")}
    for name in kept:  # a folder in its place: no write ends well, as on a full disk
        (state / name).unlink()
        (state / name / "full").mkdir(parents=True)
    try:
        running.communicate(timeout=30)
        wait_until(lambda: not place.host.left(session.handle))
        assert "error" in session.dead()
    finally:
        for name, data in kept.items():
            (state / name / "full").rmdir()
            (state / name).rmdir()
            (state / name).write_bytes(data)
    wait_until(lambda: "error" not in session.dead())
    assert_over(session)


def test_what_open_said_lengthens_no_grant_and_hides_no_account(place: Place) -> None:
    host, session = place.host, place.begin(for_s=600)
    intent = session.broken.intent
    late = format_time(intent.not_after + timedelta(days=900))
    said = {"grant": intent.grant, "not_before": format_time(intent.not_before), "expires": late}
    said |= {"handle": intent.handle, "serial": str(serial_of(intent.handle))}
    assert host.ask("open", accounts=["root"], **said) == {"v": 1, "known": True}
    assert session.runs("id").returncode == 0
    with sqlite3.connect(f"file:{host.folder}/state/grants.sqlite?mode=ro", uri=True) as table:
        (row,) = table.execute(
            "select accounts, expires from grants where handle = ?", (intent.handle,)
        )
    assert json.loads(row[0]) == sorted(host.accounts)
    assert row[1] == format_time(intent.not_after)
    session.cut()
    assert_over(session)


def test_what_changed_while_nobody_logged_in_is_left_as_it_is(place: Place) -> None:
    host, session = place.host, place.begin()
    intent = session.broken.intent
    keys = authorized_keys(place, 1)
    keys.write_text("# a key that its owner takes out\n")
    said = {"handle": intent.handle, "grant": intent.grant, "accounts": [host.accounts[1]]}
    said |= {"serial": str(serial_of(intent.handle)), "expires": format_time(intent.not_after)}
    assert "error" not in host.ask("open", not_before=format_time(intent.not_before), **said)
    keys.write_text("# without\n")
    session.cut()
    assert keys.read_text() == "# without\n"
    keys.unlink()


def test_what_one_grant_planted_is_no_baseline_of_the_next(place: Place) -> None:
    first, keys = place.begin(), authorized_keys(place, 1)
    assert first.runs("id", account=1).returncode == 0
    keys.write_text("# planted\n")
    second = place.begin()
    assert second.runs("id", account=1).returncode == 0
    first.cut()
    assert not keys.exists()
    keys.write_text("# planted\n")
    second.cut()
    assert not keys.exists()


def test_a_name_that_is_no_text_hides_nothing_of_what_was_left(place: Place) -> None:
    session = place.begin()
    assert session.runs("cp /bin/true $'s\\xff\\nx'; chmod u+s s*").returncode == 0
    session.cut()
    told = place.host.ask("tidy", handle=session.handle)["left_behind"]
    assert any("s\\udcff\\nx" in each for each in told)
    assert session.place.host.accounts[0] in str(told)
    (left,) = (Path("/home") / place.host.accounts[0]).glob("s*x")
    left.unlink()


def authorized_keys(place: Place, account: int) -> Path:
    """Return the path of an account's file of keys, in a folder of the account's."""
    home = Path("/home") / place.host.accounts[account] / ".ssh"
    home.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(["chown", "-R", f"{place.host.accounts[account]}:", home], check=True)
    return home / "authorized_keys"


def test_a_link_to_planted_keys_is_taken_away(place: Place) -> None:
    keys = authorized_keys(place, 1)
    home, folder = keys.parent.parent, keys.parent
    hidden, link = home / "hidden", f"ln -sf ../hidden {keys}"
    for own, typed in (
        ("", link),
        ("# own\n", link),
        ("", f"mv {folder} {folder}.was; mkdir hidden; ln -s hidden {folder}"),
    ):
        if own:
            keys.write_text(own)
        session = place.begin()
        done = session.runs(typed, account=1)
        assert done.returncode == 0, done.stderr
        session.cut()
        assert not keys.is_symlink()
        assert not folder.is_symlink()
        assert (keys.read_text() if keys.exists() else "") == own
        (told,) = place.host.ask("tidy", handle=session.handle)["left_behind"]
        assert "put back" in told
        keys.unlink(missing_ok=True)
    # A link of the account's own that was bent comes back.
    keys = authorized_keys(place, 1)
    keys.symlink_to("../own")
    session = place.begin()
    assert session.runs(f"ln -sf ../hidden {keys}", account=1).returncode == 0
    session.cut()
    assert os.readlink(keys) == "../own"
    keys.unlink()
    assert not hidden.is_file()
