"""``breakglass trust``: the keys that this client trusts, in a version that only goes up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.cli.maintainer import maintainer
from breakglass.cli.next_trust import activate, change_of, next_version, sign

if TYPE_CHECKING:
    from breakglass.tlog.note import Note

SHOW_EXAMPLE = """\
\b
Example:
  breakglass trust show
"""
POLICY_EXAMPLE = """\
\b
Example:
  breakglass trust policy > tlog-policy
"""
UPDATE_EXAMPLE = """\
\b
Example:
  breakglass trust update
"""


@click.group(epilog=SHOW_EXAMPLE)
def trust() -> None:
    """Show, change, sign and update the trust file."""


trust.add_command(next_version)
trust.add_command(sign)
trust.add_command(activate)
trust.add_command(maintainer)


@trust.command(epilog=SHOW_EXAMPLE)
@takes_org
@output.says_json
def show(org: str | None, as_json: bool) -> None:
    """Show the keys that this client trusts."""
    from breakglass.operate.person_join import fingerprint

    client = find(org)
    found = change_of(client).standing()
    # One party may have two keys: an old and a new one, a broker's own and its door's.
    keys = [(str(role), key.label) for key, role in found.submitters.items()]
    if as_json:
        output.tell_json(
            {
                "version": found.version,
                "digest": found.digest,
                "genesis": found.genesis,
                "logs": [log.vkey.name for log in found.tlog.logs],
                "witnesses": [witness.name for witness in found.tlog.witnesses],
                "archiver": found.archiver,
                "level": found.level.value,
                "submitters": [{"role": role, "key": label} for role, label in keys],
                "maintainers": sorted(found.maintainers),
                "maintainers_needed": found.maintainers_needed,
                "skew_s": int(found.skew.total_seconds()),
                "policy_at_least": found.policy_at_least,
                "door": found.door,
            }
        )
        return
    people = ", ".join(sorted(found.maintainers))
    output.tell_rows(
        [
            ("version", f"{found.version}, {found.digest[:16]}…"),
            ("fingerprint", fingerprint(found.genesis)),
            ("log", ", ".join(log.vkey.label for log in found.tlog.logs)),
            ("witnesses", ", ".join(witness.name for witness in found.tlog.witnesses)),
            ("level", f"{found.level.value}; archiver '{found.archiver}'"),
            ("maintain", f"{found.maintainers_needed} of: {people}"),
            *(("submit", f"{role}  {label}") for role, label in keys),
            ("door", "open to custodians" if found.door else "closed"),
        ]
    )


@trust.command(epilog=POLICY_EXAMPLE, short_help="Print the plain C2SP tlog-policy in it.")
@click.option(
    "--next",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Of FILE, a next version.",
)
@click.option(
    "--both",
    "joint",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="For the ledger while FILE comes into force: old and new.",
)
@takes_org
def policy(file: Path | None, joint: Path | None, org: str | None) -> None:
    """Print the plain C2SP tlog-policy in it, for the ledger and for verifiers not ours."""
    from breakglass.operate.signed_file import read_note
    from breakglass.operate.trust_activation import joint_policy
    from breakglass.records.trust import accept_trust

    standing = change_of(find(org)).standing()
    if joint is not None:
        click.echo(joint_policy(standing, read_note(joint)), nl=False)
        return
    found = accept_trust(read_note(file), standing) if file is not None else standing
    click.echo(found.tlog.text, nl=False)


@trust.command(epilog=UPDATE_EXAMPLE, short_help="Take newer signed versions.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--gate",
    "gates",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Also bring the gate in FOLDER to each version in turn.",
)
@takes_org
@output.says_json
def update(file: Path | None, gates: tuple[Path, ...], org: str | None, as_json: bool) -> None:
    """Take newer versions, each signed by the maintainers of the one before.

    From FILE, or else from the ledger, which keeps them all. Gates in the organisation's folder
    are brought along.
    """
    from breakglass.operate.signed_file import read_note
    from breakglass.operate.trust_copies import bring_client, bring_gate, gates_here
    from breakglass.records.trust import accept_trust

    client = find(org)
    standing = change_of(client).standing()
    if file:
        notes = [read_note(file)]
        accept_trust(notes[0], standing)
    else:
        notes = _from_broker(client, standing.version)
    brought = bring_client(client.trust, notes)
    for folder in [*gates_here(client.file.absolute().parent), *gates]:
        bring_gate(folder, notes)
    if as_json:
        output.tell_json({"before": brought.before, "version": brought.version})
        return
    same = brought.version == brought.before
    news = "nothing newer" if same else f"was {brought.before}"
    output.tell_rows([("version", f"{brought.version} ({news})")])
    if brought.behind > brought.version:
        output.talk(
            f"version {brought.behind} is in force and is not signed by its own maintainers: it"
            " cannot be kept here; get it from one of them with their signatures, then:"
            " breakglass trust update FILE"
        )


def _from_broker(client: Client, version: int) -> list[Note]:
    """Return the trust files behind ``version``; they are believed by their signatures."""
    from breakglass.tlog.note import Note

    found: list[Note] = []
    while True:
        told = client.broker("GET", f"/trust?after={version + len(found)}")
        found += [Note.parse(str(each).encode()) for each in told["files"]]
        if not told["more"]:
            return found
