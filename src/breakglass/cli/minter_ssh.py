"""The keys and hosts of an SSH minter, in its folder: made once, and added to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.minter.platforms.ssh_certificate import public_line
from breakglass.minter.platforms.ssh_host import SshHost
from breakglass.operate.new_minter import settings_of
from breakglass.person import ssh_keygen
from breakglass.process.folder import SETTINGS, write_whole

CA, CONTROL = "ca", "control"
TABLE = f'\n[ssh]\nca_key = "{CA}"\ncontrol_key = "{CONTROL}"\n'


def make_keys(folder: Path) -> tuple[str, str]:
    """Return the public lines of the CA key and the control key, made if they are not there.

    A run that was cut off between the two leaves one; the next run makes the other.

    Raises:
        UnavailableError: a key could not be written.
        MisconfiguredError: one that is there cannot be used.
    """
    for name in (CA, CONTROL):
        if not (folder / name).exists():
            ssh_keygen.make_key(folder / name, f"{name} key of {folder.name}")
    return public_line(folder / CA), public_line(folder / CONTROL)


def add_hosts(folder: Path, hosts: Sequence[SshHost]) -> list[str]:
    """Write hosts into the settings, and return the names of those that were not there.

    Raises:
        MisconfiguredError: ``not_empty``; a host of that name is elsewhere or has another key.
    """
    table = settings_of(folder).get("ssh", {})
    standing = table.get("hosts", []) if isinstance(table, dict) else []
    by_name = {each["name"]: SshHost(**each) for each in standing}
    new = []
    for host in hosts:
        if by_name.setdefault(host.name, host) != host:
            raise MisconfiguredError(
                f"host {host.name!r} stands there with another address, port or key; nothing was"
                " changed",
                name=ErrorName.NOT_EMPTY,
                hint=f"change it in {folder / SETTINGS}, if the host itself was changed",
            )
        if host not in new and host.name not in [each["name"] for each in standing]:
            new.append(host)
    if new:
        text = (folder / SETTINGS).read_text("utf-8").rstrip("\n")
        write_whole(folder / SETTINGS, f"{text}\n{''.join(map(_written, new))}".encode())
    return [each.name for each in new]


def _written(host: SshHost) -> str:
    values = {"name": host.name, "address": host.address, "port": host.port, "key": host.key}
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    return f"\n[[ssh.hosts]]\n{lines}"
