"""``breakglass doctor``: what this set-up does not give."""

from __future__ import annotations

import sys

import click

from breakglass.cli import speaking
from breakglass.cli.client import find, takes_org

EXAMPLE = """\
\b
Example:
  breakglass doctor --org org/
"""


@click.command(epilog=EXAMPLE)
@takes_org
@speaking.says_json
def doctor(org: str | None, as_json: bool) -> None:
    """Say what this set-up does not give, what is wrong with it, and the next cheapest step."""
    from breakglass.cli.stating import now
    from breakglass.embedded.doctor import Weight, examine

    client = find(org)
    found = examine(client.file.absolute().parent, client.key, now())
    if as_json:
        speaking.tell_json(
            [
                {
                    "weight": each.weight.value,
                    "name": each.name,
                    "says": each.says,
                    "step": each.step,
                }
                for each in found
            ]
        )
    else:
        for each in found:
            speaking.tell_rows([(each.weight.value, each.says)])
            if each.step:
                speaking.tell_rows([("", f"next: {each.step}")])
    if any(each.weight is Weight.WRONG for each in found):
        sys.exit(6)
