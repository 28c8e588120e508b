"""The hosts of an SSH grant, as its minter signed them, in words that ssh, scp and rsync read.

Everything stands in a private folder that goes with the command: the socket of the agent, and a
configuration in the place of the person's own, so that nothing of theirs leads elsewhere. No key
and no certificate is written there. Address and host key are what the minter signed in the
hand-out; nobody is trusted on first use.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breakglass.cli.ssh_agent import CertificateAgent
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError, UnprovenError, reason

if TYPE_CHECKING:
    from breakglass.cli.run import Begun

_PLACE = re.compile(
    r"(?P<address>[A-Za-z0-9:][A-Za-z0-9.:-]{0,252}) (?P<port>[0-9]{1,5})"
    r" (?P<key>[a-z0-9-]+ [A-Za-z0-9+/]+={0,2})",
    re.ASCII,
)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}", re.ASCII)


@dataclass(frozen=True)
class GrantedHost:
    """One host: its name as glasses say it, and where and who it is."""

    name: str
    address: str
    port: str
    key: str


@dataclass(frozen=True)
class GrantedHosts:
    """What one grant may reach, and as whom."""

    grant: str
    hosts: Mapping[str, GrantedHost]
    accounts: tuple[str, ...]

    @classmethod
    def read(cls, grant: str, connect: Mapping[str, Any]) -> GrantedHosts:
        """Read what a minter signed beside the credential.

        Raises:
            UnprovenError: in another form than our minters write it.
        """
        hosts = {}
        accounts = tuple(str(connect.get("accounts", "")).split())
        for key, value in connect.items():
            word, _, name = key.partition(".")
            place = _PLACE.fullmatch(str(value))
            if word == "host" and place and _NAME.fullmatch(name):
                hosts[name] = GrantedHost(name, **place.groupdict())
            elif key != "accounts":
                accounts = ()
        if not hosts or not accounts or not all(map(_ACCOUNT.fullmatch, accounts)):
            raise UnprovenError(
                f"the credential of {grant!r} does not say its hosts and accounts; nothing was run",
                name=ErrorName.HANDOUT_MISMATCH,
            )
        return cls(grant, hosts, accounts)

    def place(self, where: str) -> str:
        """Return ``ACCOUNT@HOST`` for what a person typed, which may leave the account out.

        Raises:
            RefusedError: a host or account that the grant does not have, or one of several to name.
        """
        account, at, host = where.rpartition("@")
        if host not in self.hosts:
            raise RefusedError(
                f"grant {self.grant!r} does not reach host {host!r}; it reaches"
                f" {', '.join(self.hosts)}",
                name=ErrorName.WRONG_SCOPE,
                hint=f"breakglass ssh {self.grant} {next(iter(self.hosts))}",
            )
        if not at and len(self.accounts) > 1:
            raise RefusedError(
                f"grant {self.grant!r} has several accounts, say which: {', '.join(self.accounts)}",
                name=ErrorName.WRONG_SCOPE,
                hint=f"breakglass ssh {self.grant} {self.accounts[0]}@{host}",
            )
        account = account or self.accounts[0]
        if account not in self.accounts:
            raise RefusedError(
                f"grant {self.grant!r} does not have account {account!r}; it has"
                f" {', '.join(self.accounts)}",
                name=ErrorName.WRONG_SCOPE,
                hint=f"breakglass ssh {self.grant} {self.accounts[0]}@{host}",
            )
        return f"{account}@{host}"

    def configuration(self, folder: Path) -> str:
        """Return ``ssh_config`` text: these hosts, and for every other name none that is known."""
        blocks = [
            f"Host {each.name}\n HostName {each.address}\n Port {each.port}\n"
            f" HostKeyAlias {each.name}\n"
            for each in self.hosts.values()
        ]
        account = f" User {self.accounts[0]}\n" if len(self.accounts) == 1 else ""
        return "".join([*blocks, "Host *\n", account, _always(folder)])

    def known_hosts(self) -> str:
        """Return the host keys, each under its host's name."""
        return "".join(f"{each.name} {each.key}\n" for each in self.hosts.values())


def _always(folder: Path) -> str:
    options = {
        "IdentityAgent": _quoted(folder / "agent"),
        "IdentityFile": "none",
        "PreferredAuthentications": "publickey",
        "BatchMode": "yes",
        "UserKnownHostsFile": _quoted(folder / "known_hosts"),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        # The holder key signs for this machine alone: a host could use a forwarded agent elsewhere.
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "ControlPath": "none",
        "ExitOnForwardFailure": "yes",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "15",
    }
    return "".join(f" {name} {value}\n" for name, value in options.items())


@contextlib.contextmanager
def hosts_at_hand(begun: Begun) -> Iterator[tuple[GrantedHosts, Path]]:
    """Have a grant's hosts ready for ssh, and yield them with the configuration to use.

    The folder goes when the command is done. Killed hard, we leave names, addresses and public keys
    of hosts, and a socket that nobody answers.

    Raises:
        RefusedError: ``no_credential``; it is for no host.
        UnavailableError: this machine has no ``ssh``, or nothing can be put into its folder.
        UnprovenError: what its minter signed names no host.
    """
    opened = begun.opened
    if opened is None or opened.platform != "ssh":
        what = f"is for platform {opened.platform!r}" if opened else "opens gates alone"
        raise RefusedError(
            f"grant {begun.grant!r} {what}, not for hosts; nothing was run",
            name=ErrorName.NO_CREDENTIAL,
            hint=f"breakglass status {begun.grant}",
        )
    if shutil.which("ssh") is None:
        raise UnavailableError(
            "there is no 'ssh' on this machine; nothing was run",
            hint="install it: apt-get install openssh-client",
        )
    found = GrantedHosts.read(begun.grant, opened.connect)
    folder = Path(tempfile.mkdtemp(prefix="breakglass-"))  # 0700
    try:
        private = (begun.held.folder / "holder").read_bytes()
        try:
            agent = CertificateAgent(folder / "agent", private, opened.values["certificate"])
            (folder / "known_hosts").write_text(found.known_hosts(), "ascii")
            (folder / "config").write_text(found.configuration(folder), "ascii")
        except OSError as error:
            raise UnavailableError(
                f"{str(folder)!r} cannot be used: {reason(error)}; nothing was run",
                hint="name another place for temporary files: export TMPDIR=/tmp",
            ) from error
        try:
            yield found, folder / "config"
        finally:
            agent.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _quoted(path: Path) -> str:
    """Write a path as ssh reads it: a blank parts two words, and ``%`` begins a token."""
    return '"' + str(path).replace("%", "%%") + '"'


def remote_shell(config: Path) -> str:
    """Return what rsync is told to reach a host with: ``ssh`` by that configuration."""
    return shlex.join(["ssh", "-F", str(config)])
