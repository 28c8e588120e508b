"""A systemd unit for one process: its own user, its own folder, and nothing else of the machine.

Source: systemd.exec(5), section Sandboxing; ``systemd-analyze security`` scores it.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from breakglass.errors import MisconfiguredError
from breakglass.operate.retired_cosigners import moved_out
from breakglass.process.folder import SETTINGS
from breakglass.shown_text import all_seen

ROOMS = ("witness", "archiver", "ledger", "broker", "minter", "surveyor", "monitor")
_FIRST = ("witness", "archiver", "ledger")  # others wait for these, if they are on this machine


@dataclass(frozen=True)
class Unit:
    """What a unit is made of.

    Attributes:
        process: the name of its folder, such as ``minter-orders-db``.
        room: what it is.
        folder: absolute.
        python: the interpreter that has the program.
    """

    process: str
    room: str
    folder: Path
    python: Path

    @property
    def name(self) -> str:
        """The unit's name, and its user's."""
        return f"breakglass-{self.process}"


def unit_of(folder: Path, python: Path = Path(sys.executable)) -> Unit:
    """Return the unit of the process whose folder this is.

    Raises:
        MisconfiguredError: no process's folder, or a path that a unit cannot hold.
    """
    place = folder.absolute()
    room = next((each for each in ROOMS if _is(place.name, each)), "")
    if not room or not (place / SETTINGS).is_file():
        raise MisconfiguredError(
            f"{str(folder)!r} is no folder of a process",
            hint="'breakglass unit' lists the processes",
        )
    for path in (place, python):
        # A percent sign, a space or a quote would mean something else in a unit.
        if not all_seen(str(path)) or set(str(path)) & set("%\\\"' \t$"):
            raise MisconfiguredError(f"{str(path)!r} cannot stand in a unit; move it")
    return Unit(place.name, room, place, python)


def processes_in(org: Path) -> list[str]:
    """Return the names of the process folders in ``org``, in the order of their needs.

    What has moved to another host is left out.
    """
    return [
        path.parent.name
        for room in ROOMS
        for path in sorted(org.glob(f"{room}*/{SETTINGS}"))
        if _is(path.parent.name, room) and not moved_out(path.parent)
    ]


def unit_text(unit: Unit) -> str:
    """Write the unit."""
    after = "network-online.target"
    if unit.room not in _FIRST:
        after += " breakglass-ledger.service"
    return f"""\
# {unit.name}.service, made by 'breakglass unit {unit.process}'
[Unit]
Description={unit.process} of a break-glass platform
Wants=network-online.target
After={after}
StartLimitIntervalSec=0

[Service]
User={unit.name}
Group={unit.name}
WorkingDirectory={unit.folder}
ExecStart={unit.python} -P -m breakglass.{unit.room} {unit.folder}
Restart=always
RestartSec=1
TimeoutStopSec=5
UMask=0077

# It writes into its own folder, and reads the program and the 'address' of its neighbours.
ProtectSystem=strict
ReadWritePaths={unit.folder}
ProtectHome={_home(unit)}
PrivateTmp=yes
PrivateDevices=yes
NoExecPaths={unit.folder}
ProtectProc=invisible
ProcSubset=pid

# It has no rights, and gets none.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @mount
SystemCallErrorNumber=EPERM

# Of the kernel it sees files, memory and sockets of TCP and of this machine.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
PrivateUsers=yes
RemoveIPC=yes
KeyringMode=private

[Install]
WantedBy=multi-user.target
"""


def users_script(units: list[Unit]) -> str:
    """Write what root types once: a user for each process, and its folder given to it.

    Others may pass through a folder, to read the ``address`` in it, and list or read nothing.
    """
    lines = ["# once, as root; again it changes nothing"]
    for each in units:
        lines += [
            f"id {each.name} >/dev/null 2>&1 || useradd --system --user-group --no-create-home"
            f" --home-dir {each.folder} --shell /usr/sbin/nologin {each.name}",
            f"chown -R {each.name}:{each.name} {each.folder}",
            f"chmod 0711 {each.folder}",
        ]
    above = sorted({each.folder.parent for each in units})
    lines += [f"chmod 0711 {each}" for each in above]
    return "".join(f"{line}\n" for line in lines)


def _home(unit: Unit) -> str:
    homes = (Path("/home"), Path("/root"), Path("/run/user"))
    inside = any(home in path.parents for home in homes for path in (unit.folder, unit.python))
    return "read-only" if inside else "yes"


def _is(name: str, room: str) -> bool:
    return name == room or (
        room in ("witness", "minter", "surveyor") and name.startswith(f"{room}-")
    )


def serves_alone(folder: Path) -> bool:
    """Say whether a process's settings fix its port: a unit must not move at each restart."""
    try:
        table = tomllib.loads((folder / SETTINGS).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False
    return bool(table.get("serving", {}).get("port", 0))
