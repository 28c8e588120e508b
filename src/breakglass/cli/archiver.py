"""``breakglass archiver doctor``: what the archive promises, and what it really keeps."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from breakglass.cli import output

_LEVELS = {"good": "OK", "limit": "WARN", "wrong": "FAIL", "unknown": "UNKNOWN"}

EXAMPLE = """\
\b
Example:
  breakglass archiver doctor
  breakglass archiver doctor /var/lib/breakglass/archiver --json
"""


@click.group(epilog=EXAMPLE)
def archiver() -> None:
    """Look at the archive."""


@archiver.command(epilog=EXAMPLE, short_help="Look at its lock, versions and policy.")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--objects-at-most", default=200_000, show_default=True, metavar="N", help="Then it says so."
)
@click.option("--after", default="", metavar="NAME", help="Go on behind this object.")
@click.option("--org", envvar="BREAKGLASS_ORG", metavar="PATH", help="If no FOLDER is given.")
@output.says_json
def doctor(
    folder: Path | None, objects_at_most: int, after: str, org: str | None, as_json: bool
) -> None:
    """Look at the archive of the archiver in FOLDER: try a delete that must be refused.

    It puts one small object, locked for a day, and tries to delete it; reads lock mode, default
    retention, versioning, policy and lifecycle; compares clocks; and goes through all names for
    second versions and delete markers. The archiver does the same daily, and the monitor has the
    result recorded. Exit code 3: something is wrong.
    """
    from breakglass.archiver.doctor import examine
    from breakglass.archiver.doctor_schedule import outcome
    from breakglass.cli.client import find
    from breakglass.clock import SystemClock, format_time
    from breakglass.errors import RefusedError

    clock = SystemClock()
    place = folder or find(org).file.absolute().parent / "archiver"
    found = list(examine(place, clock, objects_at_most=objects_at_most, after=after))
    result = outcome(found)
    if as_json:
        told = {"at": format_time(clock.now()), "outcome": result}
        output.tell_json({**told, "findings": [asdict(each) for each in found]})
    else:
        for each in found:
            output.tell_rows([(_LEVELS[each.level], f"{each.name}: {each.what}")])
            if each.hint:
                output.tell_rows([("", f"fix: {each.hint}")])
        output.tell_rows([("outcome", result)])
    if result == "failed":
        sys.exit(RefusedError.exit_code)
