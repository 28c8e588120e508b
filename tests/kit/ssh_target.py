"""A real host of an SSH minter for the contract suite: real grants, and a holder who logs in."""

from __future__ import annotations

import math
import os
import select
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from breakglass.errors import RefusedError
from breakglass.minter.platforms.platform import Credential, Order, Platform
from breakglass.minter.platforms.ssh import Ssh
from breakglass.minter.platforms.ssh_certificate import public_line
from breakglass.minter.platforms.ssh_host import SshHost
from breakglass.minter.platforms.ssh_hosts import SshSettings
from breakglass.person import ssh_keygen
from breakglass.records.card import Card
from breakglass.records.grant import session_name
from tests.kit.ssh_grants import GLASS, SshOrganisation, key_files
from tests.kit.sshd_host import started_host, why_no_sshd

ELSEWHERE = "web-elsewhere"
NETWORK = "192.0.2.0/24"


class ContractOrganisation(SshOrganisation):
    """One more glass: for a network that nobody here comes from."""

    def cards(self) -> dict[str, Card]:
        found = super().cards()
        base = found[GLASS]
        mints = tuple(replace(m, scope={**m.scope, "source": (NETWORK,)}) for m in base.mints)
        found[ELSEWHERE] = replace(base, glass=ELSEWHERE, mints=mints)
        return found

    def order(self, source: tuple[str, ...], lives: timedelta) -> Order:
        """Break a glass, and return what its minter orders."""
        self.now = datetime.now(self.now.tzinfo).replace(microsecond=0)
        self.nonces += 1
        glass = ELSEWHERE if source else GLASS
        scope = {"accounts": tuple(sorted(self.accounts)), "hosts": tuple(self.hosts)}
        said = self.statement(
            glass=glass,
            minter="web",
            scope={**scope, **({"source": source} if source else {})},
            for_s=math.ceil(lives.total_seconds()),
            nonce=f"{self.nonces:032x}",
        )
        broken = self.break_glass(said=said, card=self.card_note(glass))
        intent = broken.intent
        return Order(
            intent.grant,
            intent.handle,
            session_name(intent.incident, intent.who),
            scope,
            intent.not_before - self.trust().skew,
            intent.not_after,
            source,
            intent.holder,
            self.token_of(broken),
        )


class SshTarget:
    """Two hosts, each with its daemon: ours, and another minter's."""

    bound_to_key = True
    ends_sessions = True

    def __init__(self) -> None:
        if why := why_no_sshd():
            pytest.skip(why)
        self._ends = ExitStack()
        self._sessions: list[Shell] = []
        try:
            self._start()
        except BaseException:
            self._ends.close()
            raise

    def _start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ssh-target-"))
        self._ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.org = ContractOrganisation(kinds="2")
        self.org.begin()
        authority = self.org.ca.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        (self.folder / "ca").write_bytes(authority)
        (self.folder / "ca").chmod(0o600)
        ssh_keygen.make_key(self.folder / "control", "control")
        control = public_line(self.folder / "control")
        trust, ca = self.org.trust_note(), self.org.ca_public
        started = [
            self._ends.enter_context(started_host(trust, ca, control_key=control, minter=minter))
            for minter in ("web", "other")
        ]
        self.host = started[0]
        self.org.accounts = self.host.accounts[:1]
        self.org.activate_cards()
        ours, other = (
            Ssh(
                SshSettings(
                    self.folder / "ca",
                    self.folder / "control",
                    (SshHost("web-1", "127.0.0.1", each.host_key, each.port),),
                    timedelta(seconds=30),
                    account=each.user,
                ),
                minter,
                self.folder / minter,
            )
            for each, minter in zip(started, self._folders("web", "other"), strict=True)
        )
        self.platform: Platform = ours
        self.sibling: Platform = other

    def _folders(self, *names: str) -> tuple[str, ...]:
        for each in names:
            (self.folder / each).mkdir()
        return names

    def scope(self) -> dict[str, tuple[str, ...]]:
        return {"hosts": ("web-1",), "accounts": self.org.accounts}

    def shown(self, order: Order) -> Order:
        return self.org.order(order.source, order.expires - datetime.now(order.expires.tzinfo))

    def log_in(self, credential: Credential) -> object:
        key = key_files(
            self.folder, credential.handle, self.org.holder, str(credential.secret["certificate"])
        )
        words = self.host.ssh(key, self.org.accounts[0], options=("-tt",))
        shell = Shell(words)
        self._sessions.append(shell)
        if not shell.works():
            raise RefusedError(shell.said)
        return shell

    def works(self, session: object) -> bool:
        assert isinstance(session, Shell)
        return session.works()

    def away(self) -> None:
        self.host.kill_daemon()

    def back(self) -> None:
        self.host.start_daemon()

    def close(self) -> None:
        for each in self._sessions:
            each.close()
        self.platform.close()
        self.sibling.close()
        self._ends.close()


class Shell:
    """An interactive shell by ssh; it works while it answers a sum."""

    def __init__(self, words: list[str]) -> None:
        self.said = ""
        self._asked = 40
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def works(self, within_s: float = 20) -> bool:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked += 1
        try:
            self._process.stdin.write(f"echo $(({self._asked}+1000))\n".encode())
            self._process.stdin.flush()
        except OSError:
            return False
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            ready, _, _ = select.select([self._process.stdout], [], [], 0.2)
            data = os.read(self._process.stdout.fileno(), 65536) if ready else b"."
            if not data:
                return False
            self.said += data.decode(errors="replace") if ready else ""
            if f"{self._asked + 1000}\r\n" in self.said:
                return True
        return False

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
