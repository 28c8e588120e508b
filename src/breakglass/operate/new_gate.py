"""A new gate: its folder, and the line of its key for the trust file's next version."""

from __future__ import annotations

import os
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, reason
from breakglass.operate.folders import Folder, gate_settings, submitter_line, write_folder
from breakglass.operate.maintainer_signing import Maintainer
from breakglass.person import ssh_keygen
from breakglass.process.folder import write_whole
from breakglass.records.trust import Trust
from breakglass.tlog.note import SignerKey


def make_gate(
    folder: Path,
    name: str,
    log: str,
    glasses: tuple[str, ...],
    ledger: str | Path,
    trust: Path,
) -> str:
    """Make the folder of a gate; returns the line that a trust file needs for its key.

    Raises:
        MisconfiguredError: the folder already exists, or the trust file cannot be read.
    """
    if folder.exists() and any(folder.iterdir()):
        raise MisconfiguredError(
            f"{str(folder)!r} is not empty; nothing was made", name=ErrorName.NOT_EMPTY
        )
    try:
        note = trust.read_bytes()
    except OSError as error:
        raise MisconfiguredError(
            f"trust file {str(trust)!r} cannot be read: {reason(error)}"
        ) from error
    organisation = log.partition("/")[0]
    key = SignerKey.generate(f"gate-{name}.{organisation}")
    where = ledger if isinstance(ledger, str) else os.path.relpath(ledger, folder)
    settings = gate_settings(name, log, glasses, where)
    if folder.exists():
        folder.rmdir()
    write_folder(folder.parent, Folder(folder.name, key, settings, {"trust": note}))
    return f"submitter gate:{name} {key.verifier}"


def local_maintainers(org: Path, trust: Trust, who: str, mine: Path) -> list[Maintainer]:
    """Return the maintainers whose keys lie in this organisation's folder, and the person's own."""
    keys = [(who, mine)]
    keys += [(path.stem, path) for path in sorted((org / "keys" / "maintainers").glob("*"))]
    found: dict[str, Maintainer] = {}
    for name, path in keys:
        if name not in trust.maintainers or name in found or not path.exists():
            continue
        key = ssh_keygen.read_key(path)
        if key.public in trust.maintainers[name]:
            found[name] = Maintainer(name, key)
    return list(found.values())


def let_in(org: Path, line: str) -> bool:
    """Let the ledger of ``org`` take the records of a new submitter, if that ledger is here.

    Before the trust file that names it: a record that came between would be refused. Returns
    whether that was new.
    """
    submitters = org / "ledger" / "submitters"
    if not submitters.exists():
        return False
    _, role, vkey = line.split(" ")
    text = submitters.read_text("utf-8")
    if vkey in text.split():
        return False
    write_whole(submitters, f"{text}{submitter_line(vkey, role)}".encode())
    return True
