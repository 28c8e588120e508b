"""Where the ``client.toml`` in use lies: named, allowed, or the user's own; never merely found."""

from __future__ import annotations

import os
from pathlib import Path

from breakglass.cli import output
from breakglass.cli.used_files import config_folder, digest, used_files
from breakglass.errors import MisconfiguredError
from breakglass.process.own_path import check_own, typed

FILE = "client.toml"


def named(org: str) -> tuple[Path, bytes]:
    """Return the file that ``org``, a folder or a file, stands for, and its bytes.

    Raises:
        MisconfiguredError: as ``contents``.
    """
    path = expanded(org)
    path = path / FILE if os.path.isdir(path) else path
    return path, contents(path)


def found() -> tuple[Path, bytes]:
    """Return the file that is in use where nobody names one, and its bytes.

    Raises:
        MisconfiguredError: there is none, it has changed since it was allowed, or as ``contents``.
    """
    allowed, own = used_files(), config_folder() / FILE
    # (1) The nearest upward that is allowed. What is not is named: it may be meant, or a trap.
    for file in _upward():
        if file in allowed:
            return file, _unchanged(file, allowed[file])
        if file != own:
            allow = f"breakglass use {typed(file.parent)}"
            output.talk(f"{str(file)!r} is not used; to allow it: {allow}")
    # (2) The last used that is still there.
    for file in reversed(allowed):
        if os.path.lexists(file):
            return file, _unchanged(file, allowed[file])
    # (3) The user's own.
    if os.path.isfile(own):
        return own, contents(own)
    raise MisconfiguredError(
        f"no {FILE!r} is in use, and there is none at {str(own)!r}",
        hint="name your organisation: --org PATH; to try one out: breakglass init org/",
    )


def contents(path: Path) -> bytes:
    """Return the bytes of a file that nobody but the user and root can write.

    Raises:
        MisconfiguredError: not there, no file, or others can write it or a folder above it.
    """
    try:
        check_own(path)
        if not os.path.isfile(path):
            raise MisconfiguredError(f"{str(path)!r} is no file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MisconfiguredError(
            f"{str(path)!r} is missing", hint="name your organisation: --org PATH"
        ) from error
    except OSError as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be read: {error.strerror}") from error


def expanded(text: str) -> Path:
    """Return the path of a text that may begin with ``~``.

    Raises:
        MisconfiguredError: it does, and there is no such home folder.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise MisconfiguredError(f"{text!r} names a home folder, and there is none") from error


def _upward() -> list[Path]:
    try:
        here = Path.cwd()
    except OSError:
        return []  # the folder was removed, and nothing is above it
    return [each / FILE for each in (here, *here.parents) if os.path.isfile(each / FILE)]


def _unchanged(file: Path, wanted: str) -> bytes:
    data = contents(file)
    if digest(data) != wanted:
        folder = file.parent if file.name == FILE else file
        raise MisconfiguredError(
            f"{str(file)!r} has changed since you allowed it; it is not used",
            hint=f"read it, then: breakglass use {typed(folder)}",
        )
    return data
