"""``breakglass trust``: the keys that this client trusts, in a version that only goes up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.cli.next_trust import activate, next_version, read_note, sign
from breakglass.errors import MisconfiguredError

if TYPE_CHECKING:
    from breakglass.records.trust import Trust

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


@trust.command(epilog=SHOW_EXAMPLE)
@takes_org
@output.says_json
def show(org: str | None, as_json: bool) -> None:
    """Show the keys that this client trusts."""
    client = find(org)
    found = _read(client)
    roles = {str(role): key.label for key, role in found.submitters.items()}
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
                "submitters": roles,
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
            ("log", ", ".join(log.vkey.label for log in found.tlog.logs)),
            ("witnesses", ", ".join(witness.name for witness in found.tlog.witnesses)),
            ("level", f"{found.level.value}; archiver '{found.archiver}'"),
            ("maintain", f"{found.maintainers_needed} of: {people}"),
            *(("submit", f"{role}  {label}") for role, label in roles.items()),
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
    from breakglass.operate.trust_activation import joint_policy
    from breakglass.records.trust import accept_trust

    standing = _read(find(org))
    if joint is not None:
        click.echo(joint_policy(standing, read_note(joint)), nl=False)
        return
    found = accept_trust(read_note(file), standing) if file is not None else standing
    click.echo(found.tlog.text, nl=False)


@trust.command(epilog=UPDATE_EXAMPLE, short_help="Take newer signed versions.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@takes_org
@output.says_json
def update(file: Path | None, org: str | None, as_json: bool) -> None:
    """Take newer versions, each signed by the maintainers of the one before.

    From FILE, or else from the ledger, which keeps them all.
    """
    from breakglass.process.folder import write_whole
    from breakglass.records.trust import accept_trust
    from breakglass.tlog.note import Note

    client = find(org)
    before = standing = _read(client)
    for data in [_bytes(file)] if file else _from_broker(client, standing.version):
        note = Note.parse(data)
        if f"version {standing.version + 1}\n" in note.text or file:
            standing = accept_trust(note, standing)
            write_whole(client.trust, data, 0o600)
    if as_json:
        output.tell_json({"before": before.version, "version": standing.version})
        return
    news = "nothing newer" if standing.version == before.version else f"was {before.version}"
    output.tell_rows([("version", f"{standing.version} ({news})")])


def _read(client: Client) -> Trust:
    from breakglass.records.trust import accept_trust
    from breakglass.tlog.note import Note

    return accept_trust(Note.parse(_bytes(client.trust)), None)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise MisconfiguredError(f"trust file {str(file)!r} cannot be read: {error}") from error


def _from_broker(client: Client, version: int) -> list[bytes]:
    """Return the trust files behind ``version``; they are believed by their signatures."""
    found: list[bytes] = []
    while True:
        told = client.broker("GET", f"/trust?after={version + len(found)}")
        found += [str(each).encode() for each in told["files"]]
        if not told["more"]:
            return found
