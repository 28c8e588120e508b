"""``breakglass ledger``: copy it, and check a copy without any server."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.cli.fsck import fsck
from breakglass.cli.rebuild import rebuild
from breakglass.errors import MalformedError, MisconfiguredError, reason

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
SUCCEED_EXAMPLE = """\
\b
Example:
  breakglass ledger succeed --from head --origin ledger.example/two \\
    --copy copy/ --out two/
"""


@click.group(epilog=VERIFY_EXAMPLE)
def ledger() -> None:
    """Export the ledger and verify a copy without a server."""


ledger.add_command(fsck)
ledger.add_command(rebuild)


@ledger.command(epilog=EXPORT_EXAMPLE)
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR")
@takes_org
@output.says_json
def export(folder: Path, org: str | None, as_json: bool) -> None:
    """Copy the whole ledger into DIR, in the C2SP tlog-tiles layout."""
    from breakglass.cli.reader_key import ledger_signer
    from breakglass.ledger.export import export as copy
    from breakglass.records.trust import accept_trust
    from breakglass.tlog.note import Note

    client = find(org)
    trust = client.trust.read_bytes()
    policy = accept_trust(Note.parse(trust), None).tlog.text
    progress = _show_copying if sys.stderr.isatty() and not as_json else _silent_copying
    signer = ledger_signer(client)
    size = copy(
        client.ledger, folder, policy_text=policy, trust=trust, signer=signer, progress=progress
    )
    if progress is _show_copying:
        click.echo("\r\x1b[K", err=True, nl=False)  # the count gives way to the result
    if as_json:
        output.tell_json({"folder": str(folder), "size": size})
        return
    output.tell_rows([("copied", f"{size} records into {folder}, with every head and attachment")])
    output.talk(f"next: breakglass ledger verify {folder} --trust FILE")


@ledger.command(epilog=VERIFY_EXAMPLE)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The trust file to check against; else your client's. Never the copy's own.",
)
@click.option(
    "--before", "older", type=click.Path(path_type=Path), metavar="DIR",
    help="Also check a copy of the log that this one follows, and where they meet.",
)  # fmt: skip
@takes_org
@output.says_json
def verify(
    folder: Path, trust: Path | None, older: Path | None, org: str | None, as_json: bool
) -> None:
    """Check a copy in DIR without asking any server.

    Every hash, every head with its witnesses, every signature, and every rule of the records.
    """
    from breakglass.cli.log_succession import check_link
    from breakglass.cli.verify_copy import audit
    from breakglass.tlog.note import Note

    file = trust or find(org).trust
    try:
        believed = file.read_bytes()
    except OSError as error:
        raise MisconfiguredError(
            f"trust file {str(file)!r} cannot be read: {reason(error)}"
        ) from error
    try:
        Note.parse(believed)
    except MalformedError as error:
        raise MalformedError(
            f"{str(file)!r} is not a trust file: {error}", name=error.name
        ) from error
    if not folder.is_dir():
        raise MisconfiguredError(f"there is no folder {str(folder)!r} with a copy of a ledger")
    progress = _show_progress if sys.stderr.isatty() and not as_json else _silent
    done = audit(folder, believed, progress)
    link = check_link(done, folder, older, progress) if older else None
    state = done.state
    in_force = (
        state.governance.trust.version if state.governance.trust else 0,
        state.governance.policy.version if state.governance.policy else 0,
    )
    if as_json:
        forbidden = [
            {"index": each.index, "name": each.void, "why": each.why} for each in done.forbidden
        ]
        output.tell_json(
            {
                "size": state.size,
                "heads": done.heads,
                "attachments": done.attachments,
                "trust": in_force[0],
                "policy": in_force[1],
                "grants": len(state.grants.by_id),
                "state": state.digest(),
                "forbidden": forbidden,
                "follows": None if link is None else asdict(link),
            }
        )
        return
    rows = [
        ("OK", f"{state.size} records under {done.heads} heads, each signed and witnessed"),
        ("in force", f"trust file {in_force[0]}, policy {in_force[1]}"),
        ("state", f"{state.digest()[:16]}…, {len(state.grants.by_id)} grants"),
    ]
    if link is not None:
        rows.append(("follows", f"{link.said.origin}, trusted up to record {link.said.size}"))
        rows.append(("ignored", f"{link.behind} later records of its copy"))
    rows += [("void", f"record {each.index}, {each.void}: {each.why}") for each in done.forbidden]
    output.tell_rows(rows)
    if done.forbidden:
        count = len(done.forbidden)
        output.talk(f"{count} records break a rule: they do not count, and each raised an alert")


@ledger.command(epilog=SUCCEED_EXAMPLE, short_help="Prepare a new log that follows a stolen one.")
@click.option(
    "--from", "file", required=True, type=click.Path(path_type=Path), metavar="CHECKPOINT_FILE",
    help="The last good head, with its cosignatures.",
)  # fmt: skip
@click.option("--origin", required=True, metavar="NAME", help="The new log's name.")
@click.option(
    "--copy", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="A copy of the old log that leads to that head.",
)  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--like", type=click.Path(path_type=Path), metavar="FOLDER",
    help="The old ledger's folder, for settings and submitters.",
)  # fmt: skip
@takes_org
@output.says_json
def succeed(
    file: Path, origin: str, copy: Path, out: Path, like: Path | None, org: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Prepare a new log that holds the old one's last good head, after its key was stolen.

    Checks that head and the copy, makes a fresh key, a genesis that names the head, and the trust
    file that maintainers sign next. Nothing that runs is touched.
    """
    from breakglass.cli.log_succession import TRUST_NEXT
    from breakglass.cli.log_succession import succeed as prepared
    from breakglass.clock import SystemClock

    client = find(org)
    try:
        head = file.read_bytes()
    except OSError as error:
        raise MisconfiguredError(f"{str(file)!r} cannot be read: {error.strerror}") from error
    made = prepared(
        out, origin, head, copy, client.trust.read_bytes(),
        like or client.file.absolute().parent / "ledger", SystemClock().now(), _silent,
    )  # fmt: skip
    checkpoint = made.head.checkpoint
    if as_json:
        output.tell_json(
            {
                "folder": str(out),
                "origin": origin,
                "vkey": str(made.key.verifier),
                "follows": checkpoint.origin,
                "size": checkpoint.size,
                "cosigned": sorted(made.head.cosigners),
                "behind": made.lost,
            }
        )
        return
    seen = ", ".join(sorted(made.head.cosigners))
    rows = [
        ("follows", f"{checkpoint.origin}, {checkpoint.size} records, seen by {seen}"),
        ("not kept", f"{made.lost} records of the copy lie behind that head"),
        ("new log", f"{origin}, key {made.key.verifier.label}"),
        ("made", f"{out}: ledger/ bootstrap/ {TRUST_NEXT}"),
    ]
    output.tell_rows(rows)
    output.talk(f"next, each maintainer: breakglass trust sign {out / TRUST_NEXT}")
    output.talk("then move each process to the new log: docs/how-to/keys.md, «After a theft»")
    output.talk("grants of the old log: minters end them by their not-after; kill what must end")


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
