"""All hosts of an SSH minter, asked at the same time; one that hangs holds up nobody else's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Generic, TypeVar

from breakglass.canonical import Json
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.minter.platforms.ssh_certificate import own_key
from breakglass.minter.platforms.ssh_host import ControlCalls, SshHost, known_hosts_text
from breakglass.process.folder import write_whole

T = TypeVar("T")
KNOWN_HOSTS = "known_hosts"
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)


@dataclass(frozen=True)
class SshSettings:
    """The table ``[ssh]`` of a minter's settings.

    Attributes:
        ca_key: the key that signs certificates; hosts trust it for this minter's grants.
        control_key: the key of the control calls.
        hosts: where they go.
        within: how long one control call may take.
        client: OpenSSH's client.
        account: of the control calls, at each host; no grant is ever made for it.
        minting, ending: how many control calls of each sort one host gets at a time; kept apart, so
            that a mint that hangs keeps no grant from its end. Together they stay below the ten
            that an sshd lets begin at a time (sshd_config, MaxStartups).
    """

    ca_key: Path
    control_key: Path
    hosts: tuple[SshHost, ...] = ()
    within: timedelta = timedelta(seconds=10)
    client: str = "ssh"
    account: str = "breakglass"
    minting: int = 4
    ending: int = 3

    def __post_init__(self) -> None:
        """Refuse two hosts of one name, and an account that ssh reads as something else.

        Raises:
            ValueError: with the name.
        """
        if not _ACCOUNT.fullmatch(self.account):
            raise ValueError(f"'ssh.account' is {self.account[:40]!r}, wanted an account's name")
        names = [each.name for each in self.hosts]
        if double := sorted({each for each in names if names.count(each) > 1}):
            raise ValueError(f"'ssh.hosts' names {double[0]!r} twice")


@dataclass(frozen=True)
class Answers(Generic[T]):
    """What each host answered, by its name, and of the others why they did not."""

    said: dict[str, T] = field(default_factory=dict)
    failed: dict[str, BreakglassError] = field(default_factory=dict)

    def whole(self) -> dict[str, T]:
        """Return the answers if every host gave one.

        Raises:
            BreakglassError: the first host's that did not, a refusal before what is unavailable.
        """
        for each in self.failed.values():
            if not isinstance(each, UnavailableError):
                raise each
        for each in self.failed.values():
            raise each
        return self.said


class SshHosts:
    """See the module; safe under threads.

    Args:
        settings: as above.
        folder: the minter's, for the file of the hosts' keys.

    Raises:
        MisconfiguredError: the control key cannot be used.
        OSError: the folder cannot be written.
    """

    def __init__(self, settings: SshSettings, folder: Path) -> None:
        own_key(settings.control_key)
        # ssh is started in another folder than we were.
        known, key = (each.absolute() for each in (folder / KNOWN_HOSTS, settings.control_key))
        write_whole(known, known_hosts_text(settings.hosts).encode())
        self.by_name: Mapping[str, SshHost] = {each.name: each for each in settings.hosts}
        self._calls = ControlCalls(settings.client, settings.account, key, known, settings.within)
        # Threads of its own for each host: one that hangs takes the turns of no other.
        self._minting = {name: _threads(settings.minting, name) for name in self.by_name}
        self._ending = {name: _threads(settings.ending, name) for name in self.by_name}

    def ask(
        self,
        given: Mapping[str, Mapping[str, Json]],
        verb: str,
        kind: type[T],
        *,
        ending: bool = False,
    ) -> Answers[T]:
        """Ask each host that ``given`` names, all at once, and return when the last is done.

        A host that the settings do not name has not answered.
        """
        turns = self._ending if ending else self._minting
        asked = {
            name: turns[name].submit(self._calls.call, self.by_name[name], verb, told, kind)
            for name, told in given.items()
            if name in turns
        }
        answers: Answers[T] = Answers()
        for name in given:
            try:
                if name not in asked:
                    raise UnavailableError(
                        f"host {name!r} is not in this minter's settings any more",
                        hint=f"put {name!r} back into [[ssh.hosts]] until its grants are dead",
                    )
                answers.said[name] = asked[name].result()
            except BreakglassError as error:
                answers.failed[name] = error
        return answers

    def close(self) -> None:
        """Begin no further call; those under way end by themselves."""
        for each in (*self._minting.values(), *self._ending.values()):
            each.shutdown(wait=False, cancel_futures=True)


def _threads(most: int, name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(most, thread_name_prefix=f"ssh-{name}")
