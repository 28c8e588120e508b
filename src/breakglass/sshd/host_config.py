"""A host's folder: its settings, its trust file, and where its daemon keeps what it knows.

```
settings.toml   minter, host, ca, state, socket, …
trust           the trust file; a newer version may be put here at any time
ca.pub          the minter's certificate authority, one public key
```

Source: docs/reference/ssh-hosts.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError, reason
from breakglass.process.folder import SETTINGS, write_whole
from breakglass.process.own_path import check_own
from breakglass.process.settings import read_settings
from breakglass.records.trust import Trust, accept_trust
from breakglass.records.trust_handover import check_carried
from breakglass.tlog.note import Note

TRUST_BYTES_AT_MOST = 64 * 1024
_CGROUP = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class SshdSettings:
    """Read by each of the commands; an unknown key is an error."""

    minter: str
    host: str  # as scopes name this host
    ca: Path = Path("ca.pub")  # of the folder
    trust: Path = Path("trust")
    state: Path = Path("/var/lib/breakglass-sshd")
    socket: Path = Path("/run/breakglass-sshd/socket")
    user: str = "breakglass"  # the account of ``principals`` and ``control``
    ordinary_principals: str = ""  # a file, %u is the account; empty: the account's own name
    login_services: tuple[str, ...] = ("sshd",)  # PAM services that are sshd
    job_services: tuple[str, ...] = ("cron", "atd")
    cron_spool: Path = Path("/var/spool/cron/crontabs")
    at_spool: Path = Path("/var/spool/cron/atjobs")
    sshd_config: Path | None = None  # what ``check`` asks sshd by; None: its own
    cgroup: str = "breakglass"  # one group of cgroup v2, under its mount
    look_every: timedelta = timedelta(milliseconds=500)  # how late an end may be at most

    def __post_init__(self) -> None:
        """Refuse what could only fail later.

        Raises:
            ValueError: with the key.
        """
        if not _CGROUP.fullmatch(self.cgroup):
            raise ValueError(f"'cgroup' is {self.cgroup[:40]!r}, wanted a name like 'breakglass'")
        if not timedelta(0) < self.look_every <= timedelta(seconds=2):
            raise ValueError("'look_every_s' is wanted from above 0 to 2")


@dataclass(frozen=True)
class HostConfig:
    """A host's folder as found on disk."""

    folder: Path
    settings: SshdSettings

    @classmethod
    def open(cls, folder: Path) -> HostConfig:
        """Open the folder.

        Raises:
            MisconfiguredError: not there, unreadable, or others than root and we can write it.
        """
        _check(folder / SETTINGS)
        return cls(folder.absolute(), read_settings(folder, SshdSettings))

    @property
    def door(self) -> str:
        """Return how tokens name the minter whose certificates are taken here."""
        return f"minter:{self.settings.minter}"

    @property
    def ca(self) -> Path:
        """The file of the minter's CA key."""
        return self.folder / self.settings.ca

    @property
    def krl(self) -> Path:
        """What sshd's ``RevokedKeys`` names."""
        return self.settings.state / "krl"

    @property
    def ended_list(self) -> Path:
        """The handles that may not log in any more, one a line; readable by all."""
        return self.settings.state / "ended"

    @property
    def used_accounts(self) -> Path:
        """The accounts whose jobs of cron and at the daemon must be asked about, one a line."""
        return self.settings.state / "accounts"

    @property
    def newest_seen(self) -> Path:
        """The newest time that a witness signed, of all tokens shown here; readable by all."""
        return self.settings.state / "newest"

    def ca_blob(self) -> str:
        """Return the CA's public key as ``ssh-ed25519 AAAA…``, without its comment.

        Raises:
            MisconfiguredError: no such file, or no such key.
        """
        words = _text(self.ca, "the minter's CA key").split()
        if len(words) < 2 or words[0] != "ssh-ed25519":
            raise MisconfiguredError(
                f"{str(self.ca)!r} holds no 'ssh-ed25519' key; nobody of a grant is let in",
                name=ErrorName.BAD_KEY,
            )
        return f"{words[0]} {words[1]}"

    def trust(self) -> Trust:
        """Return the trust file, which can only go up, one signed version after the other.

        Raises:
            UnavailableError, MisconfiguredError: it cannot be read, or others can write it.
            MalformedError, UnprovenError, RefusedError: see ``accept_trust``, ``check_carried``.
        """
        return self._trust()[0]

    def keep_trust(self) -> Trust:
        """Return the trust file and keep it as accepted: for the daemon, which alone can write.

        Raises:
            BreakglassError: as ``trust``; the older version is kept.
        """
        trust, data, before = self._trust()
        if before is None or trust.text != before.text:
            # A crash before this reads the same file again and accepts it again.
            write_whole(self._accepted, data, 0o644)
        return trust

    @property
    def _accepted(self) -> Path:
        return self.settings.state / "trust.accepted"

    def _trust(self) -> tuple[Trust, bytes, Trust | None]:
        path = self.folder / self.settings.trust
        _check(path)
        data = _read(path)
        before = None
        if self._accepted.exists():
            before = accept_trust(Note.parse(_read(self._accepted)), None)
        trust = accept_trust(Note.parse(data), before)
        if before is None or trust.text != before.text:
            check_carried(Note.parse(data), trust)
        return trust, data, before


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(TRUST_BYTES_AT_MOST + 1)
    except OSError as error:
        raise UnavailableError(f"{str(path)!r} cannot be read: {reason(error)}") from error


def _text(path: Path, what: str) -> str:
    _check(path)
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise MisconfiguredError(
            f"{what} {str(path)!r} cannot be read: {reason(error)}; nobody of a grant is let in"
        ) from error


def _check(path: Path) -> None:
    # Whoever can write the trust file or the CA key lets himself in.
    try:
        check_own(path, way_out="give it to root: chown root")
    except OSError as error:
        raise MisconfiguredError(
            f"{str(path)!r} cannot be looked at: {reason(error)}; nobody of a grant is let in"
        ) from error
