"""Where a neighbour is: one address, or several of which one answers.

Several stand in one text, ``http://10.0.0.7:8443, http://10.0.1.7:8443``, or in a file, one a line:
an address, or the path of a process folder, from where the file is.
"""

from __future__ import annotations

from pathlib import Path

HTTP = ("http://", "https://")


def read_places(where: str | Path) -> list[str | Path]:
    """Return what ``where`` stands for: one place, or several, each for ``read_address``.

    Raises:
        OSError: no such file; the process has not started yet.
    """
    if isinstance(where, str) and where.startswith(HTTP):
        return [each.strip() for each in where.split(",")]
    path = Path(where)
    if path.is_dir():
        path = path / "address"
    lines = path.read_text("ascii").split()
    return [line if line.startswith(HTTP) else path.parent / line for line in lines]


def read_address(place: str | Path) -> str:
    """Return the address that one place stands for: itself, or what its ``address`` file holds.

    Raises:
        OSError: no such file; the process has not started yet.
    """
    if isinstance(place, str) and place.startswith(HTTP):
        return place
    path = Path(place)
    return (path / "address" if path.is_dir() else path).read_text("ascii").strip()
