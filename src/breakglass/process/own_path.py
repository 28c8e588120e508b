"""A file that nobody else can replace: ssh's rule for keys."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from breakglass.errors import MisconfiguredError

_LINKS_AT_MOST = 40  # as Linux follows, path_resolution(7)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_COPY = "copy it into a folder of your own (chmod go-w), and name that: --org PATH"


def check_own(path: Path, *, sticky: bool = False, way_out: str = _COPY) -> None:
    """Check that the user alone, or root, can write the file ``path`` and replace it.

    The file, its folder and every folder and link on the way belong to the user or to root, and
    no group and nobody else writes them. A folder above the file's own may be open to all if it
    is sticky, as ``/tmp`` is: what lies there is moved by its owner only.

    Args:
        path: what is used; it must be there.
        sticky: the file's own folder may be open and sticky too, as a mounted secret's is: for
            who knows the names in it and misses what is not there.
        way_out: the hint where something belongs to somebody else.

    Raises:
        MisconfiguredError: it is not so; the hint is the command that mends it.
        OSError: something on the way is not there or cannot be looked at.

    Source: ``safe_path`` of OpenSSH, without its stop at the home folder.
    """
    own = path.absolute().parent.resolve()
    for place, found in _way(path):
        if found.st_uid not in {0, os.geteuid()}:
            raise MisconfiguredError(
                f"{str(place)!r} belongs to user {found.st_uid}, not to you: {str(path)!r} is not"
                " used",
                hint=way_out,
            )
        kept = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        kept = kept and (sticky or place != own)
        if found.st_mode & _OTHERS_WRITE and not stat.S_ISLNK(found.st_mode) and not kept:
            raise MisconfiguredError(
                f"{str(place)!r} can be written by others: {str(path)!r} is not used",
                hint=f"chmod go-w {typed(place)}",
            )


def typed(path: Path) -> str:
    r"""Return a path as it is typed in a shell; one that would write on the screen is escaped.

    >>> typed(Path("org")), typed(Path("an org")), typed(Path("org\x1b[2J"))
    ('org', "'an org'", "'org\\x1b[2J'")
    """
    return shlex.quote(str(path)) if str(path).isprintable() else repr(str(path))


def _way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each folder, link and file that the kernel passes on the way to ``path``."""
    left = [*reversed(path.absolute().parts)]
    place, links = Path("/"), 0
    while left:
        part = left.pop()
        if part == "..":
            place = place.parent
            continue
        place /= part  # "/" begins again at the root, as a link to an absolute path does
        found = place.lstat()
        yield place, found
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _LINKS_AT_MOST:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            left += reversed(Path(os.readlink(place)).parts)
            place = place.parent
