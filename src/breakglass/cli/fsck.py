"""``breakglass ledger fsck``: examine a ledger's own journal, and mend what is derived."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from breakglass.cli import speaking
from breakglass.errors import RefusedError

EXAMPLE = """\
\b
Example:
  breakglass ledger fsck org/ledger
  breakglass ledger fsck org/ledger --mend
"""


@click.command(epilog=EXAMPLE)
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--mend", is_flag=True, help="Write tiles and indices anew; stop the ledger first.")
@speaking.says_json
def fsck(folder: Path, mend: bool, as_json: bool) -> None:
    """Compare everything in a ledger's journal with everything else.

    Tiles and indices follow from the entries and can be mended. Entries and heads are history: if
    one is wrong nothing is touched, and the way out is a copy or the archive.
    """
    from breakglass.ledger.fsck import check_folder

    progress = _show if sys.stderr.isatty() and not as_json else _silent
    found = check_folder(folder, mending=mend, progress=progress)
    if as_json:
        told = [
            {"name": each.name, "what": each.what, "history": each.history}
            for each in found.findings
        ]
        speaking.tell_json(
            {"size": found.size, "findings": told, "more": found.more, "mended": mend}
        )
    else:
        rows = [("wrong" if each.history else "derived", each.what) for each in found.findings]
        if found.more:
            rows.append(("", f"and {found.more} more like these"))
        what = "mended" if mend and found.derived else "examined"
        speaking.tell_rows([*rows, (what, f"{found.size} entries")])
    if not found.sound:
        raise RefusedError(
            "the journal's history is damaged; nothing was touched",
            name="journal_damaged",
            hint="restore a copy, or rebuild from the archive; do not start this ledger",
        )
    if found.derived and not mend:
        speaking.talk(f"next: stop the ledger, and: breakglass ledger fsck {folder} --mend")


def _show(done: int, of: int) -> None:
    click.echo(f"\r{done}/{of}", nl=done == of, err=True)


def _silent(done: int, of: int) -> None:
    """Say nothing."""
