"""``breakglass policy diff``: what a policy changes, in words, before anybody signs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.shown_text import TEXT_AT_MOST, shown

EXAMPLE = """\
\b
Example:
  breakglass policy diff --in-force org/bundle
"""
_PIPED_COLUMNS = 10_000  # a program reads it: one line is one sentence


@click.command(epilog=EXAMPLE, short_help="Say in words what a policy changes.")
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path), metavar="[OLD] [NEW]")
@click.option("--in-force", is_flag=True, help="Compare with the policy in force, not with OLD.")
@click.option("--lines", is_flag=True, help="Show the changed lines too, all of them.")
@takes_org
@output.says_json
def diff(
    bundles: tuple[Path, ...], in_force: bool, lines: bool, org: str | None, as_json: bool
) -> None:
    """Say who may do more or less under the policy in NEW than under the one in OLD.

    What widens somebody's power comes first, and names them. NEW left out is the policy beside
    client.toml. Folders of bundles are compared; for another commit: git worktree add.
    """
    from breakglass.operate import policy_in_force
    from breakglass.policy.folder import read_bundle

    if len(bundles) > 2 - in_force or (not in_force and not bundles):
        raise click.UsageError("give OLD and NEW, or --in-force and NEW")
    client = find(org) if in_force or len(bundles) < 2 else None
    before = (
        policy_in_force.in_force(client.broker)
        if in_force and client is not None
        else read_bundle(bundles[0])
    )
    wanted = bundles[1 - in_force :]
    after = read_bundle(wanted[0] if wanted else _own(client))
    if as_json:
        output.tell_json(_as_json(before, after))
        return
    for line in _words(before, after):
        click.echo(line)
    for line in policy_in_force.line_difference(before, after) if lines else ():
        click.echo(shown(line, TEXT_AT_MOST))


def tell_difference(client: Client, files: Mapping[str, bytes]) -> list[str]:
    """Return what ``files`` change in the policy in force, for who is about to sign."""
    from breakglass.operate.policy_in_force import what_changes

    return what_changes(client.broker, files)


def _words(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[str]:
    import shutil
    import sys

    from breakglass.policy.difference import say_difference

    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPED_COLUMNS
    return [shown(line, TEXT_AT_MOST) for line in say_difference(before, after, wide)]


def _as_json(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> dict[str, object]:
    from breakglass.policy.difference import difference
    from breakglass.policy.parse import parse_bundle

    new = parse_bundle(after)
    found = difference(parse_bundle(before), new) if before else ()
    return {
        "same_text": before == after,
        "version": new.version,
        "changes": [{"effect": each.effect.value, "text": str(each)} for each in found],
    }


def _own(client: Client | None) -> Path:
    assert client is not None, "NEW was left out, so the client was looked for"
    return client.bundle
