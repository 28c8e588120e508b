"""``breakglass doctor --without X``: what was seen to work while X was not there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output

if TYPE_CHECKING:
    from breakglass.rehearsal.without import Rehearsed

LOST = ("ledger", "monitor", "archiver", "broker")
_COLUMNS = 80
_EXIT_NOT_PROVEN = 5


def tell_without(org: Path, lost: str, glass: str, as_json: bool) -> None:
    """Rehearse the loss of a party in a twin, tell of it, and end with 5 if something failed.

    Raises:
        BreakglassError: nothing was rehearsed.
    """
    from breakglass.rehearsal.without import Lost, rehearse

    found = rehearse(org, Lost(lost), glass, output.talk)
    if as_json:
        output.tell_json(_json(found))
    else:
        _tell(found)
    if not found.all_proven:
        sys.exit(_EXIT_NOT_PROVEN)


def _tell(found: Rehearsed) -> None:
    from breakglass.rehearsal.cells import WHAT

    rows = [
        (name, *(cells[each].works.value for each in WHAT)) for name, cells in found.glasses.items()
    ]
    output.tell_table(("glass", *WHAT), rows)
    click.echo("")
    said: dict[tuple[str, str, str], list[str]] = {}
    for name, cells in found.glasses.items():
        for what, cell in cells.items():
            if cell.says:
                said.setdefault((name, cell.works.value, cell.says), []).append(what)
    notes = [
        (name, f"{', '.join(what)}: {works}: {says}") for (name, works, says), what in said.items()
    ]
    output.tell_wrapped(("glass", "how"), notes, (max(5, *map(len, found.glasses)),), _COLUMNS)
    click.echo("")
    output.tell_rows([("twin", each) for each in found.differences])


def _json(found: Rehearsed) -> dict[str, Any]:
    return {
        "without": found.lost.value,
        "glasses": {
            name: {
                what: {"works": cell.works.value, "says": cell.says} for what, cell in of.items()
            }
            for name, of in found.glasses.items()
        },
        "differences": list(found.differences),
        "proven": found.all_proven,
    }
