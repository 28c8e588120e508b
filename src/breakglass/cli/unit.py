"""``breakglass unit``: a hardened systemd unit for each process."""

from __future__ import annotations

from pathlib import Path

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org

EXAMPLE = """\
\b
Example, as root:
  breakglass unit --users > users.sh
  breakglass unit ledger > /etc/systemd/system/breakglass-ledger.service
"""


@click.command(epilog=EXAMPLE, short_help="Print a hardened systemd unit for a process.")
@click.argument("process", required=False, metavar="[PROCESS]")
@click.option("--users", is_flag=True, help="Print what makes a user for each, and gives folders.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Of a process that is alone on its host.  [default: PROCESS in the organisation's]",
)
@takes_org
@output.says_json
def unit(
    process: str | None, users: bool, folder: Path | None, org: str | None, as_json: bool
) -> None:
    """Print a systemd unit for PROCESS, with a user of its own; without PROCESS, their names.

    It may write into its folder and nowhere else, and gains no rights. Nothing is installed:
    what is printed is yours to read first.
    """
    from breakglass.operate.unit_file import (
        processes_in,
        serves_alone,
        unit_of,
        unit_text,
        users_script,
    )

    place = find(org).file.absolute().parent if folder is None else folder
    names = processes_in(place) if folder is None else [folder.absolute().name]
    places = {name: place / name if folder is None else place for name in names}
    if users:
        script = users_script([unit_of(each) for each in places.values()])
        _tell({"script": script}, script, as_json)
        return
    if process is None and folder is None:
        _tell({"processes": names}, "".join(f"{each}\n" for each in names), as_json)
        return
    found = unit_of(places.get(process or names[0], place / (process or "")))
    if not serves_alone(found.folder):
        output.talk(
            f"{found.process} takes a new port at each start; add the table [serving] with host"
            " and port to its settings"
        )
    _tell({"name": f"{found.name}.service", "unit": unit_text(found)}, unit_text(found), as_json)


def _tell(value: dict[str, object], text: str, as_json: bool) -> None:
    if as_json:
        output.tell_json(value)
    else:
        click.echo(text, nl=False)
