"""A company on one machine: a namespace for each host, real users, a database, a git server.

Each host has its own ``/etc``, ``/srv``, ``/home`` and ``/opt`` by bind mounts, so that what a page
has an administrator type is typed as it stands and touches nothing of this machine. Three programs
are stood in for, because they are not there: ``systemctl`` (runs what a unit says, as its user),
``scp`` (copies a file to another host's home), and the git server (a folder). Needs root.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from breakglass.demo.server_place import ServerPlace
from tests.kit.postgres import PASSWORD, SUPERUSER, make_cluster
from tests.kit.two_hosts import why_not as no_namespaces

ADDRESSES = {
    "one": "10.77.0.1",
    "two": "10.77.0.2",
    "db": "10.77.0.9",
    "mira": "10.77.0.11",
    "sam": "10.77.0.12",
    "noor": "10.77.0.13",
}
PEOPLE = ("mira", "sam", "noor")
ROOT = Path(__file__).resolve().parents[2]
_STAND_INS = Path(__file__).with_name("stand_ins")
_ENTER = """
for each in etc srv home; do mount --bind "$0/$each" /$each || exit 99; done
mount --bind "$1" /opt || exit 99
shift; exec "$@"
"""


def why_no_company() -> str:
    """Return why there can be none here; empty if there can."""
    if os.geteuid() != 0:
        return "it takes root to make hosts and users"
    for each in ("unshare", "setpriv", "useradd", "git"):
        if shutil.which(each) is None:
            return f"{each!r} is not installed"
    if _python() is None:
        return "no Python of this version that every user can run"
    return no_namespaces()


@dataclass(frozen=True)
class Said:
    """What a line that was typed said, and how long it took."""

    code: int
    out: str
    err: str
    took_s: float


class Company:
    """Hosts and people; made by ``company``."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.mark = secrets.token_hex(3)
        self.opt = top / "opt"
        self.git = top / "git" / "policy.git"

    def home(self, who: str) -> Path:
        """Return the home folder of a person, or of root on a server."""
        return self.top / who / ("home" if who in PEOPLE else "root") / (who * (who in PEOPLE))

    def types(self, who: str, line: str, within_s: float = 120) -> Said:
        """Type a line in a shell: as that person, or as root on that server."""
        self._deliver(who)
        began = time.monotonic()
        done = subprocess.run(
            [*self._on(who), *self._as(who), "bash", "-euc", line],
            cwd=self.home(who),
            env=self._environment(who),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
        took = time.monotonic() - began
        return Said(done.returncode, done.stdout, done.stderr, took)

    def starts(self, who: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a program on a host, as root, until the company is gone."""
        return subprocess.Popen(
            [*self._on(who), *words],
            env=self._environment(who),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def writes(self, who: str, path: str, text: str, *, more: bool = False) -> None:
        """Have somebody write a file, or add to it, with an editor."""
        file = self.top / who / path.lstrip("/") if path.startswith("/") else self.home(who) / path
        owner = file.parent.stat()
        before = file.read_text() if more else ""
        file.write_text(before + text)
        os.chown(file, owner.st_uid, owner.st_gid)

    def _deliver(self, who: str) -> None:
        """Put what was sent to somebody into their home."""
        home = self.home(who)
        owner = home.stat()
        for sent in (self.top / "post" / who).iterdir():
            shutil.move(sent, home / sent.name)
            os.chown(home / sent.name, owner.st_uid, owner.st_gid)

    def _on(self, who: str) -> list[str]:
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER]
        return ["ip", "netns", "exec", f"bg-{who}-{self.mark}", *enter, str(self.top / who),
                str(self.opt)]  # fmt: skip

    def _as(self, who: str) -> list[str]:
        if who not in PEOPLE:
            return []
        return ["setpriv", f"--reuid={who}", f"--regid={who}", "--init-groups"]

    def _environment(self, who: str) -> dict[str, str]:
        found = {
            "PATH": f"/opt/breakglass/bin:{self.opt}/stand-ins:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": f"/home/{who}" if who in PEOPLE else str(self.home(who)),
            "LC_ALL": "C.UTF-8",
            "COMPANY": str(self.top),
        }
        if who == "one":  # as ``ssh -A`` from her laptop has it
            found["SSH_AUTH_SOCK"] = str(self.home("mira") / "agent")
        if who == "db":
            found |= {"PGHOST": ADDRESSES["db"], "PGUSER": SUPERUSER, "PGPASSWORD": PASSWORD}
        return found


@contextlib.contextmanager
def company() -> Iterator[Company]:
    """Make it, and take it away again, with every process in it."""
    top = Path(tempfile.mkdtemp(prefix="bg-company-", dir="/tmp"))
    top.chmod(0o755)
    made = Company(top)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, top, ignore_errors=True)
        _program(made)
        for who in ADDRESSES:
            _host(made, who)
        stack.callback(_take_away, made)
        _network(made)
        for who in ADDRESSES:
            (top / "post" / who).mkdir(parents=True)
            (top / "post" / who).chmod(0o777)
        made.git.parent.mkdir()
        _run("git", "init", "-q", "--bare", "--initial-branch=main", "--shared=0777", made.git)
        _run("chmod", "-R", "0777", made.git)
        agent = made.starts(
            "mira", *made._as("mira"), "ssh-agent", "-D", "-a", str(made.home("mira") / "agent")
        )
        stack.callback(_end, agent)
        _wait_for(made.home("mira") / "agent")
        add = made.types("mira", "SSH_AUTH_SOCK=$HOME/agent ssh-add -q ~/.ssh/id_ed25519")
        assert add.code == 0, add.err
        yield made


@contextlib.contextmanager
def database(made: Company) -> Iterator[ServerPlace]:
    """Run a real PostgreSQL 18 on host ``db``, with one order that is stuck."""
    place = make_cluster()
    hba = place.folder / "data" / "pg_hba.conf"
    hba.write_text(f"{hba.read_text()}host all all 10.77.0.0/24 scram-sha-256\n")
    user = pwd.getpwnam(place.user)
    who = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    server = subprocess.Popen(
        [
            *("ip", "netns", "exec", f"bg-db-{made.mark}", *who),
            *(place.programs / "postgres", "-D", place.folder / "data", "-k", place.folder),
            *("-c", "listen_addresses=*", "-p", "5432"),
        ],
        cwd=place.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(place.folder / ".s.PGSQL.5432")
        where = psycopg.conninfo.make_conninfo(
            host=str(place.folder), user=SUPERUSER, password=PASSWORD, dbname="postgres"
        )
        until = time.monotonic() + 30
        while True:
            try:
                with psycopg.connect(where, autocommit=True) as session:
                    session.execute("create database orders")
                break
            except psycopg.OperationalError:
                assert time.monotonic() < until
                time.sleep(0.1)
        with psycopg.connect(f"{where} dbname=orders", autocommit=True) as session:
            session.execute("create table orders(id int primary key, state text)")
            session.execute("insert into orders values (1, 'stuck')")
        yield place
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
        place.remove()


def _program(made: Company) -> None:
    """Install the wheel as the page does, with the libraries that are here already."""
    python = _python()
    assert python is not None
    wheels = made.top / "wheels"
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    _run(*wheel, "-w", wheels, ROOT)
    place = made.opt / "breakglass"
    _run(python, "-m", "venv", "--without-pip", place)
    into = next((place / "lib").glob("python*")) / "site-packages"
    _run(
        *(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"),
        *("--target", into, next(wheels.glob("*.whl"))),
    )
    (into / "libraries.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    for name, module in (("breakglass", "breakglass.cli"), ("breakglass-gate", "breakglass.gate")):
        script = place / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {place}/bin/python -m {module} "$@"\n')
        script.chmod(0o755)
    # The path by which hosts see it is not the one by which it was made.
    for script in (place / "bin" / "breakglass", place / "bin" / "breakglass-gate"):
        script.write_text(script.read_text().replace(str(made.opt), "/opt"))
    shutil.copytree(_STAND_INS, made.opt / "stand-ins")
    for script in (made.opt / "stand-ins").iterdir():
        script.chmod(0o755)


def _host(made: Company, who: str) -> None:
    place = made.top / who
    for each in ("srv", "home", "run", "log"):
        (place / each).mkdir(parents=True)
    _run("cp", "-a", "/etc", place / "etc")
    for each in ("etc/systemd/system",):
        (place / each).mkdir(parents=True, exist_ok=True)
    home = made.home(who)
    if who not in PEOPLE:
        home.mkdir(mode=0o700)
    else:
        enter = [*_unshared(made, who), "useradd", "-m", "-d", f"/home/{who}", who]
        _run(*enter)
        for line in (
            "mkdir -m 0700 ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519",
            f"git config --global user.name {who}",
            f"git config --global user.email {who}@shop.example",
            "git config --global safe.directory '*'",
        ):
            said = subprocess.run(
                [*_unshared(made, who), *made._as(who), "sh", "-c", line],
                env=made._environment(who),
                cwd=home,
                capture_output=True,
                text=True,
                check=False,
            )
            assert said.returncode == 0, said.stderr
    if who not in PEOPLE:
        (home / ".gitconfig").write_text(
            f"[user]\nname = {who}\nemail = root@{who}\n[safe]\ndirectory = *\n"
        )


def _unshared(made: Company, who: str) -> list[str]:
    enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER]
    return [*enter, str(made.top / who), str(made.opt)]


def _network(made: Company) -> None:
    """Put every host on one cable, in a namespace of its own that stands for the switch."""
    switch = f"bg-net-{made.mark}"
    _run("ip", "netns", "add", switch)
    _run("ip", "-n", switch, "link", "add", "bridge", "type", "bridge")
    _run("ip", "-n", switch, "link", "set", "bridge", "up")
    for who, address in ADDRESSES.items():
        host = f"bg-{who}-{made.mark}"
        _run("ip", "netns", "add", host)
        _run("ip", "-n", host, "link", "set", "lo", "up")
        ends = ("cable", "netns", host, "type", "veth", "peer", "name", who, "netns", switch)
        _run("ip", "link", "add", *ends)
        _run("ip", "-n", switch, "link", "set", who, "master", "bridge", "up")
        _run("ip", "-n", host, "address", "add", f"{address}/24", "dev", "cable")
        _run("ip", "-n", host, "link", "set", "cable", "up")


def _take_away(made: Company) -> None:
    for pid in made.top.glob("*/run/*.pid"):
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.killpg(int(pid.read_text()), signal.SIGKILL)
    for who in (*ADDRESSES, "net"):
        name = f"bg-{who}-{made.mark}"
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _python() -> Path | None:
    """Return an interpreter of this version that every user can run."""
    ours = Path(sys.executable).resolve()
    for each in (ours, Path(f"/usr/bin/python3.{sys.version_info.minor}")):
        walk = each.exists() and all(above.stat().st_mode & 0o001 for above in each.parents)
        if walk:
            return each
    return None


def _wait_for(path: Path) -> None:
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(10)


def _run(*words: str | Path) -> None:
    done = subprocess.run([*words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)
