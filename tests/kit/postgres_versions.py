"""The versions of PostgreSQL that are run for real, where their programs are installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from breakglass.demo.server_place import find_programs


def programs_of(major: int) -> Path | None:
    """Return the folder with ``initdb`` and ``postgres`` of that version, if it is here.

    18 and 16 come with wheels of the development group; 15 is Debian 12's own (`make system`).
    """
    if major == 18:
        return find_programs()
    if major == 16:
        found = importlib.util.find_spec("pgserver")
        wheel = Path(found.origin or "").parent / "pginstall" / "bin" if found else Path()
        return wheel if (wheel / "initdb").exists() else None
    system = Path(f"/usr/lib/postgresql/{major}/bin")
    return system if (system / "initdb").exists() else None
