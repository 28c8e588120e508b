"""What stops a login behind the end: the list of ended handles, and the KRL that sshd reads."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from breakglass.errors import UnavailableError, reason
from breakglass.process.folder import sync_folder, write_whole
from breakglass.records.grant import serial_of
from breakglass.sshd.host_config import HostConfig

_WITHIN = timedelta(seconds=10)


def publish(config: HostConfig, handles: Iterable[str]) -> None:
    """Put the ended handles on disk, whole or not at all: the list first, then the KRL.

    A crash between the two leaves the list, which refuses alone; the start writes both again.

    Raises:
        UnavailableError: one of the two was not written.
    """
    named = sorted(handles)
    try:
        write_whole(config.ended_list, "".join(f"{each}\n" for each in named).encode(), 0o644)
        _write_krl(config, [serial_of(each) for each in named])
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"the ended grants cannot be written: {reason(error)}") from error


def revoked(config: HostConfig, handle: str, certificate: str | None) -> bool:
    """Say whether the KRL refuses a grant's certificate, by OpenSSH's own reading.

    Args:
        config: whose KRL it is.
        handle: the grant's.
        certificate: ``TYPE BASE64``; without it the serial is looked for in the KRL.

    Raises:
        UnavailableError: the KRL cannot be read.
    """
    if certificate is None:
        done = _keygen("-Q", "-l", "-f", str(config.krl))
        if done.returncode:
            raise UnavailableError(f"the KRL cannot be read: {done.stderr.strip()[:200]}")
        return f"serial: {serial_of(handle)}" in done.stdout.splitlines()
    with tempfile.NamedTemporaryFile("w", suffix=".pub") as file:
        file.write(certificate + "\n")
        file.flush()
        done = _keygen("-Q", "-f", str(config.krl), file.name)
    if done.returncode and "REVOKED" not in done.stdout:
        raise UnavailableError(f"the KRL cannot be read: {done.stderr.strip()[:200]}")
    return "REVOKED" in done.stdout


def _write_krl(config: HostConfig, serials: list[int]) -> None:
    # A KRL that is missing, or half written, makes sshd refuse everybody: it is replaced whole.
    with tempfile.TemporaryDirectory(dir=config.settings.state, prefix=".krl-") as folder:
        made, spec = Path(folder) / "krl", Path(folder) / "spec"
        spec.write_text("".join(f"serial: {each}\n" for each in serials))
        done = _keygen("-k", "-f", str(made), "-s", str(config.ca), str(spec))
        if done.returncode:
            raise UnavailableError(f"ssh-keygen wrote no KRL: {done.stderr.strip()[:200]}")
        made.chmod(0o644)
        with made.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(made, config.krl)
    sync_folder(config.settings.state)


def _keygen(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ssh-keygen", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_WITHIN.total_seconds(),
    )
