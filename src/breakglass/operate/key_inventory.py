"""Who holds which key of this very installation, by host and account, as far as it can be seen.

A folder on this host shows its owner; elsewhere there is only the address that the trust file
gives. Nothing is assumed of what cannot be seen: it counts as held by nobody we could name.
"""

from __future__ import annotations

import contextlib
import ipaddress
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from breakglass.archiver.settings import ArchiverSettings
from breakglass.errors import BreakglassError, MisconfiguredError
from breakglass.http.client import Peer
from breakglass.operate.retired_cosigners import key_folders
from breakglass.person import ssh_keygen
from breakglass.process.key_store import DOOR_KEY, keeping_of
from breakglass.process.settings import read_settings
from breakglass.records.trust import Trust
from breakglass.tlog.note import VerifierKey
from breakglass.tlog.policy import Witness

HERE, UNSEEN = "this host", "not seen"
_WITHIN = timedelta(seconds=2)


@dataclass(frozen=True)
class Holding:
    """One key.

    Attributes:
        room: ``ledger``, ``witness``, ``archiver``, ``broker``, ``minter``, ``monitor``, ``gate``,
            ``maintainer`` or ``person``.
        name: the trust file's name in that room; empty where there is one only.
        host: ``this host``, an address, or ``not seen``.
        account: the login that owns the key's folder here; empty elsewhere.
        where: the folder, or the address.
    """

    room: str
    name: str
    host: str
    account: str = ""
    where: str = ""

    @property
    def party(self) -> str:
        """How people speak of it."""
        named = self.room in ("minter", "gate", "maintainer", "person")
        return f"{self.room} {self.name}" if named else self.name or self.room


@dataclass(frozen=True)
class Archive:
    """Where the archive's objects lie: ``locked`` is a bucket in compliance mode, as its doctor
    saw it at ``looked``; ``host`` holds them otherwise."""

    host: str
    where: str
    locked: bool
    outcome: str = "unknown"
    looked: str = ""


@dataclass(frozen=True)
class Installation:
    """Everything that the table of powers is computed from."""

    trust: Trust
    holdings: tuple[Holding, ...]
    archive: Archive

    def hosts(self) -> list[str]:
        """Return the hosts that hold any key, this one first; those not seen are none."""
        found = dict.fromkeys([HERE, *(each.host for each in self.holdings)])
        return [host for host in found if host != UNSEEN]

    def host_of(self, room: str) -> str:
        """Return the host of a room of which there is one."""
        return next((each.host for each in self.holdings if each.room == room), UNSEEN)

    def cosigners_at(self, *hosts: str) -> set[str]:
        """Return the policy's names of the witnesses, the archiver among them, on these hosts."""
        rooms = ("witness", "archiver")
        return {each.name for each in self.holdings if each.room in rooms and each.host in hosts}


def look(org: Path, trust: Trust, who: str, mine: Path) -> Installation:
    """Look at an organisation from the host that ``org`` lies on.

    Args:
        org: its folder.
        trust: the trust file in force.
        who: the person who looks.
        mine: their own key.

    Raises:
        MisconfiguredError: a key here cannot be read.
    """
    # Whose key cannot be read (moved out; or its mode is wrong, which another look tells) has none.
    here = {vkey: folder for folder, vkey in key_folders(org).items()} | _door_keys(org)
    found = [_of(VerifierKeyAt("ledger", "", log.vkey), here, "") for log in trust.tlog.logs[:1]]
    for each in trust.tlog.witnesses:
        room = "archiver" if each.name == trust.archiver else "witness"
        found.append(_of(VerifierKeyAt(room, each.name, each.vkey), here, each.url or ""))
    for key, role in trust.submitters.items():
        found.append(_of(VerifierKeyAt(role.kind, role.name, key), here, ""))
    found += _people(org, trust, who, mine)
    archiver = next(each for each in trust.tlog.witnesses if each.name == trust.archiver)
    return Installation(trust, tuple(found), _archive(archiver, here))


def _door_keys(org: Path) -> dict[VerifierKey, Path]:
    """Return the keys by which brokers here speak while the ledger is away, with their folders."""
    found = {}
    for path in org.glob(f"*/{DOOR_KEY}"):
        with contextlib.suppress(MisconfiguredError):
            found[keeping_of(path.parent).verifier(DOOR_KEY)] = path.parent
    return found


@dataclass(frozen=True)
class VerifierKeyAt:
    """A public key of the trust file, with its place there."""

    room: str
    name: str
    vkey: VerifierKey


def _of(wanted: VerifierKeyAt, here: dict[VerifierKey, Path], url: str) -> Holding:
    folder = here.get(wanted.vkey)
    if folder is not None:
        return Holding(wanted.room, wanted.name, HERE, _owner(folder), str(folder))
    if url:
        return Holding(wanted.room, wanted.name, _host(url), "", url.partition("#")[0])
    return Holding(wanted.room, wanted.name, UNSEEN)


def _people(org: Path, trust: Trust, who: str, mine: Path) -> Iterator[Holding]:
    files = {path.stem: path for path in (org / "keys" / "maintainers").glob("*.pub")}
    for name in trust.maintainers:
        private = files[name].with_suffix("") if name in files else None
        if private is not None and private.is_file():
            yield Holding("maintainer", name, HERE, _owner(private), str(private))
        elif name == who and _readable(mine):
            yield Holding("maintainer", name, HERE, _owner(mine), str(mine))
        else:
            yield Holding("maintainer", name, UNSEEN)


def _readable(mine: Path) -> bool:
    """Say whether who owns this host owns the key too: a file without hardware behind it."""
    try:
        key = ssh_keygen.read_key(mine)
    except BreakglassError:
        return False
    return not key.hardware and mine.suffix != ".pub" and mine.is_file()


def _archive(line: Witness, here: dict[VerifierKey, Path]) -> Archive:
    folder = here.get(line.vkey)
    if folder is not None:
        try:
            settings = read_settings(folder, ArchiverSettings)
        except MisconfiguredError:
            return Archive(HERE, str(folder), locked=False)
        told = _asked(folder)
        where = settings.archive(folder)
        return _described(HERE, where, told)
    if line.url is None:
        return Archive(UNSEEN, "", locked=False)
    told = _asked(line.url)
    return _described(_host(line.url), str(told.get("archive", "")), told)


def _described(host: str, where: str, told: dict[str, Any]) -> Archive:
    outcome, looked = str(told.get("outcome", "unknown")), str(told.get("at", ""))
    locked = where.startswith("s3://") and outcome == "held"
    return Archive(host, where, locked, outcome, looked)


def _asked(where: str | Path) -> dict[str, Any]:
    try:
        with Peer(where, name="archiver", within=_WITHIN) as archiver:
            return archiver.get("/doctor").json()
    except BreakglassError:
        return {}


def _host(url: str) -> str:
    host = urlsplit(url).hostname or UNSEEN
    try:
        return HERE if ipaddress.ip_address(host).is_loopback else host
    except ValueError:
        return host


def _owner(path: Path) -> str:
    uid = path.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
