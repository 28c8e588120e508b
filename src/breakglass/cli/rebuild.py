"""``breakglass ledger rebuild``: the whole ledger again, from the archive alone."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.errors import MisconfiguredError

EXAMPLE = """\
\b
Example:
  breakglass ledger rebuild --from s3://example-breakglass-archive --to copy \\
    --trust trust
  breakglass ledger rebuild --from archive --to copy --journal org/ledger
"""


@click.command(epilog=EXAMPLE, short_help="Make it again from the archive alone.")
@click.option(
    "--from",
    "where",
    required=True,
    metavar="WHERE",
    help="s3://BUCKET[/PREFIX], an archiver's folder, or its store's.",
)
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A new folder for a copy in the C2SP tlog-tiles layout.",
)
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Also write the journal of the ledger in FOLDER, which has none.",
)
@click.option(
    "--head",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A checkpoint that you kept: the archive must reach it.",
)
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A trust file to check against; else your client's.",
)
@click.option("--region", default="", metavar="NAME", help="Of the bucket.")
@click.option("--endpoint", default="", metavar="URL", help="Of an S3 that is not AWS.")
@click.option("--path-style", is_flag=True, help="For an S3 that wants the bucket in the path.")
@click.option("--credentials", default="", metavar="FILE", help="AWS credentials file.")
@takes_org
@output.says_json
def rebuild(
    where: str,
    folder: Path,
    journal: Path | None,
    head: Path | None,
    trust: Path | None,
    region: str,
    endpoint: str,
    path_style: bool,
    credentials: str,
    org: str | None,
    as_json: bool,
) -> None:
    """Make the ledger again from WHERE, and judge every record of it.

    Every byte is checked on the way: entries, tree, signatures, cosignatures, and the rules of the
    records. The state's digest is the one that broker and monitor show at that size.
    """
    from breakglass.cli.verify_copy import audit
    from breakglass.operate import ledger_rebuild
    from breakglass.records.trust import accept_trust
    from breakglass.tlog.note import Note

    believed = _bytes(trust or find(org).trust)
    kept = _bytes(head) if head is not None else None
    source = ledger_rebuild.Source(where, region, endpoint, path_style, credentials)
    accepted = accept_trust(Note.parse(believed), None)
    say = _Telling(sys.stderr.isatty() and not as_json)
    copied = ledger_rebuild.copy_of(
        source, accepted, folder, kept, lambda done: say("entries", done)
    )
    ledger_rebuild.check_whole(copied)
    done = audit(folder, believed, say)
    if journal is not None:
        ledger_rebuild.journal_of(source, accepted, journal, lambda size: say("journal", size))
    digest = done.state.digest()
    if as_json:
        told: dict[str, Any] = {"folder": str(folder), "size": done.state.size}
        told |= {"root": copied.root, "state": digest, "attachments": done.attachments}
        told |= {"forbidden": len(done.forbidden), "journal": str(journal) if journal else ""}
        output.tell_json(told)
        return
    rows = [
        ("rebuilt", f"{done.state.size} records into {folder}, {done.attachments} attachments"),
        ("root", copied.root),
        ("state", digest),
    ]
    rows += [("journal", f"{journal}, which can be started")] if journal is not None else []
    output.tell_rows(rows)
    if done.forbidden:
        output.talk(f"{len(done.forbidden)} records break a rule: they count for nothing")


class _Telling:
    """Says a line a second while somebody watches; also what ``audit`` tells."""

    def __init__(self, watched: bool) -> None:
        self._watched = watched
        self._next = time.monotonic() + 1

    def __call__(self, step: str, done: int, of: int = 0) -> None:
        if self._watched and time.monotonic() >= self._next:
            self._next = time.monotonic() + 1
            output.talk(f"{step} {done}" + (f" of {of}" if of else ""))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be read: {error.strerror}") from error
