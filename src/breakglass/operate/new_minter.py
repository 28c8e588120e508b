"""A new minter: its folder, and its place in the folders of ledger and broker beside it.

What is still missing then, the line in the trust file, is for the maintainers to sign.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.operate.fixed_address import choose_ports, host_of, listen_at, ports_of
from breakglass.operate.new_gate import let_in
from breakglass.process.folder import SETTINGS, make_folder, sync_folder, write_synced, write_whole
from breakglass.process.key_store import KEY, keeping_of
from breakglass.records.kinds.standing import SURVEYOR
from breakglass.tlog.note import SignerKey

LINES = "lines"
_TABLE = re.compile(r"^\[minters\]\n(?:(?!\[).*\n)*", re.MULTILINE)


@dataclass(frozen=True)
class MinterOrder:
    """What to make.

    Attributes:
        org: the organisation's folder, with ``ledger/`` and ``broker/``.
        name: as policies call the minter.
        log: the ledger's origin.
        trust: the trust file that it begins with.
        target: the tables of its settings that tell it of its target.
        room: ``minter``, or ``surveyor`` for whoever reads there and mints nothing.
    """

    org: Path
    name: str
    log: str
    trust: bytes
    target: str
    room: str = "minter"

    @property
    def folder(self) -> Path:
        """Where it lives."""
        return self.org / f"{self.room}-{self.name}"

    @property
    def role(self) -> str:
        """What trust file and broker call it, behind ``minter:``."""
        return self.name if self.room == "minter" else f"{self.name}{SURVEYOR}"


@dataclass(frozen=True)
class NewMinter:
    """What stands; the same from every run. ``changed`` names what this run wrote."""

    folder: Path
    trust_line: str
    address: str
    changed: tuple[str, ...]


def settings_of(folder: Path) -> dict[str, object]:
    """Return the settings of a minter that was made, empty if there is none.

    Raises:
        MisconfiguredError: they cannot be read.
    """
    try:
        return tomllib.loads((folder / SETTINGS).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MisconfiguredError(f"{str(folder / SETTINGS)!r} cannot be read: {error}") from error


def make_minter(order: MinterOrder, now: datetime) -> NewMinter:
    """Make a minter, or go on where an earlier run was cut off. Typed again it changes nothing.

    Raises:
        MisconfiguredError: ``not_empty``: a minter of that name has another target, or the folder
            is something else's; ``no_ledger``: ledger or broker are not in this folder. Nothing
            was changed.
    """
    org, folder = order.org, order.folder
    for each in ("ledger", "broker"):
        if not (org / each / SETTINGS).is_file():
            raise MisconfiguredError(
                f"the {each}'s folder is not in {str(org)!r}; nothing was made",
                name=ErrorName.NO_LEDGER,
                hint="type this on the host where ledger and broker are",
            )
    changed = []
    if _is_new(order):
        _make_folder(order, now)
        changed.append(str(folder))
    line = f"submitter minter:{order.role} {keeping_of(folder).verifier()}"
    write_whole(folder / LINES, f"{line}\n".encode(), 0o644)
    # (4) The ledger takes its records; what it states is void until the trust file names its key.
    if let_in(org, line):
        changed.append("ledger/submitters")
    # (5) The broker last: it would call a minter that is not there.
    if _tell_broker(org / "broker" / SETTINGS, order):
        changed.append("broker/settings.toml")
    host, port = host_of(folder), ports_of(org).get(folder.name, 0)
    return NewMinter(folder, line, f"{host}:{port}", tuple(changed))


def _is_new(order: MinterOrder) -> bool:
    folder = order.folder
    found = settings_of(folder)
    if not found:
        ours = {KEY, "trust", "data", LINES, "certificate.pem", "certificate.key"}
        there = [each.name for each in folder.iterdir()] if folder.exists() else []
        if any(each not in ours and not each.startswith(".") for each in there):
            raise _other(folder)
        return True
    if not _holds(found, tomllib.loads(order.target)):
        raise _other(folder)
    return False


def _holds(found: object, wanted: object) -> bool:
    """Say whether settings say what is wanted; what was written there beside it may stay."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(_holds(found.get(key), value) for key, value in wanted.items())
    return found == wanted


def _other(folder: Path) -> MisconfiguredError:
    return MisconfiguredError(
        f"{str(folder)!r} holds something else, or a minter with another target; nothing was"
        " changed",
        name=ErrorName.NOT_EMPTY,
        hint=f"change the target in {folder / SETTINGS}, or choose another name",
    )


def _make_folder(order: MinterOrder, now: datetime) -> None:
    folder, org = order.folder, order.org
    make_folder(folder)
    make_folder(folder / "data")
    # (1) The key. A crash behind it leaves a key that the next run takes up.
    if not (folder / KEY).exists():
        key = SignerKey.generate(f"{order.room}-{order.name}.{order.log.partition('/')[0]}")
        draft = folder / f".{KEY}"
        draft.unlink(missing_ok=True)
        write_synced(draft, f"{key.encoded()}\n".encode())
        os.rename(draft, folder / KEY)
        sync_folder(folder)
    write_whole(folder / "trust", order.trust)
    # (2) An address beside the others'. The settings are whole before they have their name.
    host, taken = host_of(org / "broker"), ports_of(org)
    base = max(taken.values(), default=0)
    free = choose_ports(host, [folder.name], taken.values(), _next_free(base, taken))
    draft = folder / ".draft"
    make_folder(draft)
    write_whole(draft / SETTINGS, _settings(order).encode())
    listen_at(draft, host, free[folder.name], now)
    for name in ("certificate.key", "certificate.pem"):
        if (draft / name).exists():
            os.replace(draft / name, folder / name)
    # (3) The settings last: a folder without them is one that nobody finished.
    os.replace(draft / SETTINGS, folder / SETTINGS)
    draft.rmdir()
    sync_folder(folder)


def _next_free(highest: int, taken: dict[str, int]) -> int:
    return highest + 1 if taken else 0


def _settings(order: MinterOrder) -> str:
    ours = "name" if order.room == "minter" else "target"
    return (
        f"{ours} = {json.dumps(order.name)}\nlog = {json.dumps(order.log)}\n"
        f'ledger = "../ledger/address"\ntrust = "trust"\n{order.target}'
    )


def _tell_broker(settings: Path, order: MinterOrder) -> bool:
    # A surveyor too: who signs new kinds into force asks everybody who folds whether they know.
    text, name = settings.read_text("utf-8"), order.role
    if name in tomllib.loads(text).get("minters", {}):
        return False
    line = f"{json.dumps(name)} = {json.dumps(f'../{order.folder.name}/address')}\n"
    table = _TABLE.search(text)
    if table is None:
        changed = f"{text.rstrip()}\n\n[minters]\n{line}"
    else:
        kept = table.group(0).rstrip("\n")
        changed = f"{text[: table.start()]}{kept}\n{line}\n{text[table.end() :]}"
    tomllib.loads(changed)
    write_whole(settings, changed.encode())
    return True
