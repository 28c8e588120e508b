"""Copies of the trust file that follow the ledger by hand: a client's, and those of gates."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError
from breakglass.operate.signed_file import read_note
from breakglass.process.folder import write_whole
from breakglass.records.trust import Trust, accept_trust
from breakglass.records.trust_handover import check_carried
from breakglass.tlog.note import Note


@dataclass(frozen=True)
class Brought:
    """Where a client's copy stands now; ``behind`` is the newest version that it cannot keep."""

    before: int
    version: int
    behind: int


def follow(before: Trust, notes: Iterable[Note]) -> list[tuple[Note, Trust]]:
    """Return the versions that lead on from ``before``, each signed by the one before it.

    Whatever else a ledger holds under that kind is passed over, as verifiers pass it over.

    Raises:
        UnknownKindsError: this software does not know the kinds that one puts in force.
    """
    found, standing = [], before
    for note in notes:
        try:
            trust = accept_trust(note, standing)
        except (UnprovenError, MalformedError):
            continue
        if trust is not standing:
            found.append((note, trust))
            standing = trust
    return found


def bring_client(file: Path, notes: Iterable[Note]) -> Brought:
    """Bring a client's copy to the newest version that can be read again from a file alone.

    A version that its own maintainers did not sign is walked over: kept, it would shut every
    command out.

    Raises:
        UnknownKindsError: see ``follow``.
    """
    before = accept_trust(read_note(file), None)
    version = behind = before.version
    for note, trust in follow(before, notes):
        behind = trust.version
        with contextlib.suppress(RefusedError):
            check_carried(note, trust)
            write_whole(file, note.encoded(), 0o600)
            version = trust.version
    return Brought(before.version, version, behind)


def bring_gate(folder: Path, notes: Iterable[Note]) -> None:
    """Bring a gate's folder to the newest version, one after the other."""
    for note, _ in follow(accept_trust(read_note(folder / "trust"), None), notes):
        hand_to_gate(folder, note)


def gates_here(org: Path) -> list[Path]:
    """Return the folders of gates that lie in an organisation's folder."""
    return [path.parent for path in sorted((org / "gates").glob("*/trust"))]


def hand_to_gate(folder: Path, note: Note) -> None:
    """Put a version of the trust file into a gate's folder; versions come in turn.

    A gate takes what lies there when it is next run, and no version can be left out. So the one
    that would be overwritten is taken in its stead, by the same rule.
    """
    kept, file = folder / "data" / "trust.accepted", folder / "trust"
    # What does not follow from it, or cannot be read, has shut that gate already.
    with contextlib.suppress(BreakglassError, OSError):
        if kept.exists():
            standing = Note.parse(file.read_bytes())
            accept_trust(standing, accept_trust(Note.parse(kept.read_bytes()), None))
            write_whole(kept, standing.encoded(), 0o600)
    write_whole(file, note.encoded(), 0o600)
