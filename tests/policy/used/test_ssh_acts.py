"""Where grants logged in, by sshd's own entries: recorded ones, and those of an sshd that runs."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from breakglass.policy.used.grant_use import GrantUse
from breakglass.policy.used.lived_grant import LivedGrant
from breakglass.policy.used.log_file import LogForm, form_of
from breakglass.policy.used.proposal import propose
from breakglass.policy.used.proposed_bundle import narrowed_files, unified_diff
from breakglass.policy.used.ssh_acts import read_ssh
from tests.kit.port_rows import own_port
from tests.kit.postgres import die_with_parent
from tests.policy.used.kit import NOON, lived, wide_files, wide_glass

SSHD = Path("/usr/sbin/sshd")
SCOPE = {"hosts": ("web-1", "web-2"), "accounts": ("deploy", "root")}
# Recorded from OpenSSH 9.2p1 (Debian 12) under LogLevel VERBOSE; serial and host key digests ours.
RECORDED = (
    'Connection from 127.0.0.1 port 52258 on 127.0.0.1 port 22 rdomain ""',
    "Failed publickey for {account} from 127.0.0.1 port 52258 ssh2: ED25519 SHA256:GFI+R7KtA",
    'Accepted certificate ID "breakglass-INC-4821-mira" (serial {serial}) signed by ED25519 CA'
    " SHA256:1eVLdJKnpv7Gnn1zB6qst77UnzG4Ivv1sjuQavtUNV4 via /etc/ssh/ca.pub",
    "Accepted publickey for {account} from 127.0.0.1 port 52258 ssh2: ED25519-CERT SHA256:GFI+R"
    " ID breakglass-INC-4821-mira (serial {serial}) CA ED25519 SHA256:1eVLdJKnpv7Gnn1zB6qs",
    "Starting session: command for {account} from 127.0.0.1 port 52258 id 0",
    "Received disconnect from 127.0.0.1 port 52258:11: disconnected by user",
    "Disconnected from user {account} 127.0.0.1 port 52258",
)


def entry(at: datetime, host: str, message: str, program: str = "sshd", pid: int = 7) -> str:
    return f"{at.isoformat(timespec='microseconds')} {host} {program}[{pid}]: {message}\n"


CONTROL = "Accepted publickey for breakglass from 10.77.0.1 port 40000 ssh2: ED25519 SHA256:GFI+R"


def log_of(path: Path, grant: LivedGrant, host: str, account: str, quiet: bool = False) -> Path:
    """Write what sshd of a host wrote while a grant lived, with a heartbeat of cron.

    Quiet: nobody logged in but the minter, when the grant ended.
    """
    lines = [
        entry(grant.begins + timedelta(minutes=each), host, "session opened", "CRON")
        for each in range(61)
    ]
    for number, each in enumerate(() if quiet else RECORDED):
        at = grant.begins + timedelta(minutes=3 * number, seconds=5)
        lines.append(entry(at, host, each.format(account=account, serial=grant.serial)))
    lines.append(entry(grant.ends - timedelta(seconds=2), host, CONTROL))
    path.write_text("".join(sorted(lines)))
    return path


def used(logs: list[Path], grant: LivedGrant) -> GrantUse:
    return read_ssh([(each, form_of(each)) for each in logs], [grant]).use_of(grant)


def test_hosts_and_accounts_that_nobody_used_go(tmp_path: Path) -> None:
    uses = []
    for number in range(5):
        grant = lived(number, "ssh", **SCOPE)
        logs = [
            log_of(tmp_path / f"{number}-1", grant, "web-1", "deploy"),
            log_of(tmp_path / f"{number}-2", grant, "web-2", "", quiet=True),
        ]
        uses.append(used(logs, grant))
        assert uses[-1].lost == ()
        assert uses[-1].lasted == timedelta(minutes=18, seconds=5)
    files = wide_files("ssh: {minter: web, host: [web-1, web-2], account: [deploy, root]}")
    glass = wide_glass(files)
    found = propose(glass, glass.mints[0], uses)
    assert found.never_used == {"hosts": ("web-2",), "accounts": ("root",)}
    lines = list(unified_diff(files, narrowed_files(files, found)))
    assert "+    mint: {ssh: {minter: web, host: web-1, account: deploy}}" in lines
    assert "+    for: 40m" in lines


def test_a_host_whose_log_was_not_given_or_is_silent_stops_the_proposal(tmp_path: Path) -> None:
    grant = lived(0, "ssh", **SCOPE)
    log = log_of(tmp_path / "log", grant, "web-1", "deploy")
    assert used([log], grant).lost == ("no log of host web-2 was given",)
    log.write_text("".join(log.read_text().splitlines(True)[:30]))
    assert used([log], grant).lost[0].startswith("the log of web-1 is silent from 2026-06-22 12:")


def test_a_host_whose_sshd_logs_no_login_is_not_seen_and_stops_the_proposal(tmp_path: Path) -> None:
    grant = lived(0, "ssh", **SCOPE)
    logs = [log_of(tmp_path / name, grant, name, "deploy", quiet=True) for name in SCOPE["hosts"]]
    assert used(logs, grant).lost == ()
    without = [each for each in logs[1].read_text().splitlines(True) if "sshd" not in each]
    logs[1].write_text("".join(without))  # LogLevel QUIET, or a journal of cron alone
    assert used(logs, grant).lost == (
        "the log of web-2 has no login by sshd meanwhile, not even the minter's own",
    )


def test_a_login_in_sshds_name_by_another_program_or_account_is_none(tmp_path: Path) -> None:
    grant = lived(0, "ssh", **SCOPE)
    accepted = RECORDED[3].format(account="root", serial=grant.serial)
    micros = int(NOON.timestamp()) * 1_000_000
    real = {
        "__REALTIME_TIMESTAMP": str(micros), "_HOSTNAME": "web-1", "_UID": "0", "_PID": "7",
        "_EXE": "/usr/sbin/sshd", "MESSAGE": accepted,
    }  # fmt: skip
    fakes = [
        real | {"_UID": "1000"},
        real | {"_EXE": "/usr/bin/logger", "SYSLOG_IDENTIFIER": "sshd"},
        real | {"MESSAGE": f"Invalid user x {accepted} from 10.0.0.1 port 5"},
        real | {"MESSAGE": [65, 66]},
    ]
    log = tmp_path / "journal"
    log.write_text("".join(json.dumps(each) + "\n" for each in fakes))
    assert form_of(log) is LogForm.JOURNAL
    assert used([log], grant).values == {"hosts": frozenset(), "accounts": frozenset()}
    log.write_text(json.dumps(real) + "\n")
    assert used([log], grant).values == {
        "hosts": frozenset({"web-1"}), "accounts": frozenset({"root"})
    }  # fmt: skip


def test_a_key_id_that_quotes_another_serial_is_read_from_its_end(tmp_path: Path) -> None:
    grant = lived(0, "ssh", **SCOPE)
    other = RECORDED[3].format(account="root", serial=5)
    fake = other.replace(
        " ID breakglass", f" ID x (serial {grant.serial}) CA ED25519 SHA256:a ID b"
    )
    log = tmp_path / "log"
    log.write_text(entry(NOON, "web-1", fake))
    assert used([log], grant).values["hosts"] == frozenset()


def test_sudo_is_told_where_one_login_of_its_account_is_open(tmp_path: Path) -> None:
    one, two = lived(0, "ssh", **SCOPE), lived(1, "ssh", **SCOPE)
    sudo = "  deploy : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/systemctl restart shop"
    accepted = [RECORDED[3].format(account="deploy", serial=each.serial) for each in (one, two)]
    log = tmp_path / "log"
    log.write_text(entry(NOON, "web-1", accepted[0]) + entry(NOON, "web-1", sudo, "sudo", 9))
    assert used([log], one).commands == {"web-1: /usr/bin/systemctl restart shop (as root)"}
    log.write_text(
        entry(NOON, "web-1", accepted[0])
        + entry(NOON, "web-1", accepted[1], pid=8)
        + entry(NOON, "web-1", sudo, "sudo", 9)
    )
    assert used([log], one).commands == frozenset()


def test_an_sshd_that_runs_writes_what_is_read_here(tmp_path: Path) -> None:
    if not SSHD.exists():
        pytest.skip("openssh-server is not installed")
    grant, account, port = lived(0, "ssh"), getpass.getuser(), own_port()
    for name in ("ca", "host", "id"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name)
    _run(
        "ssh-keygen", "-q", "-s", tmp_path / "ca", "-I", "breakglass-INC-4821-mira", "-n", account,
        "-z", str(grant.serial), "-V", "+1h", tmp_path / "id.pub",
    )  # fmt: skip
    (tmp_path / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nLogLevel VERBOSE\n"
        f"TrustedUserCAKeys {tmp_path}/ca.pub\nPidFile none\nPermitRootLogin yes\n"
        "AuthorizedKeysFile none\nStrictModes no\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where Debian's sshd shuts itself in
    said = tmp_path / "said"
    command = [SSHD, "-D", "-E", said, "-f", tmp_path / "config"]
    with subprocess.Popen(command, preexec_fn=die_with_parent) as sshd:
        try:
            login = [
                "ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
                "-o", f"UserKnownHostsFile={tmp_path}/known", "-o", "IdentitiesOnly=yes",
                "-i", str(tmp_path / "id"), "-p", str(port), f"{account}@127.0.0.1", "true",
            ]  # fmt: skip
            until = time.monotonic() + 30
            while subprocess.run(login, check=False, capture_output=True).returncode:
                assert time.monotonic() < until, said.read_text()
                time.sleep(0.1)
            while "Disconnected from user" not in said.read_text():
                assert time.monotonic() < until, said.read_text()
                time.sleep(0.1)
        finally:
            sshd.terminate()
    log, now = tmp_path / "log", datetime.now(UTC)
    log.write_text("".join(entry(now, "web-1", each) for each in said.read_text().splitlines()))
    use = used([log], grant)
    assert use.values == {"hosts": frozenset({"web-1"}), "accounts": frozenset({account})}
    assert use.last == now.replace(microsecond=now.microsecond)


def _run(*command: object) -> None:
    program = shutil.which(str(command[0]))
    assert program
    subprocess.run([program, *map(str, command[1:])], check=True, capture_output=True)
