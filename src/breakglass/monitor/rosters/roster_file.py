"""An on-call list as a file in the monitor's folder ``rosters``, written by whoever plans shifts.

One JSON object, these two fields and no other: ``{"people": ["mira", "sam@shop.example"],
"taken_at": "2026-11-30T18:00:00.000Z"}``. Source: docs/reference/policy.md, «Rosters».
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from breakglass.errors import MalformedError, UnavailableError, reason
from breakglass.monitor.rosters.on_call import PEOPLE_AT_MOST, OnCall
from breakglass.records.encoding.text_types import Run
from breakglass.strict_json import Many, read_body

_BYTES_AT_MOST = 256 * 1024


@dataclass(frozen=True)
class _Listed:
    people: Annotated[tuple[Run, ...], Many(PEOPLE_AT_MOST)]
    taken_at: datetime


class RosterFiles:
    """See the module; a file is replaced as a whole (write another, rename it)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, which: str) -> OnCall:
        """Read the file called ``which``. See ``RosterSource``.

        Raises:
            UnavailableError: it is not there, or cannot be read.
            MalformedError: it is not of the form.
        """
        path = self._folder / which
        try:
            with path.open("rb") as file:
                data = file.read(_BYTES_AT_MOST + 1)
        except OSError as error:
            raise UnavailableError(f"{str(path)!r} cannot be read: {reason(error)}") from error
        if len(data) > _BYTES_AT_MOST:
            raise MalformedError(f"{str(path)!r} has more than {_BYTES_AT_MOST} bytes")
        try:
            listed = read_body(_Listed, data)
        except MalformedError as error:
            raise MalformedError(f"{str(path)!r}: {error.message}", name=error.name) from error
        return OnCall(listed.people, listed.taken_at)
