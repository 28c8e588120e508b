"""A new gate: its folder, and its key in the trust file's next version."""

from __future__ import annotations

import os
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, RefusedError
from breakglass.operate.folders import Folder, gate_settings, let_in, write_folder
from breakglass.operate.maintainer_signing import Maintainer, sign_text
from breakglass.person import ssh_keygen
from breakglass.person.ssh_keygen import Say
from breakglass.records.signing.signature import TRUST_NAMESPACE
from breakglass.records.trust import Trust, accept_trust
from breakglass.tlog.note import Note, SignerKey


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
        raise MisconfiguredError(f"trust file {str(trust)!r} cannot be read: {error}") from error
    organisation = log.partition("/")[0]
    key = SignerKey.generate(f"gate-{name}.{organisation}")
    where = ledger if isinstance(ledger, str) else os.path.relpath(ledger, folder)
    settings = gate_settings(name, log, glasses, where)
    if folder.exists():
        folder.rmdir()
    write_folder(folder.parent, Folder(folder.name, key, settings, {"trust": note}))
    return f"submitter gate:{name} {key.verifier}"


def sign_gate_in(
    org: Path, who: str, mine: Path, line: str, say: Say | None
) -> tuple[str, list[str]]:
    """Sign the trust file's next version, with ``line`` in it, by the maintainers' keys here.

    Also lets the ledger take the new submitter's records. For the embedded set-up alone: where
    one person holds the threshold of maintainers' keys, nobody guards them against that person.

    Returns:
        the signed file, and who signed.

    Raises:
        RefusedError: too few of the maintainers' keys lie here.
    """
    standing = Note.parse((org / "trust").read_bytes())
    before = accept_trust(standing, None)
    signers = local_maintainers(org, before, who, mine)
    if len(signers) < before.maintainers_needed:
        raise RefusedError(
            f"{len(signers)} of {before.maintainers_needed} maintainers' keys lie here; nothing"
            " was signed",
            name=ErrorName.TOO_FEW_MAINTAINERS,
            hint="send the line to the maintainers; each signs on their own machine",
        )
    note = sign_text(next_version(before, line), TRUST_NAMESPACE, signers, say)
    accept_trust(note, before)
    let_in(org / "ledger" / "submitters", line)
    return note.encoded().decode(), [each.name for each in signers]


def next_version(before: Trust, line: str) -> str:
    """Return the text of the next version: one higher, with one submitter more."""
    lines = before.text.splitlines()
    lines[lines.index(f"version {before.version}")] = f"version {before.version + 1}"
    last = max(at for at, each in enumerate(lines) if each.startswith("submitter "))
    return "\n".join([*lines[: last + 1], line, *lines[last + 1 :], ""])


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
