"""What grants did on hosts: where and as whom they logged in, by sshd's own entries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from breakglass.policy.used.grant_use import GrantUse, HeardMinutes
from breakglass.policy.used.lived_grant import LivedGrant
from breakglass.policy.used.log_file import LogForm
from breakglass.policy.used.sshd_line import SshdLine, sshd_lines

HOSTS, ACCOUNTS = "hosts", "accounts"
_SUDO = re.compile(r"\s*(\S+) : (?:.* ; )?USER=(\S+) ; (?:.* ; )?COMMAND=(.*)", re.DOTALL)
_AROUND = timedelta(minutes=1)  # the minter's calls of a mint come just before it
_LAST = (
    "Disconnected from user ",
    "Connection closed by ",
    "pam_unix(sshd:session): session closed",
)


@dataclass
class SshLogin:
    """One login, of a grant or a stranger; ``ended`` is when sshd said that it was over."""

    serial: int | None
    host: str
    account: str
    begins: datetime
    ended: datetime | None = None
    commands: set[str] = field(default_factory=set)


@dataclass
class SshActs:
    """What stands in the logs of hosts: the logins of grants, when each host wrote, and its sshd.

    The minter itself logs in to each host at the begin and the end of each grant. Where no login of
    anybody stands meanwhile, sshd's lines are not in this log (``LogLevel``, a filter): then that a
    grant did not log in is not seen.
    """

    heard: dict[str, HeardMinutes] = field(default_factory=dict)
    let_in: dict[str, HeardMinutes] = field(default_factory=dict)
    logins: list[SshLogin] = field(default_factory=list)
    _open: dict[tuple[str, str], SshLogin] = field(default_factory=dict)

    def take(self, line: SshdLine, serials: frozenset[int]) -> None:
        """Count one entry."""
        self.heard.setdefault(line.host, HeardMinutes()).add(line.at)
        process = (line.host, line.process)
        if account := line.let_in:
            self.let_in.setdefault(line.host, HeardMinutes()).add(line.at)
            serial = line.serial if line.serial in serials else None
            login = SshLogin(serial, line.host, account, line.at)
            if serial is not None:
                self.logins.append(login)
            if line.process:
                self._open[process] = login  # a stranger's too: sudo may be theirs
        elif line.program == "sshd" and line.message.startswith(_LAST) and process in self._open:
            self._open.pop(process).ended = line.at
        elif line.program == "sudo" and (told := _SUDO.fullmatch(line.message)):
            self._sudo(line.host, *told.groups())

    def use_of(self, grant: LivedGrant) -> GrantUse:
        """Return what one grant used. A login without an end lasted as long as the grant."""
        mine = [each for each in self.logins if each.serial == grant.serial]
        lost = [each for host in grant.scope.get(HOSTS, ()) for each in self._lost(host, grant)]
        return GrantUse(
            grant,
            {
                HOSTS: frozenset(each.host for each in mine),
                ACCOUNTS: frozenset(each.account for each in mine),
            },
            last=max((each.ended or grant.ends for each in mine), default=None),
            lost=tuple(lost),
            commands=frozenset(told for each in mine for told in each.commands),
        )

    def _lost(self, host: str, grant: LivedGrant) -> list[str]:
        if host not in self.heard:
            return [f"no log of host {host} was given"]
        found = self.heard[host].lost(grant.begins, grant.ends, f"the log of {host}")
        let_in = self.let_in.get(host, HeardMinutes())
        if not let_in.between(grant.begins - _AROUND, grant.ends + _AROUND):
            found.append(
                f"the log of {host} has no login by sshd meanwhile, not even the minter's own"
            )
        return found

    def _sudo(self, host: str, account: str, as_: str, command: str) -> None:
        """Count a command of an account for its login; of two at once nobody knows whose it is."""
        theirs = [e for e in self._open.values() if (e.host, e.account) == (host, account)]
        if len(theirs) == 1:
            theirs[0].commands.add(f"{host}: {command} (as {as_})")


def read_ssh(logs: Iterable[tuple[Path, LogForm]], grants: Iterable[LivedGrant]) -> SshActs:
    """Read the logs of hosts.

    Args:
        logs: of any number of hosts, each in the order in which it was written.
        grants: whose logins are looked for, by the serials of their certificates.

    Raises:
        MalformedError: with file and line, what is no entry of its form.
    """
    acts, serials = SshActs(), frozenset(each.serial for each in grants)
    for path, form in logs:
        for line in sshd_lines(path, form):
            acts.take(line, serials)
    return acts
