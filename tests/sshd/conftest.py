"""One organisation and one real host for the room's tests; a grant of its own for each."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.kit.organisation import Broken
from tests.kit.ssh_grants import GLASS, SshOrganisation, certificate, key_files
from tests.kit.sshd_host import SshHost, started_host, why_no_sshd

_NAMES = itertools.count()


@dataclass
class Place:
    """A host and the organisation whose grants open it."""

    org: SshOrganisation
    host: SshHost
    folder: Path

    def begin(self, glass: str = GLASS, for_s: int = 600, **said: Any) -> Session:
        """Break the glass and make the certificate."""
        broken = self.org.grant(glass, for_s=for_s, **said)
        return self.shown(broken, certificate(self.org, broken))

    def shown(self, broken: Broken, line: str) -> Session:
        """Write a certificate to disk for ssh."""
        name = f"key{next(_NAMES)}"
        return Session(self, broken, line, key_files(self.folder, name, self.org.holder, line))


@dataclass
class Session:
    """A grant, with the key that logs in by it."""

    place: Place
    broken: Broken
    line: str
    key: Path

    @property
    def handle(self) -> str:
        return self.broken.intent.handle

    def runs(self, *words: str, account: int = 0, options: tuple[str, ...] = ()) -> Any:
        """Run a command on the host and return what it said."""
        host = self.place.host
        typed = host.ssh(self.key, host.accounts[account], *words, options=options)
        return subprocess.run(typed, capture_output=True, text=True, check=False, timeout=60)

    def starts(self, *words: str, account: int = 0, options: tuple[str, ...] = ()) -> Any:
        """Start an ssh and return it; the caller waits for it."""
        host = self.place.host
        typed = host.ssh(self.key, host.accounts[account], *words, options=options)
        return subprocess.Popen(
            typed, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def cut(self) -> dict[str, Any]:
        return self.place.host.ask("cut", handle=self.handle, ids={})

    def dead(self) -> dict[str, Any]:
        return self.place.host.ask("probe-dead", handle=self.handle, certificate=self.line)


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if why := why_no_sshd():
        pytest.skip(why)
    org = SshOrganisation(kinds="2")
    org.begin()
    with started_host(org.trust_note(), org.ca_public, accounts=3) as host:
        org.accounts = host.accounts
        org.activate_cards()
        yield Place(org, host, tmp_path_factory.mktemp("keys"))


Begin = Callable[..., Session]
