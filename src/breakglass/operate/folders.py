"""The folder of each process: its settings, its key, its copy of the trust file; nobody else's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from breakglass.operate.plan import Keys, Plan
from breakglass.tlog.note import SignerKey

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Folder:
    """One process folder to write. ``name`` is relative to the organisation's folder."""

    name: str
    key: SignerKey
    settings: str
    files: Files


def process_folders(plan: Plan, keys: Keys, genesis: bytes, trust: bytes) -> Iterator[Folder]:
    """Yield the folder of every process and gate of the organisation."""
    yield _ledger(keys)
    log = f"{keys.ledger.verifier}\n".encode()
    for name, key in keys.witnesses.items():
        yield Folder(name, key, "# A witness sees heads only, never records.\n", {"logs": log})
    yield _archiver(keys)
    yield _broker(plan, keys, genesis, trust)
    for name, key in keys.minters.items():
        yield _minter(plan, name, key, trust)
    yield _monitor(plan, keys, trust)
    for name, key in keys.gates.items():
        settings = gate_settings(name, plan.log, plan.gates[name], "../../ledger/address")
        yield Folder(f"gates/{name}", key, settings, {"trust": trust})


def gate_settings(name: str, log: str, glasses: tuple[str, ...], ledger: str) -> str:
    """Write the settings of a gate."""
    return (
        f'gate = "{name}"\nlog = "{log}"\nledger = "{ledger}"\n'
        f"glasses = [{', '.join(_quoted(each) for each in glasses)}]\n"
    )


def submitter_line(vkey: str, role: str) -> str:
    """Write what lets a party append; a gate's records are small, and carry nothing."""
    small = " note-bytes=2048 attachments=no" if role.startswith("gate:") else ""
    return f"{vkey} {role}{small}\n"


def write_folder(org: Path, folder: Folder) -> None:
    """Write one process folder: 0700, its key 0600."""
    place = org / folder.name
    place.mkdir(mode=0o700, parents=True)
    (place / "data").mkdir(mode=0o700)
    _write(place / "settings.toml", folder.settings.encode())
    _write(place / "key", f"{folder.key.encoded()}\n".encode())
    for name, data in folder.files.items():
        (place / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(place / name, data)


def _ledger(keys: Keys) -> Folder:
    cosigners = [*keys.witnesses, "archiver"]
    neighbours = "".join(f'{name} = "../{name}/address"\n' for name in cosigners)
    settings = f'archiver = "archiver"\n\n[neighbours]\n{neighbours}'
    submitters = "".join(submitter_line(str(key.verifier), role) for role, key in keys.submitters())
    submitters += submitter_line(str(keys.reader.verifier), "reader")
    policy = "\n".join([*keys.tlog_policy(), ""])
    files = {"policy": policy.encode(), "submitters": submitters.encode()}
    return Folder("ledger", keys.ledger, settings, files)


def _archiver(keys: Keys) -> Folder:
    log = f"{keys.ledger.verifier}\n".encode()
    return Folder("archiver", keys.archiver, 'ledger = "../ledger/address"\n', {"logs": log})


def _broker(plan: Plan, keys: Keys, genesis: bytes, trust: bytes) -> Folder:
    minters = "".join(f'{name} = "../minter-{name}/address"\n' for name in plan.minters)
    settings = (
        f'log = "{plan.log}"\nledger = "../ledger/address"\nmonitor = "../monitor/address"\n'
        f'trust = "trust"\n\n[minters]\n{minters}'
    )
    files = {"trust": trust, "bootstrap/genesis": genesis, "bootstrap/trust": trust}
    if keys.door is not None:
        files["door-key"] = f"{keys.door.encoded()}\n".encode()
    return Folder("broker", keys.broker, settings, files)


def _minter(plan: Plan, name: str, key: SignerKey, trust: bytes) -> Folder:
    settings = (
        f'name = "{name}"\nlog = "{plan.log}"\nledger = "../ledger/address"\ntrust = "trust"\n'
        f"{plan.minters[name]}"
    )
    return Folder(f"minter-{name}", key, settings, {"trust": trust})


def _monitor(plan: Plan, keys: Keys, trust: bytes) -> Folder:
    cosigners = [*keys.witnesses, "archiver"]
    witnesses = "".join(f'{name} = "../{name}/address"\n' for name in cosigners)
    settings = (
        f'log = "{plan.log}"\nledger = "../ledger/address"\n\n'
        f"[witnesses]\n{witnesses}\n{plan.channels}"
    )
    return Folder("monitor", keys.monitor, settings, {"trust": trust})


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def _quoted(text: str) -> str:
    return f'"{text}"'
