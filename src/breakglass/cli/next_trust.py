"""``breakglass trust next | sign | activate``: from one version of the trust file to the next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.errors import MisconfiguredError

if TYPE_CHECKING:
    from breakglass.records.trust import Trust
    from breakglass.tlog.note import Note

NEXT_EXAMPLE = """\
\b
Example:
  breakglass trust next lines --sign-here
  breakglass trust next --level archived
  breakglass trust next --drop witness-3
"""
SIGN_EXAMPLE = """\
\b
Example:
  breakglass trust sign trust.next
"""
ACTIVATE_EXAMPLE = """\
\b
Example:
  breakglass trust activate trust.next
"""
FILE = "trust.next"
_WITHOUT = click.option(
    "--without",
    multiple=True,
    metavar="NAME",
    help="Where new kinds come into force: a process that does not know them, and shall stop.",
)


@click.command("next", epilog=NEXT_EXAMPLE, short_help="Write its next version, and sign it.")
@click.argument("lines", nargs=-1, metavar="[LINE|FILE]...")
@click.option("--drop", multiple=True, metavar="NAME", help="A witness that goes.")
@click.option(
    "--level",
    type=click.Choice(["witnessed", "archived", "justified"]),
    help="What gates and minters ask of a proof from then on.",
)
@click.option(
    "--kinds",
    type=click.IntRange(1),
    metavar="N",
    help="Put set N of record kinds in force; every process must know it.",
)
@_WITHOUT
@click.option(
    "--sign-here",
    is_flag=True,
    help="Embedded set-up: also sign with the maintainers' keys that lie in its folder.",
)
@takes_org
@output.says_json
def next_version(
    lines: tuple[str, ...],
    drop: tuple[str, ...],
    level: str | None,
    kinds: int | None,
    without: tuple[str, ...],
    sign_here: bool,
    org: str | None,
    as_json: bool,
) -> None:
    """Write the trust file's next version beside it, as trust.next, signed by you.

    A LINE is one that `breakglass join` printed on the other host: who stands under that name is
    replaced. A FILE holds such lines. Nothing changes before it is activated.
    """
    from breakglass.operate.next_trust import next_text
    from breakglass.operate.trust_signing import sign_trust

    client = find(org)
    client.announce()
    standing = _standing(client)
    text = next_text(standing, _taken(lines), drop, level or "", kinds or 0)
    _check_kinds(client, standing, text, without)
    file = client.trust.with_name(FILE)
    signers = _signers(client, standing, sign_here)
    note = sign_trust(text, None, signers, output.talk)
    _write(file, note)
    _tell_signed(file, note, standing, client, as_json)


@click.command(epilog=SIGN_EXAMPLE, short_help="Sign a next version, as one maintainer.")
@click.argument("file", type=click.Path(path_type=Path))
@_WITHOUT
@click.option(
    "--sign-here",
    is_flag=True,
    help="Embedded set-up: also sign with the maintainers' keys that lie in its folder.",
)
@takes_org
@output.says_json
def sign(
    file: Path, without: tuple[str, ...], sign_here: bool, org: str | None, as_json: bool
) -> None:
    """Sign FILE, a next version of the trust file, beside who signed before.

    It may be a text that nobody has signed yet. What changes is shown first: removed lines
    with -, added ones with +.
    """
    from breakglass.operate.trust_signing import changes, sign_trust

    client = find(org)
    client.announce()
    standing, (text, note) = _standing(client), _read_text(file)
    for line in changes(standing.text, text):
        output.talk(line)
    _check_kinds(client, standing, text, without)
    signed = sign_trust(text, note, _signers(client, standing, sign_here), output.talk)
    _write(file, signed)
    _tell_signed(file, signed, standing, client, as_json)


@click.command(epilog=ACTIVATE_EXAMPLE, short_help="Put a signed next version in force.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--policy-stands",
    is_flag=True,
    help="The ledger is elsewhere, and its policy file asks old and new cosigners already.",
)
@click.option(
    "--key",
    "handover",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What `key next --json` printed: recorded too, signed by both keys.",
)
@takes_org
@output.says_json
def activate(
    file: Path, policy_stands: bool, handover: Path | None, org: str | None, as_json: bool
) -> None:
    """Put FILE in force; an alert is sent.

    New cosigners are first brought to the log's present head. Then the ledger asks old and new
    alike, until the record stands; then the new ones alone, and the old keys here are dropped.
    Cut off anywhere: type it again.
    """
    from breakglass.operate.trust_activation import activate_trust

    client, note = find(org), read_note(file)
    with client.ledger_peer() as ledger:
        done = activate_trust(
            client.file.absolute().parent,
            client.trust,
            note,
            ledger,
            lambda text: client.broker("POST", "/trust", {"note": text}),
            output.talk,
            policy_stands=policy_stands,
        )
    key = None if handover is None else _hand_over(client, handover, done.version)
    if as_json:
        told: dict[str, Any] = {"version": done.version, "index": done.index, "key": key}
        told |= {"brought": list(done.brought), "dropped": [str(each) for each in done.dropped]}
        output.tell_json(told)
        return
    entry = f", entry {done.index}" if done.index is not None else ""
    rows = [("in force", f"trust file {done.version}{entry}")]
    rows += [("key", f"entry {key}, signed by the old and the new one")] if key else []
    rows += [("moved in", ", ".join(done.brought))] if done.brought else []
    rows += [("dropped", f"the key in {each}: nobody trusts it any more") for each in done.dropped]
    rows += [("copies", ", ".join(str(each) for each in done.copies))]
    output.tell_rows(rows)
    output.talk("gates elsewhere take it by hand: copy the file 'trust' into their folders")
    output.talk("next: breakglass doctor")


def _hand_over(client: Client, file: Path, version: int) -> int:
    import json

    try:
        body = {**json.loads(file.read_text("utf-8")), "version": version}
    except (OSError, ValueError, TypeError) as error:
        raise MisconfiguredError(
            f"{str(file)!r} is not what `key next --json` printed; the trust file is in force, and"
            " the key record is not there"
        ) from error
    return int(client.broker("POST", "/keys", body)["index"])


def read_note(file: Path) -> Note:
    """Read a signed note from a file.

    Raises:
        MisconfiguredError: it cannot be read.
        MalformedError: it is none.
    """
    from breakglass.tlog.note import Note

    try:
        return Note.parse(file.read_bytes())
    except OSError as error:
        raise MisconfiguredError(f"{str(file)!r} cannot be read: {error.strerror}") from error


def _read_text(file: Path) -> tuple[str, Note | None]:
    """Read what is to be signed: a note, or the text alone."""
    from breakglass.records.trust import HEADER

    try:
        data = file.read_bytes()
    except OSError as error:
        raise MisconfiguredError(f"{str(file)!r} cannot be read: {error.strerror}") from error
    if data.startswith(HEADER.encode()) and b"\n\n" not in data:
        return data.decode("utf-8", "replace"), None
    note = read_note(file)
    return note.text, note


def _standing(client: Client) -> Trust:
    from breakglass.records.trust import accept_trust

    return accept_trust(read_note(client.trust), None)


def _check_kinds(client: Client, standing: Trust, text: str, without: tuple[str, ...]) -> None:
    """Refuse to sign what would stop a process; nobody is asked while the kinds stay the same."""
    from breakglass.operate.known_kinds import check_all_know, folding
    from breakglass.records.trust import parse_trust

    after = parse_trust(text)
    if after.kinds != standing.kinds:
        minters = client.broker("GET", "/minters")
        asked = folding(standing, client.brokers, client.monitor, minters)
        check_all_know(standing, after, asked, without)


def _taken(lines: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for each in lines:
        if " " in each.strip():
            found.append(each)
            continue
        try:
            text = Path(each).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise MisconfiguredError(f"file of lines {each!r} cannot be read: {error}") from error
        found += [line for line in text.splitlines() if line and not line.startswith("#")]
    return found


def _signers(client: Client, trust: Trust, sign_here: bool) -> list[Any]:
    from breakglass.operate.maintainer_signing import Maintainer
    from breakglass.operate.new_gate import local_maintainers
    from breakglass.person import ssh_keygen

    if sign_here:
        org = client.file.absolute().parent
        return local_maintainers(org, trust, client.who, client.key)
    if client.who not in trust.maintainers:
        return []  # somebody prepares it for the maintainers
    return [Maintainer(client.who, ssh_keygen.read_key(client.key))]


def _write(file: Path, note: Any) -> None:
    from breakglass.process.folder import write_whole

    write_whole(file, note.encoded(), 0o600)


def _tell_signed(file: Path, note: Note, trust: Trust, client: Client, as_json: bool) -> None:
    from breakglass.operate.trust_signing import signers_of
    from breakglass.records.trust import parse_trust

    people, needed = signers_of(note, trust), trust.maintainers_needed
    version = parse_trust(note.text).version
    if as_json:
        output.tell_json(
            {"file": str(file), "version": version, "signed": people, "needed": needed}
        )
        return
    output.tell_rows(
        [("written", f"{file}, version {version}"), ("signed", ", ".join(people) or "by nobody")]
    )
    if len(people) < needed:
        output.talk(f"{len(people)} of {needed} maintainers; next, each of them elsewhere:")
        output.talk(f"breakglass trust sign {file.name}")
    else:
        output.talk(f"next: breakglass trust activate {file}")
