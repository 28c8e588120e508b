"""A witness or archiver that has moved to another host leaves a folder without a key here."""

from __future__ import annotations

import contextlib
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.process.folder import SETTINGS
from breakglass.process.key_store import KEY, NEXT, Form, keeping_of
from breakglass.tlog.note import VerifierKey


def moved_out(folder: Path) -> bool:
    """Say whether the process of ``folder`` has its place elsewhere now.

    A key that cannot be looked for (a credential of a unit) is taken to be there.
    """
    try:
        return not keeping_of(folder).stands(KEY)
    except MisconfiguredError:
        return False


def drop_key(folder: Path) -> None:
    """Delete the key of ``folder``, and one that was to take its place.

    Raises:
        MisconfiguredError: ``credential``; it is kept by systemd.
    """
    keeping = keeping_of(folder)
    if keeping.form is Form.CREDENTIAL:
        raise MisconfiguredError(
            f"the key of {str(folder)!r} is a credential of its unit, and not ours to delete",
            name=ErrorName.CREDENTIAL,
            hint="stop the unit and delete the credential",
        )
    for which in (NEXT, KEY):
        with contextlib.suppress(FileNotFoundError):
            keeping.path(which).unlink()


def key_folders(org: Path) -> dict[Path, VerifierKey]:
    """Return the folders of ``org`` that hold a key, with its public half."""
    found = {}
    for path in sorted([*org.glob(f"*/{SETTINGS}"), *org.glob(f"gates/*/{SETTINGS}")]):
        with contextlib.suppress(MisconfiguredError):
            found[path.parent] = keeping_of(path.parent).verifier()
    return found
