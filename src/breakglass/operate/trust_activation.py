"""Put the next trust file in force where witnesses change, with no gap in the proofs.

Every follower judges the head under the trust record by the old quorum and every later one by the
new quorum. So the ledger asks everybody, old and new, from before the record until behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.http.client import Peer
from breakglass.operate.next_trust import both, left, newcomers
from breakglass.operate.retired_cosigners import drop_key, key_folders
from breakglass.operate.witness_catchup import Newcomer, bring_up
from breakglass.process.folder import write_whole
from breakglass.records.trust import Trust, accept_trust
from breakglass.tlog.note import Note
from breakglass.tlog.policy import parse_policy

Say = Callable[[str], None]
Activate = Callable[[str], dict[str, Any]]
"""Hands the signed file to a broker: ``POST /trust``."""
_TRIES = 10
_REST_S = 1.0
_SEEN_AFTER_S = 0.2  # a ledger looks at its policy file every 50 ms


@dataclass(frozen=True)
class InForce:
    """What was done: ``index`` of the record, and the folders here whose keys were dropped."""

    version: int
    index: int | None
    brought: tuple[str, ...]
    dropped: tuple[Path, ...]
    copies: tuple[Path, ...]


def activate_trust(
    org: Path,
    trust_file: Path,
    note: Note,
    ledger: Peer,
    activate: Activate,
    say: Say,
    *,
    policy_stands: bool = False,
) -> InForce:
    """Put ``note`` in force. After any crash or error the same call goes on.

    Args:
        org: the organisation's folder, with ``ledger/``.
        trust_file: the version before, as this client believes it.
        note: the next version, signed.
        ledger: where it is.
        activate: hands it to a broker.
        say: told of what takes time.
        policy_stands: the ledger is elsewhere, and its own administrators have put the policy
            for both there, and put the new one there afterwards.

    Raises:
        UnprovenError: too few signatures, or a newcomer cosigns with another key.
        UnavailableError: a newcomer or the broker does not answer.
        MisconfiguredError: ``no_ledger``; its policy cannot be changed from here.
    """
    before = accept_trust(Note.parse(trust_file.read_bytes()), None)
    after = accept_trust(note, before)
    changed = before.tlog.text != after.tlog.text
    policy = org / "ledger" / "policy"
    if changed and not policy_stands and not policy.is_file():
        raise MisconfiguredError(
            f"the ledger's folder is not in {str(org)!r}, and its quorum has to change with the"
            " trust file; nothing was changed",
            name=ErrorName.NO_LEDGER,
            hint="on the ledger's host: breakglass trust policy --both FILE > policy; then here:"
            " the same with --policy-stands; then there: breakglass trust policy --next FILE",
        )
    # (1) Newcomers have the whole past, and their keys are the lines'. Nothing depends on them.
    #     A new archiver fetches attachments, and no policy of the ledger names it yet. A crash
    #     leaves it a reader, which it is about to become.
    reader = _reader_line(before, after)
    if changed and not policy_stands and reader:
        _let_read(org, reader)
    brought = _bring_up(before, after, ledger, say)
    if changed and not policy_stands:
        # (2) The ledger asks everybody. A crash behind this leaves it asking more than it must.
        write_whole(policy, both(before.tlog, after.tlog).encode())
        time.sleep(_SEEN_AFTER_S)
    # (3) The record. Its answer may be lost: asked again, the same text is the same version.
    answer = _activated(activate, note, say)
    if changed and not policy_stands:
        # (4) The ledger asks by the new file alone. A crash before leaves it asking everybody.
        write_whole(policy, after.tlog.text.encode())
        _let_read_no_more(org, reader)
    # (5) Our own copy and those of the gates here. A crash in between leaves old copies, which
    #     shut their gates to new tokens until they are given the new one.
    copies = [trust_file, *sorted((org / "gates").glob("*/trust"))]
    for path in copies:
        write_whole(path, note.encoded(), 0o600)
    # (6) Keys that nobody trusts any more go: with them in reach a later mistake could bring
    #     them back. What the processes stored stays.
    dropped = _drop_keys(org, before, after)
    return InForce(after.version, answer.get("index"), brought, dropped, tuple(copies))


def _reader_line(before: Trust, after: Trust) -> str:
    """Return the line that lets a new archiver read the ledger; empty if there is none."""
    for line in newcomers(before, after):
        if line.name == after.archiver:
            return f"{line.vkey} reader\n"
    return ""


def _let_read(org: Path, line: str) -> None:
    file = org / "ledger" / "submitters"
    text = file.read_text("utf-8")
    if line not in text:
        write_whole(file, f"{text}{line}".encode())
        time.sleep(_SEEN_AFTER_S)


def _let_read_no_more(org: Path, line: str) -> None:
    file = org / "ledger" / "submitters"
    text = file.read_text("utf-8")
    if line and line in text:
        write_whole(file, text.replace(line, "").encode())


def _bring_up(before: Trust, after: Trust, ledger: Peer, say: Say) -> tuple[str, ...]:
    keys = [log.vkey for log in after.tlog.logs]
    found = []
    for line in newcomers(before, after):
        told = _Telling(line.name, say)
        size = bring_up(Newcomer(line, line.name == after.archiver), ledger, keys, told)
        say(f"{line.name} holds the log up to {size} entries and cosigns with the line's key")
        found.append(line.name)
    return tuple(found)


class _Telling:
    """Says a line a second of what takes longer."""

    def __init__(self, name: str, say: Say) -> None:
        self._name, self._say = name, say
        self._next = time.monotonic() + 1

    def __call__(self, done: int, of: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 1
            self._say(f"{self._name}: {done} of {of} entries")


def _activated(activate: Activate, note: Note, say: Say) -> dict[str, Any]:
    for left_over in reversed(range(_TRIES)):
        try:
            return activate(note.encoded().decode())
        except UnavailableError as error:
            if not left_over:
                error.hint = (
                    "the ledger now asks old and new cosigners alike: see that all of them answer,"
                    " and type the same again; going back could leave a record that nobody proves"
                )
                raise
            say(f"not yet: {error.message}; once more")
            time.sleep(_REST_S)
    raise AssertionError("unreachable")


def _drop_keys(org: Path, before: Trust, after: Trust) -> tuple[Path, ...]:
    gone = {each.vkey for each in left(before, after)}
    dropped = []
    for folder, vkey in key_folders(org).items():
        if vkey in gone:
            drop_key(folder)
            dropped.append(folder)
    return tuple(dropped)


def joint_policy(before: Trust, note: Note) -> str:
    """Return the policy that the ledger needs while ``note`` comes into force.

    Raises:
        UnprovenError: too few maintainers signed it.
    """
    text = both(before.tlog, accept_trust(note, before).tlog)
    parse_policy(text)
    return text
