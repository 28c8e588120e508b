"""``breakglass up``: every process of an embedded organisation, until you stop it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.cli import output

if TYPE_CHECKING:
    from breakglass.embedded.supervisor import Started

EXAMPLE = """\
\b
Example:
  breakglass up --org org/
"""


@click.command(epilog=EXAMPLE)
@click.option(
    "--org",
    envvar="BREAKGLASS_ORG",
    default=".",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The organisation's folder.  [default: here]",
)
@output.says_json
def up(org: Path, as_json: bool) -> None:
    """Start every process of the organisation and stay; Ctrl-C stops them all."""
    from breakglass.cli.reading_progress import ReadingProgress
    from breakglass.embedded import up as embedded

    progress = ReadingProgress()

    def told(started: Started) -> None:
        progress.clear()
        took = f"{started.took.total_seconds():.1f} s"
        if as_json:
            line = {"process": started.name, "pid": started.pid, "address": started.address}
            click.echo(json.dumps(line))
        else:
            click.echo(f"{started.name:<12} {started.address:<24} pid {started.pid:<8} {took:>6}")

    with embedded.running(org, told=told, progress=progress.show) as running:
        version = embedded.activate_once(running)
        if as_json:
            click.echo(json.dumps({"ready": True, "policy": version}))
        else:
            click.echo(f"{'ready':<12} policy {version} is in force")
            output.talk("Ctrl-C stops everything; in another terminal: breakglass status")
        embedded.stay(running, output.talk)
    output.talk("stopped")
