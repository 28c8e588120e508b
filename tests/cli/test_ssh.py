"""ssh, scp and rsync by a grant's certificate, at a real sshd: where they go, what they leave."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.cli import credential, run
from breakglass.cli.credential import Opened
from breakglass.cli.held_grants import Held
from breakglass.cli.run import Begun
from breakglass.cli.ssh_hosts import GrantedHosts, hosts_at_hand, remote_shell
from breakglass.errors import RefusedError, UnavailableError, UnprovenError
from breakglass.minter.platforms.ssh_certificate import CertificateAuthority
from breakglass.person import ssh_keygen
from tests.kit.plain_sshd import WHO, PlainSshd
from tests.kit.processes import until
from tests.kit.ssh_platform import ssh_order

KEY = "ssh-ed25519 " + "A" * 68
CONNECT = {
    "accounts": "deploy ops",
    "host.web-1": f"10.77.0.9 22 {KEY}",
    "host.web-2": f"web.internal 2222 {KEY}",
}


class Grant:
    """A grant that this machine holds, and a host that takes its certificate."""

    def __init__(self, folder: Path, *may: str) -> None:
        state = folder / "grants"
        state.mkdir()
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        ssh_keygen.make_key(folder / "ca", "ca")
        authority = CertificateAuthority(folder / "ca")
        holder = ssh_keygen.make_key(state / "holder", "holder")
        scope = {"hosts": ("web-1",), "accounts": (WHO,), **({"may": may} if may else {})}
        order = ssh_order(scope=scope, holder=holder, token=b"t" * 8000)
        self.host = PlainSshd(folder / "sshd", authority.public, order.handle)
        self.connect = {
            "accounts": WHO,
            "host.web-1": f"127.0.0.1 {self.host.port} {self.host.key}",
        }
        until_ = datetime.now(UTC) + timedelta(minutes=5)
        values = {"certificate": authority.certify(order)}
        opened = Opened("ssh", until_, values, self.connect)
        self.begun = Begun(order.grant, Held(order.grant, state), opened, until_)

    def types(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program by the grant: ``CONFIG`` stands for its configuration."""
        with hosts_at_hand(self.begun) as (_, config):
            told = [remote_shell(config) if w == "SHELL" else w for w in words]
            told = [str(config) if word == "CONFIG" else word for word in told]
            environment = credential.cleared(os.environ, "ssh")
            return subprocess.run(
                told, env=environment, capture_output=True, text=True, timeout=30, check=False
            )


@pytest.fixture
def grant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Grant]:
    made = Grant(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(made.temporary))
    yield made
    made.host.close()


def test_a_command_runs_on_the_host_and_nothing_is_left_here(grant: Grant) -> None:
    said = grant.types("ssh", "-F", "CONFIG", "web-1", "id -un")
    assert (said.stdout.strip(), said.stderr) == (WHO, "")
    assert list(grant.temporary.iterdir()) == []


def test_what_lies_here_meanwhile_is_no_key_and_no_certificate(grant: Grant) -> None:
    with hosts_at_hand(grant.begun) as (_, config):
        assert config.parent.stat().st_mode & 0o777 == 0o700
        lies = {each.name: each for each in config.parent.iterdir()}
        assert set(lies) == {"agent", "config", "known_hosts"}
        text = lies["config"].read_text() + lies["known_hosts"].read_text()
    assert "PRIVATE" not in text
    assert "cert-v01" not in text
    assert text.count("ssh-ed25519") == 1  # the host's own


def test_a_host_that_shows_another_key_than_the_minter_signed_gets_nothing(grant: Grant) -> None:
    connect = {**grant.connect, "host.web-1": f"127.0.0.1 {grant.host.port} {KEY}"}
    grant.begun = replace(grant.begun, opened=replace(grant.begun.opened, connect=connect))
    said = grant.types("ssh", "-F", "CONFIG", "web-1", "id")
    assert said.returncode == 255
    assert "Host key verification failed" in said.stderr


def test_a_host_that_the_grant_does_not_name_is_not_trusted_on_first_use(grant: Grant) -> None:
    said = grant.types("ssh", "-F", "CONFIG", "-p", str(grant.host.port), "127.0.0.1", "id")
    assert said.returncode == 255
    assert "No ED25519 host key is known for" in said.stderr


def test_the_agent_is_not_on_the_host(grant: Grant) -> None:
    said = grant.types("ssh", "-F", "CONFIG", "web-1", "echo [$SSH_AUTH_SOCK]")
    assert said.stdout == "[]\n"


@pytest.mark.parametrize("may", ["forward", ""])
def test_what_a_host_reaches_is_reached_only_where_the_card_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may: str
) -> None:
    grant = Grant(tmp_path, *([may] if may else []))
    monkeypatch.setattr(tempfile, "tempdir", str(grant.temporary))
    said = grant.types("ssh", "-F", "CONFIG", "-W", f"127.0.0.1:{grant.host.port}", "web-1")
    grant.host.close()
    assert said.stdout.startswith("SSH-2.0") == bool(may), said.stderr


def test_files_and_trees_are_copied(grant: Grant, tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    (there / "shop.log").write_text("5xx\n")
    said = grant.types("scp", "-F", "CONFIG", f"web-1:{there}/shop.log", str(here))
    assert here.read_text() == "5xx\n", said.stderr
    said = grant.types("rsync", "-e", "SHELL", "-a", f"{there}/", f"{WHO}@web-1:{tmp_path}/copy/")
    assert (tmp_path / "copy/shop.log").read_text() == "5xx\n", said.stderr


def test_ssh_add_sees_one_certificate_and_can_change_nothing(grant: Grant) -> None:
    with hosts_at_hand(grant.begun) as (_, config):
        there = {**os.environ, "SSH_AUTH_SOCK": str(config.parent / "agent")}

        def add(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["ssh-add", *words], env=there, capture_output=True, text=True, check=False
            )

        assert add("-L").stdout.split()[:2] == grant.begun.opened.values["certificate"].split()
        assert add("-D").returncode != 0
        assert add(str(grant.begun.held.folder / "holder")).returncode != 0
        assert len(add("-L").stdout.splitlines()) == 1


class Broker:
    """Answers that the grant stands, until it is ended."""

    state = "usable"

    def broker(self, *_: Any) -> dict[str, str]:
        return {"state": self.state}


def test_a_session_ends_with_the_grant(grant: Grant) -> None:
    soon = replace(grant.begun, until=datetime.now(UTC) + timedelta(seconds=1.5))
    with hosts_at_hand(soon) as (_, config):
        words = ["ssh", "-F", str(config), "web-1", "sleep 60"]
        with pytest.raises(RefusedError, match="'ssh' was ended with it") as caught:
            run.run_until_end(Broker(), soon, words, os.environ)  # type: ignore[arg-type]
    assert caught.value.name == "ended"
    assert list(grant.temporary.iterdir()) == []


def test_a_terminated_client_leaves_nothing(grant: Grant) -> None:
    def terminate() -> None:
        until(lambda: "Accepted publickey" in grant.host.log.read_text())
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=terminate)
    thread.start()
    with hosts_at_hand(grant.begun) as (_, config):
        words = ["ssh", "-F", str(config), "web-1", "sleep 60"]
        began = time.monotonic()
        assert run.run_until_end(Broker(), grant.begun, words, os.environ) != 0  # type: ignore[arg-type]
        assert time.monotonic() - began < 60
    thread.join()
    assert list(grant.temporary.iterdir()) == []


def test_a_host_is_named_with_or_without_its_account() -> None:
    one = GrantedHosts.read("g-1", {**CONNECT, "accounts": "deploy"})
    assert one.place("web-1") == one.place("deploy@web-1") == "deploy@web-1"
    two = GrantedHosts.read("g-1", CONNECT)
    assert two.place("ops@web-2") == "ops@web-2"
    for where, why in (
        ("web-1", "several accounts, say which: deploy, ops"),
        ("db-1", "does not reach host 'db-1'; it reaches web-1, web-2"),
        ("ops@-oProxyCommand=id", "does not reach host"),
        ("root@web-1", "does not have account 'root'; it has deploy, ops"),
    ):
        with pytest.raises(RefusedError, match=why) as caught:
            two.place(where)
        assert caught.value.name == "wrong_scope"
        assert caught.value.hint.startswith("breakglass ssh g-1 ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"host.web-1": f"10.77.0.9 22 {KEY}\n ProxyCommand id"},
        {"host.web-1": f"-oProxyCommand=id 22 {KEY}"},
        {"host.web-1\nHost *": f"10.77.0.9 22 {KEY}"},
        {"host.": f"10.77.0.9 22 {KEY}"},
        {"shell": "zsh"},
        {"accounts": ""},
        {"accounts": "deploy -l"},
    ],
)
def test_nothing_is_run_by_what_no_minter_of_ours_writes(wrong: dict[str, str]) -> None:
    with pytest.raises(UnprovenError, match="does not say its hosts and accounts"):
        GrantedHosts.read("g-1", {**CONNECT, **wrong})


def test_a_grant_for_something_else_is_no_grant_for_hosts(grant: Grant) -> None:
    other = replace(grant.begun, opened=replace(grant.begun.opened, platform="postgres"))
    for begun, why in ((other, "for platform 'postgres'"), (replace(other, opened=None), "gates")):
        with pytest.raises(RefusedError, match=why) as caught:
            with hosts_at_hand(begun):
                pass
        assert caught.value.name == "no_credential"


def test_a_certificate_goes_into_no_environment(grant: Grant) -> None:
    with pytest.raises(RefusedError, match="goes into no environment") as caught:
        credential.environment({}, grant.begun.opened)
    assert caught.value.hint == "breakglass ssh GRANT HOST -- COMMAND"


def test_a_folder_that_cannot_be_used_says_so(
    grant: Grant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(UnavailableError, match="cannot be used: AF_UNIX path too long") as caught:
        with hosts_at_hand(grant.begun):
            pass
    assert caught.value.hint.endswith("export TMPDIR=/tmp")
    assert list(deep.iterdir()) == []


def test_what_is_in_the_shell_of_ssh_and_rsync_is_not_handed_on() -> None:
    shell = {"SSH_AUTH_SOCK": "x", "SSH_ASKPASS": "y", "RSYNC_RSH": "z", "TERM": "xterm"}
    assert credential.cleared(shell, "ssh") == {"TERM": "xterm"}
