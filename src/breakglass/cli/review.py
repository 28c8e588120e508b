"""``breakglass review``: the blameless look back that every grant opens."""

from __future__ import annotations

from typing import Any

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.cli.completed_names import GRANT

LIST_EXAMPLE = """\
\b
Example:
  breakglass review list
"""
SHOW_EXAMPLE = """\
\b
Example:
  breakglass review show g-7kq3m2x4p5ab --yaml
"""


@click.group(epilog=SHOW_EXAMPLE)
def review() -> None:
    """List and show the reviews that every grant opens.

    What a review finds is not recorded yet: write it into what 'show --yaml' prints.
    """


@review.command(name="list", epilog=LIST_EXAMPLE)
@takes_org
@output.says_json
def list_(org: str | None, as_json: bool) -> None:
    """List the open reviews, the first due first."""
    answer = find(org).ask_monitor("/reviews")
    if as_json:
        output.tell_json(answer)
        return
    found = answer["reviews"]
    if not found:
        output.talk("no review is open")
        return
    rows = [
        tuple(
            str(each.get(name, ""))[: 10 if name == "due" else None]
            for name in ("grant", "incident", "who", "glass", "due")
        )
        for each in found
    ]
    output.tell_table(("review", "incident", "who", "glass", "due"), rows)


@review.command(epilog=SHOW_EXAMPLE, short_help="Show one review, filled in from records.")
@click.argument("grant", type=GRANT)
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the review record as YAML.")
@takes_org
@output.says_json
def show(grant: str, as_yaml: bool, org: str | None, as_json: bool) -> None:
    """Show the review of GRANT, with all that the records say already filled in."""
    found = find(org).ask_monitor(f"/reviews/{grant}")
    if as_json:
        output.tell_json(found)
        return
    if as_yaml:
        click.echo(found["yaml"], nl=False)
        return
    record = found["record"]
    output.tell_rows((name.replace("_", " "), _text(value)) for name, value in record.items())


def _text(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
