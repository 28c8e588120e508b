"""An SSH minter's platform with simulated hosts, and orders for it."""

from __future__ import annotations

import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from breakglass.minter.platforms.platform import Order
from breakglass.minter.platforms.ssh import Ssh
from breakglass.minter.platforms.ssh_certificate import public_line
from breakglass.minter.platforms.ssh_host import SshHost
from breakglass.minter.platforms.ssh_hosts import SshSettings
from breakglass.person import ssh_keygen
from breakglass.records.grant import handle_of
from tests.kit.simulated_ssh_host import SimulatedHost

ROOT = Path(__file__).parents[2]


class SshPlace:
    """A minter's folder with keys and simulated hosts, and the platform of it."""

    def __init__(self, folder: Path, *names: str, **settings: Any) -> None:
        self.folder = folder
        (folder / "hosts").mkdir()
        self.keys = tuple(folder / name for name in ("ca", "control"))
        for each in self.keys:
            ssh_keygen.make_key(each, each.name)
        (folder / "hosts/ca.pub").write_text(public_line(self.keys[0]))
        client = folder / "ssh"
        path = ":".join([str(ROOT), *(each for each in sys.path if each)])
        client.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path[:0] = {path.split(':')!r}\n"
            "from tests.kit.simulated_ssh_host import main\nsys.exit(main(sys.argv[1:]))\n"
        )
        client.chmod(0o755)
        hosts = tuple(SshHost(name, "127.0.0.1", public_line(self.keys[1])) for name in names)
        self.settings = SshSettings(
            self.keys[0],
            self.keys[1],
            hosts,
            **{"client": str(client), "within": timedelta(seconds=30), **settings},
        )
        self.platform = Ssh(self.settings, "web", folder)

    def host(self, name: str = "web-1") -> SimulatedHost:
        return SimulatedHost(self.folder / "hosts", name)

    def trouble(self, name: str, trouble: str) -> None:
        self.host(name).trouble.write_text(trouble)


def holder_line() -> str:
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def ssh_order(*hosts: str, lives: timedelta = timedelta(minutes=5), **changes: Any) -> Order:
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    grant = "g-" + "".join(secrets.choice(letters) for _ in range(12))
    now = datetime.now(UTC)
    given: dict[str, Any] = {
        "scope": {"hosts": hosts or ("web-1",), "accounts": ("deploy",)},
        "source": (),
        "holder": holder_line(),
        "token": b"a token, as it was shown",
        **changes,
    }
    return Order(
        grant,
        handle_of(grant),
        "breakglass-INC-4821-mira",
        given["scope"],
        now - timedelta(seconds=120),
        now + lives,
        given["source"],
        given["holder"],
        given["token"],
    )
