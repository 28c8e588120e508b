"""A process folder on disk: one writer, files that are whole or absent."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError

LOCK = "lock"
SETTINGS = "settings.toml"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the one-writer lock of a process folder; the kernel lets go if we die.

    Raises:
        MisconfiguredError: another process holds it, or the folder is not there.
    """
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MisconfiguredError(f"{str(folder)!r} cannot be used: {error}; not started") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            raise MisconfiguredError(
                f"{str(folder)!r} is in use by process {holder or 'unknown'}; not started",
                name=ErrorName.FOLDER_IN_USE,
                hint="one process per folder; stop the other one first",
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(lock)


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace the file ``path`` so that readers and crashes see the old bytes or the new ones.

    When this returns the bytes are on disk under that name.

    Raises:
        OSError: nothing was replaced, or it was and the directory could not be synced.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_synced(temporary, data, mode)
        # A crash before the rename leaves the old file and a temporary one with a dot.
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def write_synced(path: Path, data: bytes | Iterator[bytes], mode: int = 0o600) -> None:
    """Make the new file ``path`` and wait until its bytes (not yet its name) are on disk.

    ``data`` may come in parts, which never lie in memory all at once. Who is root gives the file
    to the owner of the folder.

    Raises:
        OSError: it already exists, or could not be written; it may be there in part.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.fchmod(file, mode)  # whatever the umask: neighbours of other users read an ``address``
        _give_to_owner(file, path.parent)
        for part in (data,) if isinstance(data, bytes) else data:
            left = memoryview(part)
            while left:
                left = left[os.write(file, left) :]
        os.fsync(file)
    finally:
        os.close(file)


def _give_to_owner(file: int, folder: Path) -> None:
    """Give what root writes into a process's folder to the process: it could not read it else."""
    if os.geteuid() == 0:
        owner = os.stat(folder)
        if owner.st_uid:
            os.fchown(file, owner.st_uid, owner.st_gid)


def sync_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Make ``folder`` and what is missing above it, each name on disk when this returns."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode)
    sync_folder(folder.parent)
