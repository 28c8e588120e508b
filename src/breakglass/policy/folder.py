"""The one place in this room that touches a disk: a bundle's folder, read into memory."""

from __future__ import annotations

from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.policy.bundle import CASES_FILE, FILES_AT_MOST, MAIN_FILE, PACKED_BYTES_AT_MOST


def read_bundle(folder: Path | str) -> dict[str, bytes]:
    """Read ``breakglass.yaml``, ``cases.yaml`` and each ``*.cedar`` that stands in ``folder``.

    Other files (a README, ``.git``) are no part of the policy: they are neither read nor signed.

    Raises:
        MalformedError: no such folder or main file, a file that is no plain file, or too much.
    """
    root = Path(folder)
    try:
        names = sorted(
            path.name
            for path in root.iterdir()
            if path.name in {MAIN_FILE, CASES_FILE} or path.suffix == ".cedar"
        )
        if MAIN_FILE not in names:
            raise MalformedError(
                f"{root}: expected a policy bundle with '{MAIN_FILE}', got none",
                name=ErrorName.NO_MAIN_FILE,
                hint="start one with: breakglass init FOLDER",
            )
        if len(names) > FILES_AT_MOST:
            raise MalformedError(
                f"{root}: expected {FILES_AT_MOST} files at most, got {len(names)}"
            )
        return {name: _read(root / name) for name in names}
    except OSError as error:
        raise MalformedError(
            f"{root}: the bundle cannot be read: {error.strerror or error}",
            name=ErrorName.UNREADABLE,
        ) from error


def _read(path: Path) -> bytes:
    # A link could point out of the reviewed folder, so what is signed must stand in it.
    if path.is_symlink() or not path.is_file():
        raise MalformedError(f"{path}: expected a plain file", name=ErrorName.UNREADABLE)
    with path.open("rb") as file:
        content = file.read(PACKED_BYTES_AT_MOST + 1)
    if len(content) > PACKED_BYTES_AT_MOST:
        raise MalformedError(f"{path}: expected {PACKED_BYTES_AT_MOST} bytes at most")
    return content
