"""``breakglass policy renew | person | channel``: the policy's next version, from one command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.cli.next_trust import change_of, takes_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakglass.policy.parse import Bundle

RENEW_EXAMPLE = """\
\b
Example:
  breakglass policy renew
"""
ADD_EXAMPLE = """\
\b
Example:
  breakglass policy person add kim --key kim.pub --group oncall
"""
REMOVE_EXAMPLE = """\
\b
Example:
  breakglass policy person remove teo
"""
CHANNEL_EXAMPLE = """\
\b
Example:
  breakglass policy channel hook --webhook secret:chat
"""


@click.command(epilog=RENEW_EXAMPLE, short_help="Sign it anew: cards live 92 days.")
@takes_bundle
@takes_org
@output.says_json
def renew(**given: Any) -> None:
    """Make the policy's next version with the same rules, sign it, and put it in force.

    Its cards live 92 days from now. Where another maintainer's signature is missing, that is said;
    after it, type the same again.
    """
    _change("renew the cards", None, **given)


@click.group(epilog=ADD_EXAMPLE)
def person() -> None:
    """Add a person to the policy, or take one out: changed, signed, in force."""


@person.command(epilog=ADD_EXAMPLE)
@click.argument("name")
@click.option(
    "--key",
    "keys",
    multiple=True,
    required=True,
    metavar="FILE",
    help="A public SSH key of theirs: a .pub file, or the line itself. Two are advised.",
)
@click.option("--shown", default="", metavar="TEXT", help="Their name for people; else NAME.")
@click.option("--group", "groups", multiple=True, metavar="G", help="A group that they join.")
@takes_bundle
@takes_org
@output.says_json
def add(
    name: str, keys: tuple[str, ...], shown: str, groups: tuple[str, ...], **given: Any
) -> None:
    """Add NAME with their keys, and into groups; the policy's next version takes force."""
    from breakglass.cli.public_key import read_public_keys
    from breakglass.policy.bundle_edit import with_member, with_person

    theirs = read_public_keys(keys)
    if len(theirs) < 2:
        output.talk(
            f"advice: a second key for '{name}', kept elsewhere: one that is lost opens nothing"
        )

    def edit(text: str) -> str:
        text = with_person(text, name, theirs, shown)
        for group in groups:
            text = with_member(text, f"groups.{group}.members", name)
        return text

    _change(f"{name} joins", edit, **given)


@person.command(epilog=REMOVE_EXAMPLE)
@click.argument("name")
@takes_bundle
@takes_org
@output.says_json
def remove(name: str, **given: Any) -> None:
    """Take NAME out of every list of the policy; the next version takes force.

    To stop them at this very moment: breakglass kill person:NAME. A maintainer or custodian gives
    that place to somebody else first.
    """
    from breakglass.policy.bundle_edit import without_person

    _change(f"{name} leaves", lambda text: without_person(text, name), **given)


@click.command(epilog=CHANNEL_EXAMPLE, short_help="Change where alerts go.")
@click.argument("name")
@click.option("--webhook", default="", metavar="SECRET", help="As secret:NAME, never the address.")
@click.option("--log-file", default="", metavar="FILE", help="In the monitor's data folder.")
@takes_bundle
@takes_org
@output.says_json
def channel(name: str, webhook: str, log_file: str, **given: Any) -> None:
    """Set channel NAME in the policy; the next version takes force.

    The monitor makes the channel from a file in its folder 'secrets', or has it in its settings as
    [channels.NAME]. What it has not is refused, so the secret comes first.
    """
    from breakglass.policy.bundle_edit import with_channel

    if bool(webhook) == bool(log_file):
        raise click.UsageError("give --webhook or --log-file")
    kind, target = ("webhook", webhook) if webhook else ("log_file", log_file)
    written = f"{{{kind}: {json.dumps(target)}}}"
    _change(f"channel {name}", lambda text: with_channel(text, name, written), **given)


def _change(
    why: str,
    edit: Callable[[str], str] | None,
    bundle: Path | None,
    sign_here: bool,
    org: str | None,
    as_json: bool,
) -> None:
    from breakglass.cli.sign_statement import now
    from breakglass.operate.installation_check import check_offered, not_offered
    from breakglass.operate.policy_renewal import Renewal

    client = find(org)
    client.announce()
    change = change_of(client, sign_here=sign_here)
    folder = bundle or change.org / "bundle"

    def check(bundle: Bundle) -> None:
        minters = client.broker("GET", "/minters")
        check_offered(not_offered(bundle, change.org, lambda: minters))

    renewal = Renewal(
        change,
        folder,
        client.log,
        now(),
        why,
        edit,
        check=check if edit is not None else None,
        anyway=edit is None,
    )
    done = renewal.run()
    if as_json:
        output.tell_json({"done": [{"step": name, "what": said} for name, said in done]})
        return
    output.tell_rows(done or [("unchanged", "it is so in the policy in force")])
