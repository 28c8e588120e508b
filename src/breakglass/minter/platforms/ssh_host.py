"""One host of an SSH minter: where it is, which key it must show, and a control call to it.

A control call goes by OpenSSH's own client to one account, whose key can start one program there.
It announces, ends and reads; it can give nobody anything, so a stolen control key lets nobody in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar

from breakglass.canonical import Json, parse_strict
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnavailableError
from breakglass.minter.platforms.bounded_run import run_bounded
from breakglass.records.encoding.text_types import one_line
from breakglass.strict_json import Between, read

T = TypeVar("T")
VERSION = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}|[0-9A-Fa-f:.]{2,45}", re.ASCII)
_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp256|ssh-rsa) [A-Za-z0-9+/]{40,800}={0,2}")
_CONNECTS_WITHIN_S = 3
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
_REFUSALS = (ErrorName.ALIVE, ErrorName.ENDED, ErrorName.SCOPE_UNKNOWN)
_DELAYS = (ErrorName.BUSY, ErrorName.NOT_USABLE)


@dataclass(frozen=True)
class SshHost:
    """One table ``[[ssh.hosts]]`` of a minter's settings.

    Attributes:
        name: as glasses call it.
        address: a DNS name or an IP address.
        key: the host's public key, as one line without a comment: ``ssh-ed25519 …``.
        port: of its sshd.
    """

    name: str
    address: str
    key: str
    port: int = 22

    def __post_init__(self) -> None:
        """Refuse what could be read as something else by a file of ssh's.

        Raises:
            ValueError: with the field.
        """
        for field, form in (("name", _NAME), ("address", _ADDRESS), ("key", _KEY)):
            value = getattr(self, field)
            if not form.fullmatch(value):
                raise ValueError(f"'ssh.hosts' has {value[:60]!r} as {field!r} of {self.name!r}")
        if not 1 <= self.port <= 65535:
            raise ValueError(f"'ssh.hosts' has port {self.port} for {self.name!r}")

    @property
    def place(self) -> str:
        """What a holder's client is told of it: address, port and key."""
        return f"{self.address} {self.port} {self.key}"


def read_host(line: str) -> SshHost:
    """Read a host as a person types it: ``web-1 10.77.0.9 22 ssh-ed25519 AAAA…``.

    Raises:
        MalformedError: another form.
    """
    words = line.split()
    try:
        name, address, port, *key = words
        return SshHost(name, address, " ".join(key[:2]), int(port))
    except ValueError as error:
        raise MalformedError(
            f"a host is 'NAME ADDRESS PORT KEY', got {line[:80]!r}",
            hint="its key, on that host: cat /etc/ssh/ssh_host_ed25519_key.pub",
        ) from error


@dataclass(frozen=True)
class _Error:
    name: str
    message: str
    hint: str


@dataclass(frozen=True)
class _Refusal:
    v: Annotated[int, Between(VERSION, VERSION)]
    error: _Error


@dataclass(frozen=True)
class ControlCalls:
    """How this minter calls its hosts; safe under threads.

    Attributes:
        client: OpenSSH's client.
        account: whose key the control key is, at each host.
        key: the file of the control key.
        known_hosts: a file with the keys of all hosts, under their names.
        within: how long one call may take.
    """

    client: str
    account: str
    key: Path
    known_hosts: Path
    within: timedelta

    def call(self, host: SshHost, verb: str, given: Mapping[str, Json], kind: type[T]) -> T:
        """Ask one host, and return its answer as ``kind`` reads it.

        Raises:
            RefusedError: it refuses: ``alive``, ``ended`` or ``scope_unknown``.
            UnavailableError: anything else; the call may have been carried out.
        """
        asked = json.dumps({"v": VERSION, "verb": verb, **given}).encode()
        named = f"host {host.name!r}"
        ran = run_bounded(
            f"{named}: {verb!r}", self._command(host), asked, _ENVIRONMENT, self.within
        )
        if ran.code:
            why = ran.spoken or f"exit {ran.code}"
            raise UnavailableError(f"{named} did not answer {verb!r}: {why}")
        try:
            answer = parse_strict(ran.answer, "answer")
            if isinstance(answer, Mapping) and "error" in answer:
                raise _said(named, read(_Refusal, answer, "answer").error)
            return read(kind, answer, "answer")
        except MalformedError as error:
            raise UnavailableError(f"{named} answered nonsense to {verb!r}: {error}") from error

    def _command(self, host: SshHost) -> list[str]:
        options = {
            # Nothing of whoever runs this minter, and no other key than the control key.
            "IdentityFile": _quoted(self.key),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "PreferredAuthentications": "publickey",
            "BatchMode": "yes",
            # The host is who the settings say, under its name; nobody is trusted on first use.
            "UserKnownHostsFile": _quoted(self.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "HostKeyAlias": host.name,
            "UpdateHostKeys": "no",
            "ConnectTimeout": str(_CONNECTS_WITHIN_S),
            "ServerAliveInterval": "2",
            "ServerAliveCountMax": "2",
            "ControlPath": "none",
            "ClearAllForwardings": "yes",
            "LogLevel": "INFO",  # with less, a connection that the host closes says nothing
        }
        told = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        where = ["-p", str(host.port), "-l", self.account, "--", host.address]
        return [self.client, "-F", "none", "-T", *told, *where, "control"]


def known_hosts_text(hosts: tuple[SshHost, ...]) -> str:
    """Return a ``known_hosts`` file of these hosts, each under its name."""
    return "".join(f"{each.name} {each.key}\n" for each in hosts)


def _quoted(path: Path) -> str:
    """Write a path as ssh reads it: a blank parts two files, and ``%`` begins a token."""
    return '"' + str(path).replace("%", "%%") + '"'


def _said(named: str, error: _Error) -> BreakglassError:
    message, hint = one_line(f"{named} says: {error.message}"), one_line(error.hint)
    for kind, names in ((RefusedError, _REFUSALS), (UnavailableError, _DELAYS)):
        for name in names:
            if name == error.name:
                return kind(message, name=name, hint=hint)
    return UnavailableError(message, hint=hint)
