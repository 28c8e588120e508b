"""``breakglass trust next | sign | activate``: from one version of the trust file to the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.errors import MisconfiguredError, reason

if TYPE_CHECKING:
    from breakglass.operate.trust_change import TrustChange
    from breakglass.records.trust import Trust
    from breakglass.tlog.note import Note

F = TypeVar("F", bound=Callable[..., Any])

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

    client = find(org)
    client.announce()
    change = change_of(client, sign_here=sign_here)
    standing = change.standing()
    text = next_text(standing, _taken(lines), drop, level or "", kinds or 0)
    _check_kinds(client, standing, text, without)
    note = change.sign(text, None, change.proposed)
    _tell_signed(change.proposed, text, note, standing, as_json)


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
    with -, added ones with +. Maintainers of the version in force sign it, and those that it names.
    """
    from breakglass.operate.signed_file import read_proposed
    from breakglass.operate.trust_change import changes

    client = find(org)
    client.announce()
    change = change_of(client, sign_here=sign_here)
    standing, (text, note) = change.standing(), read_proposed(file)
    for line in changes(standing.text, text):
        output.talk(line)
    _check_kinds(client, standing, text, without)
    change.check(text)
    signed = change.sign(text, note, file)
    _tell_signed(file, text, signed, standing, as_json)


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
    from breakglass.operate.signed_file import read_note

    client, note = find(org), read_note(file)
    change = change_of(client)
    change.check(note.text)
    with client.ledger_peer() as ledger:
        done = change.activate(note, ledger, policy_stands=policy_stands)
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


def signs_trust_here(command: F) -> F:
    """Give a command ``--sign-here``, for the line that it adds to the trust file."""
    return click.option(
        "--sign-here",
        is_flag=True,
        help="Embedded set-up: sign the next trust file with the maintainers' keys that lie here.",
    )(command)


def takes_bundle(command: F) -> F:
    """Give a command ``--bundle`` and ``--sign-here``, as changes of policy and trust ask for."""
    for option in (
        click.option(
            "--sign-here",
            is_flag=True,
            help="Embedded set-up: also sign with the maintainers' keys that lie in its folder.",
        ),
        click.option(
            "--bundle",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="The policy's folder; else 'bundle' beside client.toml.",
        ),
    ):
        command = option(command)
    return command


def change_of(client: Client, *, sign_here: bool = False) -> TrustChange:
    """Return how this client changes trust."""
    from breakglass.operate.trust_change import TrustChange

    return TrustChange(
        client.file.absolute().parent,
        client.trust,
        client.who,
        client.key,
        client.broker,
        output.talk,
        sign_here,
    )


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
            raise MisconfiguredError(
                f"file of lines {each!r} cannot be read: {reason(error)}"
            ) from error
        found += [line for line in text.splitlines() if line and not line.startswith("#")]
    return found


def _tell_signed(file: Path, text: str, note: Note | None, before: Trust, as_json: bool) -> None:
    from breakglass.operate.trust_change import missing, signers_of
    from breakglass.records.trust import parse_trust

    after = parse_trust(text)
    people, need = signers_of(note, before, after), missing(note, before, after)
    if as_json:
        told = {"file": str(file), "version": after.version, "signed": people}
        output.tell_json({**told, "needed": before.maintainers_needed, "missing": need})
        return
    output.tell_rows(
        [("written", f"{file}, version {after.version}"), ("signed", ", ".join(people) or "nobody")]
    )
    if need:
        output.talk(f"{need}; next, each of them elsewhere, with that file:")
        output.talk(f"breakglass trust sign {file.name}")
    else:
        output.talk(f"next: breakglass trust activate {file}")
