"""A real object store with Object Lock: one Ceph monitor, one OSD in memory, one RADOS gateway.

From Debian's ceph-mon, ceph-osd, radosgw and ceph-common. Everything lies in a folder of its own,
listens on free ports of 127.0.0.1 and is stopped by its process id. The store forgets all when it
stops: it proves locks, not durability.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.kit.port_rows import own_port

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "ceph", "radosgw-admin", "monmaptool")
_START_WITHIN_S = 60


def missing_programs() -> list[str]:
    """Return the programs that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@dataclass(frozen=True)
class Ceph:
    """A running store; ``access`` and ``secret`` are its one user's keys."""

    endpoint: str
    access: str
    secret: str
    config: Path

    def add_user(self, name: str) -> tuple[str, str]:
        """Make another user and return their access and secret keys."""
        access, secret = f"access-{name}", f"secret-{name}-0123456789"
        _admin(self.config, "user", "create", f"--uid={name}", f"--display-name={name}",
               f"--access-key={access}", f"--secret={secret}")  # fmt: skip
        return access, secret


@contextlib.contextmanager
def running_ceph(folder: Path) -> Iterator[Ceph]:
    """Start the store in ``folder`` and stop it again, whatever happens."""
    processes: list[subprocess.Popen[bytes]] = []
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: _stop(processes))
        yield _started(folder, processes)


def _started(folder: Path, processes: list[subprocess.Popen[bytes]]) -> Ceph:
    cluster, osd = str(uuid.uuid4()), str(uuid.uuid4())
    monitor_2, monitor_1, gateway = (own_port() for _ in range(3))
    config = folder / "ceph.conf"
    config.write_text(_config(folder, cluster, gateway))
    for each in ("mon", "osd", "rgw", "run"):
        (folder / each).mkdir()
    monmap = folder / "monmap"
    addresses = f"[v2:127.0.0.1:{monitor_2}/0,v1:127.0.0.1:{monitor_1}/0]"
    _run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", addresses, str(monmap))
    base = ("-c", str(config))
    _run("ceph-mon", *base, "--mkfs", "-i", "a", "--monmap", str(monmap))
    _spawn(folder, processes, "ceph-mon", *base, "-i", "a", "-f")
    given = ("--mon-host", f"v2:127.0.0.1:{monitor_2}")
    _until(lambda: _run("ceph", *base, *given, "osd", "new", osd, "0"))
    # The same uuid as in «osd new», or the OSD stays booting.
    _run("ceph-osd", *base, *given, "-i", "0", "--mkfs", "--osd-uuid", osd)
    _spawn(folder, processes, "ceph-osd", *base, *given, "-i", "0", "-f")
    _until(lambda: b" 1 up" in _run("ceph", *base, *given, "osd", "stat"))
    config.write_text(_config(folder, cluster, gateway, f"v2:127.0.0.1:{monitor_2}"))
    _spawn(folder, processes, "radosgw", *base, "-n", "client.rgw.x", "-f")
    endpoint = f"http://127.0.0.1:{gateway}"
    _until(lambda: _answers(endpoint))
    ceph = Ceph(endpoint, "access-archiver", "secret-archiver-0123456789", config)
    ceph.add_user("archiver")
    return ceph


def _config(folder: Path, cluster: str, gateway: int, monitor: str = "") -> str:
    # Without the crc modes the gateway hangs for ever while it connects.
    modes = "\n".join(
        f"ms {who} mode = crc"
        for who in (
            "mon client", "client", "service", "cluster", "mon cluster", "mon service",
        )
    )  # fmt: skip
    return f"""[global]
fsid = {cluster}
{f"mon host = {monitor}" if monitor else ""}
auth cluster required = none
auth service required = none
auth client required = none
{modes}
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
osd crush chooseleaf type = 0
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = {folder}/run
admin socket = {folder}/run/$cluster-$name.asok
log file = {folder}/$name.log
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
[client.rgw.x]
rgw frontends = beast endpoint=127.0.0.1:{gateway}
rgw sts key = abcdefghijklmnop
rgw s3 auth use sts = true
"""


def _spawn(folder: Path, processes: list[subprocess.Popen[bytes]], *arguments: str) -> None:
    log = (folder / f"{arguments[0]}.out").open("wb")
    processes.append(subprocess.Popen([*dying_with_us(), *arguments], stdout=log, stderr=log))
    log.close()


def dying_with_us() -> list[str]:
    """Return what to put before a command so that it ends when we are killed, where there is it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        process.kill()  # everything is in memory; there is nothing to save
    for process in processes:
        process.wait()


def _run(*arguments: str) -> bytes:
    return subprocess.run(arguments, check=True, capture_output=True, timeout=30).stdout


def _admin(config: Path, *arguments: str) -> bytes:
    return _run("radosgw-admin", "-c", str(config), "-n", "client.rgw.x", *arguments)


def _until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + _START_WITHIN_S
    while True:
        try:
            if holds() is not False:
                return
        except (subprocess.SubprocessError, OSError):
            pass
        if time.monotonic() > end:
            raise TimeoutError("the object store did not start")
        time.sleep(0.2)


def _answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(endpoint, timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
