"""Which ``client.toml`` files a person allowed: path and SHA-256 of each, the last used at the end.

A file that is merely found proves nothing: what came with a clone or an archive belongs to the
user too. So it counts once they typed ``breakglass use``, and until it changes.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from breakglass.errors import MisconfiguredError
from breakglass.process.own_path import check_own

_NAME_THE_ORGANISATION = "name the organisation each time: --org PATH, or BREAKGLASS_ORG"
_LINE = re.compile(rb"([0-9a-f]{64})  (/[^\n]*)\n")


def config_folder() -> Path:
    """Return ``$XDG_CONFIG_HOME/breakglass``, else ``~/.config/breakglass``; it may not exist.

    Raises:
        MisconfiguredError: there is no home folder. A relative one would be found anywhere.
    """
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # the XDG specification: a relative path is ignored
        home = os.path.expanduser("~") if os.environ.get("HOME", "~") else ""
        base = os.path.join(home, ".config")
    if not os.path.isabs(base):
        raise MisconfiguredError(
            "there is no home folder: HOME is not set to one", hint=_NAME_THE_ORGANISATION
        )
    return Path(base) / "breakglass"


def placed(file: Path) -> Path:
    """Return the one path by which ``file`` is remembered.

    Links to its folder are followed; a link in its own place is not, because paths in it are
    relative to where it lies: a link to an allowed file is another file.
    """
    return file.absolute().parent.resolve() / file.name


def digest(data: bytes) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def used_files() -> dict[Path, str]:
    """Return what was allowed, path and digest, the last used at the end.

    Raises:
        MisconfiguredError: no home folder, or the list cannot be read or written by others.
    """
    path = _list()
    try:
        check_own(path)
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise MisconfiguredError(
            f"{str(path)!r} cannot be read: {error.strerror}", hint=_NAME_THE_ORGANISATION
        ) from error
    found = {Path(os.fsdecode(name)): each.decode() for each, name in _LINE.findall(data)}
    if _encoded(found) != data:
        raise MisconfiguredError(
            f"{str(path)!r} is not a list of SHA-256 and path, one a line",
            hint="remove it, then allow each folder again: breakglass use FOLDER",
        )
    return found


def remember(file: Path, data: bytes) -> None:
    """Allow ``file`` while it holds these bytes, as the last used.

    Of two calls at once one may be lost: that file is then named and not used.

    Raises:
        MisconfiguredError: the list cannot be read or written; nothing was remembered.
    """
    place = placed(file)
    if "\n" in str(place):
        raise MisconfiguredError(f"{str(place)!r} cannot be remembered: a line break in its name")
    kept = used_files()
    kept.pop(place, None)
    _write({**kept, place: digest(data)})


def forget(file: Path) -> bool:
    """Take ``file`` back; returns whether it was allowed.

    Raises:
        MisconfiguredError: the list cannot be read or written; nothing has changed.
    """
    kept = used_files()
    if kept.pop(placed(file), None) is None:
        return False
    _write(kept)
    return True


def _list() -> Path:
    return config_folder() / "used"


def _write(files: dict[Path, str]) -> None:
    from breakglass.process.folder import make_folder, write_whole

    path = _list()
    try:
        make_folder(path.parent)
        write_whole(path, _encoded(files))
    except OSError as error:
        raise MisconfiguredError(
            f"{str(path)!r} cannot be written: {error.strerror}; nothing was remembered",
            hint=_NAME_THE_ORGANISATION,
        ) from error


def _encoded(files: dict[Path, str]) -> bytes:
    return b"".join(b"%s  %s\n" % (each.encode(), os.fsencode(p)) for p, each in files.items())
