"""``breakglass join person``: a laptop joins in one command, which ``join invite`` prints."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.errors import MalformedError

if TYPE_CHECKING:
    from breakglass.person.ssh_keygen import PersonalKey

PERSON_EXAMPLE = """\
\b
Example, on your laptop:
  breakglass join person 'https://10.77.0.1:8700#5f0c…' \\
    --fingerprint 4ab1-c2d3-… --as sam
"""
INVITE_EXAMPLE = """\
\b
Example:
  breakglass join invite
"""


@click.command(epilog=INVITE_EXAMPLE, short_help="Print what a person types on their laptop.")
@takes_org
@output.says_json
def invite(org: str | None, as_json: bool) -> None:
    """Print the command that a person types on their laptop, with the fingerprint to compare.

    Nothing secret is in it. Read the fingerprint to them over another way than the command went:
    it is what tells your ledger from one that somebody else made.
    """
    from breakglass.cli.own_trust import own_trust
    from breakglass.http.addresses import read_address
    from breakglass.operate.person_join import fingerprint

    client = find(org)
    trust = own_trust(client)
    mark = fingerprint(trust.genesis)
    try:
        broker = read_address(client.brokers[0])
    except OSError:
        from breakglass.operate.fixed_address import address_of

        broker = address_of(Path(client.brokers[0]).parent)
    line = f"breakglass join person '{broker}' --fingerprint {mark}"
    if as_json:
        output.tell_json({"broker": broker, "fingerprint": mark, "command": line})
        return
    click.echo(line)
    if broker.startswith("http://"):
        output.talk("that address is reached from this machine only; 'init --host IP' chooses one")


@click.command(epilog=PERSON_EXAMPLE, short_help="On a laptop: join as a person.")
@click.argument("broker", metavar="URL")
@click.option(
    "--fingerprint",
    "mark",
    required=True,
    metavar="HEX",
    help="What a maintainer's screen shows: the log's first record.",
)
@click.option("--as", "who", default="", metavar="NAME", help="Your name in it; else your login.")
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Your SSH key, or its .pub if the agent holds it; else the agent's first, else ~/.ssh.",
)
@click.option("--new-key", is_flag=True, help="Make a software key for this: one factor.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder to make.  [default: ~/.config/breakglass/ORGANISATION]",
)
@output.says_json
def person(
    broker: str,
    mark: str,
    who: str,
    key: Path | None,
    new_key: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Join the organisation of the broker at URL, as a person, on this laptop.

    Writes client.toml and the trust file, and uses them from now on. The log must have the
    fingerprint that you were told; else nothing is written. A second run brings both up to date.
    """
    from breakglass.cli.client_file import FILE
    from breakglass.cli.used_files import remember
    from breakglass.http.client import Peer
    from breakglass.operate import person_join
    from breakglass.person.own_key import login_name

    if not broker.startswith(("http://", "https://")):
        raise MalformedError(f"{broker[:80]!r} is no address of a broker: https://IP:PORT#PIN")
    if key and new_key:
        raise MalformedError("give --key PATH or --new-key, not both")
    who = who or login_name()
    check_name(who)
    genesis = person_join.read_fingerprint(mark)
    # (1) What the broker says, and the trust file that the fingerprint leads to. Nothing is kept.
    place = person_join.ask_broker(broker)
    with Peer(place.ledger, name="ledger") as ledger, Peer(broker, name="broker") as asked:
        trust, data = person_join.follow_trust(ledger, asked, genesis)
    folder = (out or _usual_folder(place.log)).absolute()
    # (2) A key that signs; one that is made stays beside the folder, so that a second run finds it.
    mine, of_agent = _key(folder, who, key, new_key)
    # (3) The folder, whole or not at all; then it is in use.
    kept = mine.public if of_agent else mine.path
    new = person_join.write_client_folder(folder, place, data, who, kept)
    file = folder / FILE
    remember(file, file.read_bytes())
    lines = [f"{who}:", f"  name: {who}", f"  keys: [{json.dumps(mine.public)}]"]
    if as_json:
        output.tell_json(
            {
                "folder": str(folder),
                "who": who,
                "log": place.log,
                "fingerprint": person_join.fingerprint(genesis),
                "trust": trust.version,
                "key": mine.public,
                "policy_lines": lines,
            }
        )
        return
    where = "the agent's first" if of_agent else str(mine.path)
    output.tell_rows(
        [
            ("joined" if new else "updated", f"{place.log} as {who}; {folder}"),
            ("matches", person_join.fingerprint(genesis)),
            ("trust", f"version {trust.version}, from the ledger, signed by its maintainers"),
            ("key", where if mine.hardware else f"{where} (a software key: one factor)"),
        ]
    )
    click.echo("\nfor 'people:' in the policy; send these lines to a maintainer:")
    for each in lines:
        click.echo(f"  {each}")
    click.echo("")
    output.talk("next, when the policy names you: breakglass break")


def check_name(who: str) -> None:
    """Refuse what no record could hold as a name.

    Raises:
        MalformedError: with the reason.
    """
    from breakglass.records.encoding.text_types import Handle

    for rule in Handle.__metadata__:  # type: ignore[attr-defined]
        rule.check(who, "--as")


def _usual_folder(log: str) -> Path:
    from breakglass.cli.used_files import config_folder

    word = "".join(c if c.isalnum() or c in "-_." else "-" for c in log.partition("/")[0])
    return config_folder() / (word.strip(".") or "organisation")


def _key(folder: Path, who: str, key: Path | None, new_key: bool) -> tuple[PersonalKey, bool]:
    """Return the person's key, and whether the agent alone holds it."""
    from breakglass.person import ssh_keygen
    from breakglass.person.own_key import find_key
    from breakglass.process.folder import make_folder

    if key is not None:
        return ssh_keygen.read_key(key.expanduser().absolute()), False
    make_folder(folder.parent)
    if new_key:
        path = folder.with_name(f"{folder.name}-key")
        if not path.exists():
            ssh_keygen.make_key(path, who)
        return ssh_keygen.read_key(path), False
    # An agent's key has no file: its public half is written into the folder with the rest.
    public = folder.with_name(f".{folder.name}.{os.getpid()}.pub")
    try:
        found = find_key(public, who)
        return found, found.path == public
    finally:
        public.unlink(missing_ok=True)
