"""Whether this host does what it must: what sshd says of itself, PAM's files, and systemd."""

from __future__ import annotations

import pwd
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from breakglass.canonical import Json
from breakglass.errors import BreakglassError, reason
from breakglass.sshd.host_config import HostConfig
from breakglass.sshd.session_cgroup import SessionCgroups

_SSHD = "/usr/sbin/sshd"
_PAM = Path("/etc/pam.d")
_SYSTEMD = Path("/run/systemd/system")
_WITHIN_S = 10


@dataclass(frozen=True)
class Finding:
    """Something amiss; ``stops``: grants cannot be used, or would outlive their end."""

    says: str
    hint: str
    stops: bool

    def written(self) -> Mapping[str, Json]:
        """Return it as the control call tells it."""
        return {"says": self.says, "hint": self.hint, "stops": self.stops}


def findings(config: HostConfig, accounts: Sequence[str], behind: timedelta) -> list[Finding]:
    """Return what is amiss; nothing is changed.

    Args:
        config: whose host this is.
        accounts: those that grants reach.
        behind: how far the machine's clock is behind what the daemon knows.
    """
    found = [*_own(config), *_pam(config)]
    if behind > timedelta(seconds=1):
        seconds = behind.total_seconds()
        found.append(
            Finding(
                f"the clock of {config.settings.host!r} was set back by {seconds:.0f} s",
                "set the machine's clock: timedatectl set-ntp true",
                stops=False,
            )
        )
    for account in accounts:
        found += _account(config, account)
    return found


def _own(config: HostConfig) -> Iterator[Finding]:
    try:
        config.ca_blob()
        config.trust()
        SessionCgroups(config.settings.cgroup)
    except BreakglassError as error:
        yield Finding(str(error), error.hint, stops=True)
    for path in (config.krl, config.ended_list):
        if not path.exists():
            yield Finding(f"{str(path)!r} is missing", "start: breakglass-sshd serve", stops=True)


def _pam(config: HostConfig) -> Iterator[Finding]:
    for service in (*config.settings.login_services, *config.settings.job_services):
        path = _PAM / service
        if not path.exists() and service in config.settings.job_services:
            continue  # no such program here
        try:
            lines = [line.split() for line in path.read_text().splitlines()]
        except OSError as error:
            yield Finding(f"{str(path)!r} cannot be read: {reason(error)}", "", stops=True)
            continue
        calls = [
            line
            for line in lines
            if line[:2] == ["session", "required"] and "session" in line and _names_us(line)
        ]
        # An account's ~/.pam_environment would say what our session step is told, and load
        # what it likes into it, as root: LD_PRELOAD. Debian's files for sshd and atd have it.
        if any(
            word.startswith("user_readenv") and word != "user_readenv=0"
            for line in lines
            for word in line
            if not line[0].startswith("#")
        ):
            yield Finding(
                f"{str(path)!r} has 'user_readenv': an account's own file changes the environment"
                " of what PAM runs as root",
                f"take 'user_readenv=1' out of {str(path)!r}",
                stops=True,
            )
        if not calls:
            yield Finding(
                f"{str(path)!r} does not call 'breakglass-sshd session': what begins there is in"
                " no grant's group, and outlives its end",
                "add the lines that 'breakglass-sshd setup' prints, at its end",
                stops=True,
            )


def _names_us(line: list[str]) -> bool:
    return any("pam_exec" in word for word in line) and any("breakglass" in word for word in line)


def _account(config: HostConfig, account: str) -> Iterator[Finding]:
    try:
        uid = pwd.getpwnam(account).pw_uid
    except KeyError:
        yield Finding(f"no account {account!r} here", f"useradd {account}", stops=True)
        return
    if uid == 0:
        yield Finding(
            f"account {account!r} is root, who can leave the grant's group",
            "give an account of its own, with the sudo rules that are needed",
            stops=False,
        )
    yield from _effective(config, account)
    unit = f"user@{uid}.service"
    masked = Path("/etc/systemd/system") / unit
    if _SYSTEMD.exists() and str(masked.resolve()) != "/dev/null":
        yield Finding(
            f"systemd runs a manager for {account!r}: 'systemd-run --user' leaves the grant's"
            " group",
            f"systemctl mask {unit}",
            stops=True,
        )


def _effective(config: HostConfig, account: str) -> Iterator[Finding]:
    """Compare with what sshd says that it would do for this account."""
    words = [_SSHD, "-T", "-C", f"user={account},host=localhost,addr=127.0.0.1"]
    if config.settings.sshd_config:
        words += ["-f", str(config.settings.sshd_config)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_WITHIN_S)
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding(f"sshd cannot be asked: {reason(error)}", "install openssh-server", True)
        return
    if done.returncode:
        yield Finding(f"sshd says: {done.stderr.strip()[:200]}", "sshd -t", stops=True)
        return
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    for key, holds, stops in (
        ("usepam", said.get("usepam") == "yes", True),
        ("trustedusercakeys", said.get("trustedusercakeys", "none") != "none", True),
        ("revokedkeys", said.get("revokedkeys") == str(config.krl), True),
        (
            "authorizedprincipalscommand",
            "principals" in said.get("authorizedprincipalscommand", ""),
            True,
        ),
        (
            "authorizedprincipalscommanduser",
            said.get("authorizedprincipalscommanduser") == config.settings.user,
            True,
        ),
        ("authorizedkeysfile", said.get("authorizedkeysfile") == "none", False),
        ("permituserrc", said.get("permituserrc") == "no", False),
    ):
        if not holds:
            yield Finding(
                f"sshd's {key} for {account!r} is {said.get(key, 'not set')[:80]!r}",
                "see the lines that 'breakglass-sshd setup' prints",
                stops,
            )
