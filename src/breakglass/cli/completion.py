"""``breakglass completion``: the script that makes a shell complete our commands and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

EXAMPLE = """\
\b
Example:
  breakglass completion fish > ~/.config/fish/completions/breakglass.fish
"""


@click.command(epilog=EXAMPLE)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands, and names of glasses, grants and incidents.

    \b
    bash  > ~/.local/share/bash-completion/completions/breakglass
    zsh   > a folder of your fpath, as _breakglass
    fish  > ~/.config/fish/completions/breakglass.fish
    """
    made = get_completion_class(shell)
    assert made is not None, "the choice above names click's own shells"
    root = ctx.find_root().command
    click.echo(made(root, {}, "breakglass", "_BREAKGLASS_COMPLETE").source())
