"""The holder's signature that binds a token to one door and one run.

Source: docs/spec/token.md, «presentation».
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from breakglass.canonical import canonical, parse_lines, utf8
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.records.encoding.text_types import Digest, LogName, Pattern, Run
from breakglass.strict_json import read, written

HEADER = "breakglass.dev/presentation/v1"
BYTES_AT_MOST = 2048

Door = Annotated[
    str, Pattern("gate:NAME or minter:NAME", r"(gate|minter):[a-z0-9][a-z0-9._-]{0,62}")
]


@dataclass(frozen=True)
class Presentation:
    """Says to whom a token is shown, and for which run of that gate or minter."""

    log: LogName
    statement: Digest
    to: Door
    run: Run
    at: datetime


def presentation_text(presentation: Presentation) -> str:
    """Write a presentation as the exact text that the holder's key signs.

    Raises:
        MalformedError: nobody would read it.
    """
    return f"{HEADER}\n{canonical(written(presentation, 'presentation'))}\n"


def parse_presentation(text: str) -> Presentation:
    """Read a presentation.

    Raises:
        MalformedError: not the form of docs/spec/token.md.
    """
    if len(utf8(text)) > BYTES_AT_MOST:
        raise MalformedError(
            f"presentation: more than {BYTES_AT_MOST} bytes", name=ErrorName.TOO_LARGE
        )
    return read(Presentation, parse_lines(text, HEADER, "presentation"), "presentation")
