"""A real sshd with our host half beside it, on a free port of 127.0.0.1, in a mount namespace.

PAM, cron and at are the machine's own programs with files of our own, bound over the machine's in
that namespace alone: nothing of the machine is changed but for accounts, which are removed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from breakglass.canonical import parse_strict
from breakglass.errors import BreakglassError
from breakglass.sshd.host_requests import write_request
from breakglass.sshd.session_cgroup import SessionCgroups
from tests.kit.port_rows import own_port

ROOT = Path(__file__).resolve().parents[2]
SSHD = Path("/usr/sbin/sshd")


def why_no_sshd() -> str:
    """Say what is missing for a real sshd; empty if nothing is."""
    if os.geteuid() != 0:
        return "accounts and control groups need root"
    for each in ("/usr/sbin/sshd", "/usr/sbin/cron", "/usr/sbin/atd", "/usr/bin/tmux"):
        if not os.access(each, os.X_OK):
            return f"{each} is missing: make system"
    if _python() is None:
        return "no Python of this version that every user can run"
    try:
        SessionCgroups("breakglass-probe").top.rmdir()
    except (BreakglassError, OSError) as error:
        return str(error)
    return ""


@dataclass
class SshHost:
    """A started host; ``folder`` holds settings.toml, trust, ca.pub and state/."""

    name: str
    port: int
    host_key: str  # 'ssh-ed25519 AAAA…'
    user: str  # the control account
    accounts: tuple[str, ...]
    folder: Path
    program: Path
    sshd: subprocess.Popen[bytes]
    daemon: subprocess.Popen[bytes] | None = None
    jobs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        """The daemon's socket."""
        return self.folder / "run" / "socket"

    @property
    def log(self) -> str:
        """What sshd said."""
        return (self.folder / "sshd.log").read_text("utf-8", "replace")

    def start_daemon(self) -> None:
        """Start the daemon and wait until it serves."""
        with (self.folder / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                [self.program, "--folder", self.folder, "serve"],
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.daemon.stdout is not None
        said = self.daemon.stdout.readline()
        assert said, (self.folder / "daemon.log").read_text()

    def kill_daemon(self) -> None:
        """End the daemon as a crash does."""
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait()

    def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Send one request as the minter does, through ``control`` as the control account."""
        return self.say(write_request(verb, **fields))

    def say(self, request: bytes) -> dict[str, Any]:
        """Send bytes through ``control`` as the control account."""
        done = subprocess.run(
            ["runuser", "-u", self.user, "--", self.program, "--folder", self.folder, "control"],
            input=request,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        found = parse_strict(done.stdout, "answer")
        assert isinstance(found, dict)
        return found

    def ssh(self, key: Path, account: str, *words: str, options: Sequence[str] = ()) -> list[str]:
        """Return the words of an ssh that logs in with a key and its certificate."""
        known = self.folder / "known_hosts"
        return [
            "ssh", "-F", "none", "-p", str(self.port), "-i", str(key),
            "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes",
            "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=10", *options,
            f"{account}@127.0.0.1", *words,
        ]  # fmt: skip

    def start_jobs(self) -> None:
        """Start cron and atd where sshd runs."""
        for words in (["/usr/sbin/cron", "-f"], ["/usr/sbin/atd", "-f", "-b", "1"]):
            inside = ["nsenter", "--mount", f"--target={self.sshd.pid}", "--", *words]
            self.jobs.append(subprocess.Popen(inside, cwd="/"))

    def left(self, handle: str) -> list[int]:
        """Return the processes of a grant's group."""
        found = SessionCgroups(self.name).sessions(handle)
        return [pid for pids in found.values() for pid in pids]


@contextlib.contextmanager
def started_host(
    trust: bytes,
    ca: str,
    *,
    control_key: str = "",
    host: str = "web-1",
    minter: str = "web",
    accounts: int = 2,
    daemon: bool = True,
    settings: str = "",
) -> Iterator[SshHost]:
    """Start sshd and the daemon, and stop both and remove the accounts at the end.

    Args:
        trust: the signed trust file's bytes.
        ca: the minter's CA public key, 'ssh-ed25519 AAAA…'.
        control_key: the minter's public key for the control call, if one is made over ssh.
        host: what scopes call it.
        minter: whose certificates it takes.
        accounts: how many accounts are made; their names are the host's ``accounts``.
        daemon: whether it is started.
        settings: more lines of settings.toml.
    """
    name = f"bgt{os.getpid()}x{secrets.token_hex(3)}"
    folder = Path("/opt") / name
    made: list[str] = []
    folder.mkdir(mode=0o755, parents=True)
    found: SshHost | None = None
    try:
        for each in [name, *(f"{name}{chr(97 + number)}" for number in range(accounts))]:
            subprocess.run(
                ["useradd", "--create-home", "--shell", "/bin/bash", "--password", "*", each],
                check=True,
                capture_output=True,
            )
            made.append(each)
        found = _host(name, folder, tuple(made[1:]), host, minter, trust, ca, control_key, settings)
        if daemon:
            found.start_daemon()
        yield found
    finally:
        _stop(name, found)
        for each in made:
            subprocess.run(["userdel", "--remove", each], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _host(
    name: str,
    folder: Path,
    accounts: tuple[str, ...],
    host: str,
    minter: str,
    trust: bytes,
    ca: str,
    control_key: str,
    settings: str,
) -> SshHost:
    program = _installed(folder)
    for each in ("cron/crontabs", "cron/atjobs", "cron/atspool"):
        (folder / each).mkdir(parents=True)
    _like(Path("/var/spool/cron"), folder / "cron")
    _write(folder / "trust", trust.decode(), 0o644)
    _write(folder / "ca.pub", ca + "\n", 0o644)
    _write(
        folder / "settings.toml",
        f'minter = "{minter}"\nhost = "{host}"\nstate = "state"\nsocket = "run/socket"\n'
        f'user = "{name}"\nlogin_services = ["{name}"]\ncgroup = "{name}"\n'
        f'cron_spool = "cron/crontabs"\nat_spool = "cron/atjobs"\nsshd_config = "sshd_config"\n'
        + settings,
        0o644,
    )
    exec_line = f"session required pam_exec.so quiet seteuid {program} --folder {folder} session\n"
    permit = "auth required pam_permit.so\naccount required pam_permit.so\n"
    (folder / "pam.d").mkdir()
    shutil.copytree("/etc/pam.d", folder / "pam.d", dirs_exist_ok=True)
    for each in (name, "cron", "atd"):
        _write(folder / "pam.d" / each, permit + exec_line, 0o644)
    _control_account(name, program, folder, control_key)
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host_key")
    host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / name).symlink_to(SSHD)  # PAM's service is the program's name
    port = own_port()
    _write(folder / "known_hosts", f"[127.0.0.1]:{port} {host_key}\n", 0o644)
    _write(folder / "sshd_config", _config(name, folder, program, accounts, port), 0o644)
    # A mount namespace: our PAM files and spools, and a /run whose pid files are ours.
    inside = (
        f"mount --bind {folder}/pam.d /etc/pam.d && mount --bind {folder}/cron /var/spool/cron &&"
        f" mount -t tmpfs none /run && mkdir /run/sshd &&"
        f" exec {folder}/{name} -D -f {folder}/sshd_config -E {folder}/sshd.log"
    )
    sshd = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", inside])
    found = SshHost(name, port, host_key, name, accounts, folder, program, sshd)
    for _ in range(400):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return found
        assert sshd.poll() is None, "sshd did not start"
        time.sleep(0.02)
    raise AssertionError("sshd does not listen")


def _installed(folder: Path) -> Path:
    """Install the host half as its script wants it, where every account can run it."""
    python, place = _python(), folder / "venv"
    _run(str(python), "-m", "venv", "--without-pip", place)
    into = next((place / "lib").glob("python*")) / "site-packages"
    shutil.copytree(ROOT / "src" / "breakglass", into / "breakglass")
    libraries = Path(sysconfig.get_paths()["purelib"])
    for pattern in ("cryptography", "cffi", "_cffi_backend*", "breakglass-*.dist-info"):
        for each in libraries.glob(pattern):
            copy = shutil.copytree if each.is_dir() else shutil.copy
            copy(each, into / each.name)
    program = place / "bin" / "breakglass-sshd"
    shutil.copy(ROOT / "scripts" / "breakglass-sshd", program)
    return program


def _python() -> Path | None:
    """Return an interpreter of this version that every user can run."""
    ours = Path(sys.executable).resolve()
    for each in (ours, Path(f"/usr/bin/python3.{sys.version_info.minor}")):
        if each.exists() and all(above.stat().st_mode & 0o001 for above in each.parents):
            return each
    return None


def _config(name: str, folder: Path, program: Path, accounts: tuple[str, ...], port: int) -> str:
    called = f"{program} --folder {folder}"
    return f"""Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
UsePAM yes
PasswordAuthentication no
KbdInteractiveAuthentication no
TrustedUserCAKeys {folder}/cas.pub
RevokedKeys {folder}/state/krl
AuthorizedPrincipalsCommand {called} principals %u %k %t %F
AuthorizedPrincipalsCommandUser {name}
PermitUserRC no
LogLevel VERBOSE
MaxStartups 100
Subsystem sftp internal-sftp
Match User {",".join(accounts[:1])}
    AuthorizedKeysFile none
"""


def _control_account(name: str, program: Path, folder: Path, key: str) -> None:
    shutil.copy(folder / "ca.pub", folder / "cas.pub")
    if not key:
        return
    place = Path("/home") / name / ".ssh"
    place.mkdir(mode=0o700)
    line = f'restrict,command="{program} --folder {folder} control" {key}\n'
    _write(place / "authorized_keys", line, 0o600)
    _run("chown", "-R", f"{name}:", place)


def _like(there: Path, here: Path) -> None:
    """Give our spools the owners and modes of the machine's."""
    for each in [here, *here.iterdir()]:
        found = (there / each.relative_to(here)).stat()
        os.chown(each, found.st_uid, found.st_gid)
        each.chmod(found.st_mode & 0o7777)
    sequence = here / "atjobs" / ".SEQ"
    sequence.touch(0o600)
    shutil.chown(sequence, "daemon", "daemon")


def _stop(name: str, found: SshHost | None) -> None:
    processes = [] if found is None else [*found.jobs, found.daemon, found.sshd]
    for each in processes:
        if each is not None and each.poll() is None:
            each.send_signal(signal.SIGTERM)
            try:
                each.wait(5)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()
    groups = SessionCgroups(name)
    for handle in groups.handles():
        with contextlib.suppress(BreakglassError):
            groups.end(handle)
    with contextlib.suppress(OSError):
        groups.top.rmdir()


def _write(path: Path, text: str, mode: int) -> None:
    path.write_text(text)
    path.chmod(mode)


def _run(*words: str | Path) -> None:
    subprocess.run([str(each) for each in words], check=True, capture_output=True)
