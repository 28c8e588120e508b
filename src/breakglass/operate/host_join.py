"""A witness or an archiver on a second host: a folder with a key of its own that never leaves it.

Nothing of the first host is needed but the log's public key. What the first host needs in turn is
public too: a key, an address, and the SHA-256 of a certificate, in one line.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.operate.certificate import CERTIFICATE, CERTIFICATE_KEY, make_certificate
from breakglass.operate.fixed_address import LOOPBACK, choose_ports, serving_table, url_of
from breakglass.process.folder import SETTINGS, make_folder, sync_folder, write_synced, write_whole
from breakglass.process.key_store import KEY, keeping_of
from breakglass.process.served_logs import read_logs
from breakglass.records.trust import parse_trust
from breakglass.tlog.note import COSIGNATURE, ED25519, Note, SignerKey, VerifierKey

WITNESS, ARCHIVER = "witness", "archiver"
JOINED = "joined"
"""The file that keeps what a run told, so that the next one tells the same."""


@dataclass(frozen=True)
class Listening:
    """Where the new process listens, and under which address others reach it; IP addresses."""

    host: str
    port: int
    known_host: str
    known_port: int


@dataclass(frozen=True)
class HostJoin:
    """What to make.

    Attributes:
        room: ``witness`` or ``archiver``.
        folder: new, or made by an earlier run.
        place: the name that the trust file has for it: who stands there is replaced.
        logs: the keys of the one log that it serves.
        listening: ``None`` takes a free port of loopback.
        settings: lines of the settings beside ``[serving]``; an archiver's ledger and store.
    """

    room: str
    folder: Path
    place: str
    logs: tuple[VerifierKey, ...]
    listening: Listening | None
    settings: str = ""


@dataclass(frozen=True)
class Joined:
    """What was made; the same from every run."""

    room: str
    folder: Path
    place: str
    origin: str
    vkey: VerifierKey
    url: str
    new: bool

    @property
    def witness_line(self) -> str:
        """The C2SP tlog-policy line."""
        return f"witness {self.place} {self.vkey} {self.url}"

    @property
    def role_line(self) -> str:
        """What makes the witness count: the archiver's own line, or a quorum's group."""
        return f"archiver {self.place}" if self.room == ARCHIVER else f"group seen {self.place}"

    @property
    def neighbour_line(self) -> str:
        """For ``[neighbours]`` of a ledger whose policy gives no address."""
        return f"{json.dumps(self.place)} = {json.dumps(self.url)}"

    @property
    def command(self) -> str:
        """What starts it."""
        return f"python -m breakglass.{self.room} {self.folder}"


def join(asked: HostJoin, now: datetime) -> Joined:
    """Make the folder, or read again what an earlier run made.

    Raises:
        MisconfiguredError: ``not_empty``, the folder holds something else; ``other_log`` or
            ``other_room``, it was made for another; ``no_address``. Nothing was changed.
    """
    folder = asked.folder
    origin = asked.logs[0].name
    if (folder / SETTINGS).exists():
        return _again(asked, origin)
    if folder.exists() and any(folder.iterdir()) and not _only_ours(folder):
        raise MisconfiguredError(
            f"{str(folder)!r} holds something else; nothing was made",
            name=ErrorName.NOT_EMPTY,
            hint="name a new folder",
        )
    listening = asked.listening or _loopback()
    make_folder(folder)
    folder.chmod(0o700)
    # (1) The key. A crash behind it leaves a key that the next run takes up.
    vkey = _key(folder, asked)
    # (2) Certificate, logs, and what will be told again.
    pin = make_certificate(folder, listening.known_host, now)
    url = url_of(listening.known_host, listening.known_port, pin)
    write_whole(folder / "logs", "".join(f"{key}\n" for key in asked.logs).encode())
    joined = {"room": asked.room, "place": asked.place, "url": url}
    write_whole(folder / JOINED, json.dumps(joined).encode())
    # (3) The settings last: a folder without them is one that nobody finished.
    write_whole(folder / SETTINGS, _settings(asked.settings, listening).encode())
    return Joined(asked.room, folder, asked.place, origin, vkey, url, new=True)


def read_log_keys(text: str) -> tuple[VerifierKey, ...]:
    """Read the keys of one log: from its vkey, or from a trust file.

    Raises:
        MalformedError: neither, or a trust file of several logs.
    """
    if not text.lstrip().startswith("breakglass.dev/trust/v1"):
        key = VerifierKey.parse(text.strip())
        if key.kind != ED25519:
            raise MalformedError("a log's key is Ed25519")
        return (key,)
    trust = parse_trust(Note.parse(text.encode()).text)
    keys = tuple(each.vkey for each in trust.tlog.logs)
    if len({key.name for key in keys}) != 1:
        raise MalformedError("the trust file names several logs; give the key of one: --log VKEY")
    return keys


def read_endpoint(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``, the host an IP address (``[…]`` around IPv6).

    Raises:
        MalformedError: another form; a name would need DNS at the worst moment.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
        number = int(port)
    except ValueError as error:
        raise MalformedError(f"{text[:80]!r} is not IP-ADDRESS:PORT") from error
    if not (colon and 0 < number < 65536 and port.isascii()):
        raise MalformedError(f"{text[:80]!r} is not IP-ADDRESS:PORT")
    return host, number


def _loopback() -> Listening:
    # One that a system hands out by itself would be somebody's at one start or another.
    (port,) = choose_ports(LOOPBACK, ["it"], ()).values()
    return Listening(LOOPBACK, port, LOOPBACK, port)


def _only_ours(folder: Path) -> bool:
    """Say whether an earlier run was cut off here: nothing but what it writes first."""
    ours = {KEY, "logs", "lines", JOINED, CERTIFICATE, CERTIFICATE_KEY}
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")} <= ours


def _key(folder: Path, asked: HostJoin) -> VerifierKey:
    if not (folder / KEY).exists():
        organisation = asked.logs[0].name.partition("/")[0]
        # The host is in the name, so that two keys of one place are told apart by people.
        name = f"{asked.place}.{_host_word()}.{organisation}"
        key = SignerKey.generate(name, COSIGNATURE)
        draft = folder / f".{KEY}"
        draft.unlink(missing_ok=True)
        write_synced(draft, f"{key.encoded()}\n".encode())
        os.rename(draft, folder / KEY)
        sync_folder(folder)
    return keeping_of(folder).verifier()


def _host_word() -> str:
    word = "".join(each for each in socket.gethostname().lower() if each.isalnum() or each == "-")
    return word.strip("-")[:32] or "host"


def _settings(given: str, listening: Listening) -> str:
    # Keys of the top come before the first table.
    top, bracket, tables = given.partition("[")
    serving = serving_table(listening.host, listening.port)
    return f"{top}\n{serving}" + (f"\n{bracket}{tables}" if bracket else "")


def _again(asked: HostJoin, origin: str) -> Joined:
    try:
        told = json.loads((asked.folder / JOINED).read_bytes())
        room, place, url = told["room"], told["place"], told["url"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MisconfiguredError(
            f"{str(asked.folder)!r} was not made by 'breakglass join'; nothing was changed",
            name=ErrorName.NOT_EMPTY,
            hint="name a new folder",
        ) from error
    if (room, place) != (asked.room, asked.place):
        raise MisconfiguredError(
            f"{str(asked.folder)!r} is {room} {place!r} already; nothing was changed",
            name=ErrorName.OTHER_ROOM,
            hint="name another folder",
        )
    if origin not in read_logs(asked.folder / "logs"):
        raise MisconfiguredError(
            f"{str(asked.folder)!r} serves another log than {origin!r}; nothing was changed",
            name=ErrorName.OTHER_LOG,
            hint="name another folder",
        )
    vkey = keeping_of(asked.folder).verifier()
    return Joined(room, asked.folder, place, origin, vkey, url, new=False)
