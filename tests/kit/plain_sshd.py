"""OpenSSH's sshd, real, on a port of its own: it takes certificates of one CA for one principal.

It asks no token, so it serves tests of the client alone; whoever runs the tests logs in.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from breakglass.person import ssh_keygen
from tests.kit.port_rows import own_port
from tests.kit.processes import until

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
WHO = getpass.getuser()


class PlainSshd:
    """One server in ``folder``; ``log`` is what it said."""

    def __init__(self, folder: Path, authority: str, principal: str) -> None:
        if not Path(SSHD).exists():
            pytest.skip("no sshd here: apt-get install openssh-server")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it leaves its rights behind
        folder.mkdir()
        self.port, self.log = own_port(), folder / "log"
        self.key = ssh_keygen.make_key(folder / "host_key", "host")
        (folder / "ca.pub").write_text(f"{authority}\n")
        (folder / "principals").write_text(f"{principal}\n")
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host_key'}\n"
            f"TrustedUserCAKeys {folder / 'ca.pub'}\n"
            f"AuthorizedPrincipalsFile {folder / 'principals'}\nAuthorizedKeysFile none\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
            "PermitRootLogin prohibit-password\nStrictModes no\nPidFile none\n"
            "AllowAgentForwarding yes\nSubsystem sftp internal-sftp\n"
        )
        command = [SSHD, "-D", "-E", str(self.log), "-f", str(folder / "config")]
        self._process = subprocess.Popen(command, start_new_session=True)
        until(self._answers)

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(10)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
