"""``breakglass ledger``: copy it, and check a copy without any server."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from breakglass.cli import speaking
from breakglass.cli.client import find, takes_org
from breakglass.cli.fsck import fsck
from breakglass.errors import MisconfiguredError

EXPORT_EXAMPLE = """\
\b
Example:
  breakglass ledger export --to copy/
"""
VERIFY_EXAMPLE = """\
\b
Example:
  breakglass ledger verify copy/ --trust org/trust
"""


@click.group(epilog=VERIFY_EXAMPLE)
def ledger() -> None:
    """Export the ledger and verify a copy without a server."""


ledger.add_command(fsck)


@ledger.command(epilog=EXPORT_EXAMPLE)
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR")
@takes_org
@speaking.says_json
def export(folder: Path, org: str | None, as_json: bool) -> None:
    """Copy the whole ledger into DIR, in the C2SP tlog-tiles layout."""
    from breakglass.ledger.export import export as copy
    from breakglass.records.trust import accept_trust
    from breakglass.tlog.note import Note

    client = find(org)
    trust = client.trust.read_bytes()
    policy = accept_trust(Note.parse(trust), None).tlog.text
    progress = _show_copying if sys.stderr.isatty() and not as_json else _silent_copying
    size = copy(client.ledger, folder, policy_text=policy, trust=trust, progress=progress)
    if as_json:
        speaking.tell_json({"folder": str(folder), "size": size})
        return
    speaking.tell_rows(
        [("copied", f"{size} records into {folder}, with every head and attachment")]
    )
    speaking.talk(f"next: breakglass ledger verify {folder} --trust FILE")


@ledger.command(epilog=VERIFY_EXAMPLE)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The trust file that you believe; else your client's. Never the copy's own.",
)
@takes_org
@speaking.says_json
def verify(folder: Path, trust: Path | None, org: str | None, as_json: bool) -> None:
    """Check a copy in DIR without asking any server.

    Every hash, every head with its witnesses, every signature, and every rule of the records.
    """
    from breakglass.cli.auditing import audit

    file = trust or find(org).trust
    try:
        believed = file.read_bytes()
    except OSError as error:
        raise MisconfiguredError(f"trust file {str(file)!r} cannot be read: {error}") from error
    progress = _show_progress if sys.stderr.isatty() and not as_json else _silent
    done = audit(folder, believed, progress)
    state = done.state
    in_force = (
        state.trust.version if state.trust else 0,
        state.policy.version if state.policy else 0,
    )
    if as_json:
        forbidden = [
            {"index": each.index, "name": each.void, "why": each.why} for each in done.forbidden
        ]
        speaking.tell_json(
            {
                "size": state.size,
                "heads": done.heads,
                "attachments": done.attachments,
                "trust": in_force[0],
                "policy": in_force[1],
                "grants": len(state.grants),
                "state": state.digest(),
                "forbidden": forbidden,
            }
        )
        return
    rows = [
        ("holds", f"{state.size} records under {done.heads} heads, each signed and witnessed"),
        ("in force", f"trust file {in_force[0]}, policy {in_force[1]}"),
        ("state", f"{state.digest()[:16]}…, {len(state.grants)} grants"),
    ]
    rows += [("void", f"record {each.index}, {each.void}: {each.why}") for each in done.forbidden]
    speaking.tell_rows(rows)
    if done.forbidden:
        count = len(done.forbidden)
        speaking.talk(f"{count} records break a rule: they count for nothing, and each rang")


def _silent_copying(done: int, of: int) -> None:
    """Say nothing: nobody watches."""


def _show_copying(done: int, of: int) -> None:
    click.echo(f"\r{done} records ", err=True, nl=False)


def _silent(step: str, done: int, of: int) -> None:
    """Say nothing: nobody watches."""


def _show_progress(step: str, done: int, of: int) -> None:
    end = "\n" if done == of else ""
    click.echo(f"\r{step} {done} of {of} ", err=True, nl=False)
    click.echo(end, err=True, nl=False)
