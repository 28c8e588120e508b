"""``breakglass policy schema``: the form of a bundle, for an editor."""

from __future__ import annotations

import click

from breakglass.cli import output

EXAMPLE = """\
\b
Example:
  breakglass policy schema > org/bundle/breakglass.schema.json
"""


@click.command(epilog=EXAMPLE, short_help="Print the JSON Schema of a policy, for editors.")
def schema() -> None:
    """Print the JSON Schema (draft 2020-12) of breakglass.yaml, for editors.

    A first line `# yaml-language-server: $schema=breakglass.schema.json` names the file to them.
    What an editor underlines is the form alone; the rest is found by: breakglass policy check
    """
    from breakglass.policy.editor_schema import editor_schema

    output.tell_json(editor_schema())
