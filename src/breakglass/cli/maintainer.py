"""``breakglass trust maintainer``: who signs for the organisation, changed without a gap."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.cli.next_trust import change_of, takes_bundle
from breakglass.cli.public_key import read_public_keys

if TYPE_CHECKING:
    from breakglass.operate.maintainer_change import Wish

REPLACE_EXAMPLE = """\
\b
Example:
  breakglass trust maintainer replace second alex --key alex.pub
"""
ADD_EXAMPLE = """\
\b
Example:
  breakglass trust maintainer add kim --key kim.pub
  breakglass trust maintainer add third --paper
"""
REMOVE_EXAMPLE = """\
\b
Example:
  breakglass trust maintainer remove sam
"""
_KEY = click.option(
    "--key",
    "keys",
    multiple=True,
    required=True,
    metavar="FILE",
    help="A public SSH key of theirs: a .pub file, or the line itself. Give it once for each key.",
)
_NEEDED = click.option(
    "--needed", type=click.IntRange(2), metavar="N", help="How many have to sign from then on."
)


@click.group(epilog=REPLACE_EXAMPLE)
def maintainer() -> None:
    """Replace, add and remove those who sign trust and policy.

    In three steps: a trust file with the new one, the policy signed by those who stay, a trust
    file without the old one. What waits for somebody else's signature is said, with the command
    they type; after it, type the same command again. Glasses open all the while.
    """


@maintainer.command(epilog=REPLACE_EXAMPLE)
@click.argument("old")
@click.argument("new")
@_KEY
@takes_bundle
@takes_org
@output.says_json
def replace(old: str, new: str, keys: tuple[str, ...], **given: Any) -> None:
    """Give OLD's place to NEW; of one name, another key takes the old one's place."""
    from breakglass.operate.maintainer_plan import replaced

    theirs = read_public_keys(keys)
    _change(lambda trust: replaced(trust, old, new, theirs), **given)


@maintainer.command(epilog=ADD_EXAMPLE)
@click.argument("new")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FILE",
    help="A public SSH key of theirs: a .pub file, or the line itself. Give it once for each key.",
)
@click.option("--paper", is_flag=True, help="Make a key here, show it once, and keep it nowhere.")
@_NEEDED
@takes_bundle
@takes_org
@output.says_json
def add(new: str, keys: tuple[str, ...], paper: bool, needed: int | None, **given: Any) -> None:
    """Add NEW beside the others, or a second key of somebody who maintains already.

    With --paper the key is for a safe: two of two maintainers are one lost key away from the end.
    """
    from breakglass.operate.maintainer_plan import added

    if bool(keys) == paper:
        raise click.UsageError("give --key or --paper")
    theirs = (_on_paper(new, given["org"]),) if paper else read_public_keys(keys)
    _change(lambda trust: added(trust, new, theirs, needed), **given)
    if paper:
        output.talk(
            "the paper signs like a person: keep it apart from the other keys. Where it waits for"
            f" signatures, go on with: breakglass trust maintainer add {new} --key '{theirs[0]}'"
        )


@maintainer.command(epilog=REMOVE_EXAMPLE)
@click.argument("old")
@_NEEDED
@takes_bundle
@takes_org
@output.says_json
def remove(old: str, needed: int | None, **given: Any) -> None:
    """Take OLD's place away; enough others must stay."""
    from breakglass.operate.maintainer_plan import removed

    _change(lambda trust: removed(trust, old, needed), **given)


def _on_paper(new: str, org: str | None) -> str:
    """Make a key and show it, before anything rests on it; returns its public half."""
    from breakglass.errors import RefusedError
    from breakglass.person.paper_key import make_paper_key

    if new in change_of(find(org)).standing().maintainers:
        raise RefusedError(f"{new!r} is a maintainer already; no key was made")
    key = make_paper_key()
    output.talk(
        f"the key of '{new}', on no disk: write it down or print it, and check it\n{key.text}"
    )
    if sys.stdin.isatty():
        click.confirm("written down, and compared", abort=True, err=True)
    return key.public


def _change(
    wish: Wish, bundle: Path | None, sign_here: bool, org: str | None, as_json: bool
) -> None:
    from breakglass.cli.sign_statement import now
    from breakglass.operate.maintainer_change import MaintainerChange

    client = find(org)
    client.announce()
    change = change_of(client, sign_here=sign_here)
    folder = bundle or change.org / "bundle"
    changing = MaintainerChange(change, folder, client.log, now())
    found = changing.run(wish)
    if as_json:
        steps = [{"step": each.name, "says": each.says, "done": each.done} for each in found.plan]
        told = {"finished": found.finished, "steps": steps, "done": dict(found.done)}
        output.tell_json(told | {"waits": found.waits.message if found.waits else ""})
        return
    output.tell_rows(
        [(each.name, f"{'done' if each.done else 'next'}: {each.says}") for each in found.plan]
    )
    for name, said in found.done:
        output.talk(f"{name}: {said}")
    if found.waits is not None:
        output.talk(found.waits.message)
        output.talk(f"next: {found.waits.hint}")
        return
    output.talk("each client elsewhere: breakglass trust update; a gate elsewhere: --gate FOLDER")
