"""``breakglass ledger fsck``: examine a ledger or an archive, and mend what is derived."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.cli import output
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError

if TYPE_CHECKING:
    from breakglass.archiver import fsck as archive
    from breakglass.ledger import journal_check

EXAMPLE = """\
\b
Example:
  breakglass ledger fsck org/ledger
  breakglass ledger fsck org/ledger --mend
  breakglass ledger fsck org/archiver
"""


@click.command(epilog=EXAMPLE)
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--mend", is_flag=True, help="Write what is derived anew; stop the process first.")
@output.says_json
def fsck(folder: Path, mend: bool, as_json: bool) -> None:
    """Examine the folder of a ledger or an archiver.

    Everything is compared with everything else. Tiles and indices follow from the entries and
    can be mended; uploads that broke off are swept. Entries, heads and segments are history: if
    one is wrong nothing is touched. Attachments that are lost are named; the way out is a copy or
    the archive.
    """
    process = "archiver" if (folder / "logs").is_file() else "ledger"
    found = _examined(folder, mend, quiet=as_json or not sys.stderr.isatty())
    if as_json:
        told = [
            {"name": each.name, "what": each.what, "history": each.history}
            for each in found.findings
        ]
        output.tell_json({"size": found.size, "findings": told, "more": found.more, "mended": mend})
    else:
        rows = [(each.label, each.what) for each in found.findings]
        if found.more:
            rows.append(("", f"and {found.more} more like these"))
        what = "mended" if mend and found.derived else "examined"
        output.tell_rows([*rows, (what, f"{found.size} entries")])
    if not found.sound:
        raise RefusedError(
            "history is damaged; nothing was touched",
            name=ErrorName.JOURNAL_DAMAGED,
            hint=f"restore a copy, or rebuild from the archive; do not start this {process}",
        )
    lost = sum(each.label == "lost" for each in found.findings)
    if lost:
        raise RefusedError(
            f"{lost} attachments are lost here; entries and heads are whole",
            name=ErrorName.ATTACHMENT_LOST,
            hint="ledger and archive each have a copy: docs/reference/ledger.md",
        )
    if found.derived and not mend:
        output.talk(f"next: stop the {process}, and: breakglass ledger fsck {folder} --mend")


def _examined(folder: Path, mend: bool, quiet: bool) -> journal_check.Examined | archive.Examined:
    if (folder / "logs").is_file():  # which logs it keeps: an archiver's folder
        from breakglass.archiver.fsck import check_archive

        return check_archive(folder, mending=mend)
    from breakglass.ledger.fsck import check_folder

    return check_folder(folder, mending=mend, progress=_silent if quiet else _show)


def _show(done: int, of: int) -> None:
    click.echo(f"\r{done}/{of}", nl=done == of, err=True)


def _silent(done: int, of: int) -> None:
    """Say nothing."""
