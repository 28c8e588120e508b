"""One of the shop's hosts: a real sshd with our host half, in a mount namespace of its own.

Its accounts, PAM files and /run are files of ours that stand over the machine's in that namespace
alone, so nobody gets an account on the machine of whoever tries the demo. A control group is all
that the machine sees of it, and it goes with us.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import breakglass
from breakglass.clock import Deadline
from breakglass.demo.target import dying_with_parent
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.operate.fixed_address import LOOPBACK, choose_ports
from breakglass.person import ssh_keygen
from breakglass.sshd.session_cgroup import SessionCgroups

HOST, ACCOUNT, CONTROL = "web-1", "deploy", "breakglass"
STUCK = "checkout.lock"  # what the night is about, in the account's home
_HERE = Path("/run/host")  # where our folder is, seen from inside
_PROGRAM = _HERE / "venv/bin/breakglass-sshd"
_START_WITHIN = timedelta(seconds=20)
_IDS = {CONTROL: 64900, ACCOUNT: 64901}
_TABLES = ("passwd", "group", "shadow")
_NEEDED = ("/usr/sbin/sshd", "/usr/bin/unshare", "/usr/bin/nsenter", "/usr/bin/ssh")


@dataclass
class DemoHost:
    """``start`` it once the organisation is made, and ``stop`` it."""

    folder: Path
    port: int
    name: str = HOST
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def host_key(self) -> str:
        """The host's public key."""
        return ssh_keygen.read_key(self.folder / "host_key.pub").public

    @property
    def cgroup(self) -> str:
        """The group that holds what grants run here."""
        return f"breakglass-demo-{os.getpid()}"

    def minter_settings(self) -> str:
        """Return what the settings of the host's minter say of it."""
        return (
            f'platform = "ssh"\n\n[ssh]\nca_key = "ca"\ncontrol_key = "control"\n\n'
            f'[[ssh.hosts]]\nname = "{HOST}"\naddress = "{LOOPBACK}"\nport = {self.port}\n'
            f'key = "{self.host_key}"\n'
        )

    def start(self, minter: Path, trust: Path, name: str) -> None:
        """Start sshd and the daemon of the host half; returns when both serve.

        Args:
            minter: the minter's folder; its keys are made there.
            trust: the organisation's trust file.
            name: the minter's.

        Raises:
            UnavailableError: one of them did not start.
        """
        for each in ("ca", "control"):
            ssh_keygen.make_key(minter / each, f"{each} key of {name}")
        self._write_files(name, trust.read_bytes(), minter)
        sshd = self._popen(["unshare", "--mount", "--propagation=private", "sh", "-ec", _INSIDE])
        for _ in Deadline(_START_WITHIN).tries(0.05):
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1):
                break
            if sshd.poll() is not None:
                raise UnavailableError(f"sshd did not start: {self._said()}")
        else:
            raise UnavailableError(f"sshd does not listen: {self._said()}")
        enter = ["nsenter", "--mount", f"--target={sshd.pid}", "--", str(_PROGRAM)]
        daemon = self._popen([*enter, "--folder", str(_HERE / "half"), "serve"], subprocess.PIPE)
        assert daemon.stdout is not None
        if not daemon.stdout.readline():
            raise UnavailableError(f"the host's daemon did not start: {self._said()}")

    def stop(self) -> None:
        """Stop both, end what grants left, and remove the folder."""
        for each in reversed(self.processes):
            each.send_signal(signal.SIGTERM)
            try:
                each.wait(5)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()
        groups = SessionCgroups(self.cgroup)
        for handle in groups.handles():
            with contextlib.suppress(BreakglassError):
                groups.end(handle)
        with contextlib.suppress(OSError):
            groups.top.rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

    def runs(self, handle: str) -> int:
        """Return how many processes of a grant run here."""
        return sum(map(len, SessionCgroups(self.cgroup).sessions(handle).values()))

    def stuck(self) -> bool:
        """Say whether the file that the night is about is still there."""
        return (self.folder / "home" / ACCOUNT / STUCK).exists()

    def accepted(self) -> list[str]:
        """Return the lines of sshd's own log that say who came in by a certificate."""
        lines = (self.folder / "sshd.log").read_text("utf-8", "replace").splitlines()
        return [each for each in lines if each.startswith("Accepted") and "-CERT" in each]

    def _write_files(self, minter_name: str, trust: bytes, minter: Path) -> None:
        folder, half = self.folder, self.folder / "half"
        for each in (half, folder / "home"):
            each.mkdir(mode=0o755)
        authority = (minter / "ca.pub").read_text("ascii")
        control = (minter / "control.pub").read_text("ascii")
        _write(half / "trust", trust)
        _write(half / "ca.pub", authority)
        _write(half / "settings.toml", _settings(minter_name, self.cgroup))
        _write(folder / "sshd_config", _sshd_config(self.port))
        for name, ident in _IDS.items():
            home = folder / "home" / name
            (home / ".ssh").mkdir(parents=True, mode=0o700)
            if name == CONTROL:
                forced = f'restrict,command="{_PROGRAM} --folder {_HERE}/half control" {control}'
                _write(home / ".ssh" / "authorized_keys", forced, 0o600)
            else:
                _write(home / STUCK, "since 02:50\n")
            for each in (home, *home.rglob("*")):
                os.chown(each, ident, ident)
        for table in _TABLES:
            shutil.copy(f"/etc/{table}", folder / table)
            with (folder / table).open("a", encoding="utf-8") as file:
                file.writelines(_account(table, name, ident) for name, ident in _IDS.items())
        shutil.copytree("/etc/pam.d", folder / "pam.d")
        _write(folder / "pam.d" / "sshd", _PAM)

    def _popen(self, words: list[str], stdout: int | None = None) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.defpath, "HOST_FOLDER": str(self.folder), "LC_ALL": "C.UTF-8"}
        with (self.folder / "start.log").open("ab") as log:
            process = subprocess.Popen(
                words,
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log if stdout is None else stdout,
                stderr=log,
                preexec_fn=dying_with_parent(signal.SIGTERM),
            )
        self.processes.append(process)
        return process

    def _said(self) -> str:
        logs = [self.folder / each for each in ("start.log", "sshd.log")]
        texts = [each.read_text("utf-8", "replace") for each in logs if each.exists()]
        return " ".join(texts)[-300:].strip()


def make_ssh_host() -> DemoHost | str:
    """Make the place of a host, or say why this machine can have none.

    Raises:
        UnavailableError: a key could not be made.
    """
    if why := _why_not():
        return why
    folder = Path(tempfile.mkdtemp(prefix="breakglass-host-"))
    try:
        folder.chmod(0o755)
        if why := _install(folder / "venv"):
            shutil.rmtree(folder, ignore_errors=True)
            return why
        ssh_keygen.make_key(folder / "host_key", f"host key of {HOST}")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    (port,) = choose_ports(LOOPBACK, [HOST], ()).values()
    return DemoHost(folder, port)


def _why_not() -> str:
    if os.geteuid() != 0:
        return "a mount namespace and a control group take root"
    for each in _NEEDED:
        if not os.access(each, os.X_OK):
            return f"{each} is not here (make system installs it)"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if tried.returncode:
        return "this machine gives no mount namespace"
    groups = SessionCgroups(f"breakglass-demo-{os.getpid()}")
    try:
        with contextlib.suppress(OSError):
            groups.top.rmdir()
    except BreakglassError as error:
        return error.message
    return ""


def _install(place: Path) -> str:
    """Install the host half as its script wants it, where every account can run it."""
    python = next((each for each in _pythons() if _all_may_run(each)), None)
    script = Path(sys.executable).parent / "breakglass-sshd"
    if python is None or not script.exists():
        return "no Python of this version here that every account may run"
    made = subprocess.run(
        [python, "-m", "venv", "--without-pip", place], capture_output=True, check=False
    )
    if made.returncode:
        return f"{python} makes no virtual environment"
    into = next((place / "lib").glob("python*")) / "site-packages"
    skipped = shutil.ignore_patterns("__pycache__")
    package = Path(breakglass.__file__).parent
    shutil.copytree(package, into / "breakglass", ignore=skipped)
    libraries = Path(sysconfig.get_paths()["purelib"])
    for pattern in ("cryptography", "cffi", "_cffi_backend*", "breakglass-*.dist-info"):
        for each in libraries.glob(pattern):
            (shutil.copytree if each.is_dir() else shutil.copy)(each, into / each.name)
    shutil.copy(script, place / "bin" / "breakglass-sshd")
    return ""


def _pythons() -> list[Path]:
    version = f"python3.{sys.version_info.minor}"
    return [Path(sys.executable).resolve(), Path("/usr/bin") / version]


def _all_may_run(python: Path) -> bool:
    return python.exists() and all(each.stat().st_mode & 0o001 for each in python.parents)


def _account(table: str, name: str, ident: int) -> str:
    lines = {
        "passwd": f"{name}:x:{ident}:{ident}::{_HERE}/home/{name}:/bin/sh",
        "group": f"{name}:x:{ident}:",
        "shadow": f"{name}:*:19000:0:99999:7:::",
    }
    return f"{lines[table]}\n"


def _settings(minter: str, cgroup: str) -> str:
    return (
        f'minter = "{minter}"\nhost = "{HOST}"\nstate = "{_HERE}/state"\n'
        f'socket = "/run/breakglass-sshd/socket"\nuser = "{CONTROL}"\ncgroup = "{cgroup}"\n'
        f'sshd_config = "{_HERE}/sshd_config"\n'
    )


def _sshd_config(port: int) -> str:
    called = f"{_PROGRAM} --folder {_HERE}/half"
    return f"""Port {port}
ListenAddress {LOOPBACK}
HostKey {_HERE}/host_key
PidFile none
UsePAM yes
PasswordAuthentication no
KbdInteractiveAuthentication no
TrustedUserCAKeys {_HERE}/half/ca.pub
RevokedKeys {_HERE}/state/krl
AuthorizedPrincipalsCommand {called} principals %u %k %t %F
AuthorizedPrincipalsCommandUser {CONTROL}
PermitUserRC no
Match User {ACCOUNT}
    AuthorizedKeysFile none
"""


_PAM = f"""auth required pam_permit.so
account required pam_permit.so
session required pam_exec.so quiet seteuid {_PROGRAM} --folder {_HERE}/half session
"""
_INSIDE = """
mount -t tmpfs -o mode=755 none /run
mkdir /run/sshd /run/host
mount --bind "$HOST_FOLDER" /run/host
for each in passwd group shadow pam.d; do mount --bind "$HOST_FOLDER/$each" "/etc/$each"; done
exec /usr/sbin/sshd -D -f /run/host/sshd_config -E /run/host/sshd.log
"""


def _write(path: Path, data: bytes | str, mode: int = 0o644) -> None:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(mode)
