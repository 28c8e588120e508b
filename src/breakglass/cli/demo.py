"""``breakglass demo``: an emergency from start to end."""

from __future__ import annotations

import sys

import click

EXAMPLE = """\
\b
Example:
  breakglass demo
"""


@click.command(epilog=EXAMPLE)
@click.option("--keep", is_flag=True, help="Leave the organisation's folder there, to look around.")
def demo(keep: bool) -> None:
    """Play an emergency on a real database, attacks included, in under a minute."""
    from breakglass.demo import play

    sys.exit(play(keep=keep))
