"""``breakglass help``: a command's help, and the topics that no single command has."""

from __future__ import annotations

import click

from breakglass.cli.command_table import nearest, places
from breakglass.errors import MalformedError
from breakglass.shown_text import shown

EXAMPLE = """\
\b
Example:
  breakglass help exit-codes
"""

TOPICS = {
    "exit-codes": """\
Every command ends with one of these; the word is the error's class.

    0    done
    1    an internal error; a file with details is named
    2    malformed: something typed or read is not in its form
    3    refused: policy, card or ledger says no
    4    unproven: a signature, proof or digest does not hold
    5    unavailable: somebody did not answer; the message says whether
         anything was recorded, and what to do
    6    misconfigured: something on this machine is missing or wrong
    7    an approver said no (ask, and break where people approve)
    8    nobody approved it: not yet, or not in time (the same two)
    130  you pressed Ctrl-C, or said no to a question

'breakglass run', 'psql', 'ssh', 'scp' and 'rsync' end with the exit code of
their command, and with 3 when the grant ended first. 'breakglass-gate run'
ends with 0 only where the gate is open.
""",
    "environment": """\
    BREAKGLASS_ORG       as --org: the organisation's folder, or a client.toml
    BREAKGLASS_GRANT     set by breakglass run for its command: the grant's id
    NO_COLOR             no colours
    HOME                 where ~/.config, ~/.local/state and ~/.ssh are
    XDG_CONFIG_HOME      in place of ~/.config
    XDG_STATE_HOME       in place of ~/.local/state
    SSH_AUTH_SOCK        the agent that signs, when your key is in one
    CREDENTIALS_DIRECTORY  of a process: where its sealed key's passphrase is

breakglass run passes your environment on to its command, without what would
lead its connection elsewhere, such as PGHOST or PGSERVICE.
""",
    "files": """\
    client.toml          who you are, your key, whom to ask. Looked for where
                         --org or BREAKGLASS_ORG says; then what 'breakglass
                         use' allowed; then ~/.config/breakglass/client.toml.
                         One that merely lies in a folder is never used.
    trust                the trust file that it names: whom you trust, signed
    ~/.config/breakglass/used
                         what 'breakglass use' allowed, with digests
    ~/.local/state/breakglass
                         the keys of your grants, until they end, and the
                         details of internal errors (debug-*.txt)
    bundle/              the policy, in git; bundle/signed: its signatures
""",
}


@click.command("help", epilog=EXAMPLE)
@click.argument("words", nargs=-1, metavar="[TOPIC | COMMAND]...")
@click.pass_context
def help_(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Explain a COMMAND, or one of the topics exit-codes, environment and files."""
    root = ctx.find_root()
    if not words:
        click.echo(root.get_help())
        return
    if words[0] in TOPICS and len(words) == 1:
        click.echo(TOPICS[words[0]], nl=False)
        return
    found = root
    for word in words:
        group = found.command
        inner = group.get_command(found, word) if isinstance(group, click.Group) else None
        if inner is None:
            near = nearest(word, [*places(), *TOPICS])
            raise MalformedError(
                f"no command or topic {shown(word)!r}; topics: {', '.join(TOPICS)}",
                hint=f"did you mean: breakglass help {near}" if near else "list: breakglass help",
            )
        found = click.Context(inner, info_name=word, parent=found)
    click.echo(found.get_help())
