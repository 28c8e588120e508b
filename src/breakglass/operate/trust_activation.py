"""Put the next trust file in force where witnesses change, with no gap in the proofs.

Every follower judges the head under the trust record by the old quorum and every later one by the
new quorum. So the ledger asks everybody, old and new, from before the record until behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.http.client import Peer
from breakglass.operate import steps
from breakglass.operate.next_trust import both, left, newcomers
from breakglass.operate.retired_cosigners import drop_key, key_folders
from breakglass.operate.steps import Step
from breakglass.operate.trust_copies import gates_here, hand_to_gate
from breakglass.operate.witness_catchup import Newcomer, bring_up
from breakglass.process.folder import write_whole
from breakglass.records.signing.signature import TRUST_NAMESPACE, people_who_signed
from breakglass.records.trust import Trust, accept_trust
from breakglass.records.trust_handover import check_carried
from breakglass.tlog.note import Note
from breakglass.tlog.policy import parse_policy

Say = Callable[[str], None]
Activate = Callable[[str], dict[str, Any]]
"""Hands the signed file to a broker: ``POST /trust``."""
_TRIES = 10
_REST_S = 1.0
_SEEN_AFTER_S = 0.2  # a ledger looks at its policy file every 50 ms


@dataclass
class InForce:
    """What was done: who ``signed``, ``index`` of the record, and whose keys here were dropped."""

    version: int
    signed: tuple[str, ...]
    index: int | None = None
    brought: list[str] = field(default_factory=list)
    dropped: list[Path] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)


def activate_trust(
    org: Path,
    trust_file: Path,
    note: Note,
    ledger: Peer | None,
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
        ledger: where it is; ``None`` where whoever calls sees to the cosigners.
        activate: hands it to a broker.
        say: told of what takes time.
        policy_stands: the ledger is elsewhere, and its own administrators have put the policy
            for both there, and put the new one there afterwards.

    Raises:
        UnprovenError: too few signatures, or a newcomer cosigns with another key.
        RefusedError: ``not_carried``; or the broker refuses, see ``POST /trust``.
        UnavailableError: a newcomer or the broker does not answer.
        MisconfiguredError: ``no_ledger``; its policy cannot be changed from here.
    """
    before = accept_trust(Note.parse(trust_file.read_bytes()), None)
    after = accept_trust(note, before)
    if after is not before:
        check_carried(note, after)
    signed = sorted(people_who_signed(note, before.maintainers, TRUST_NAMESPACE))
    done = InForce(after.version, tuple(signed))
    walk = _Walk(org, trust_file, note, before, after, activate, say, done)
    steps.run(walk.steps(ledger, policy_stands=policy_stands))
    return walk.done


@dataclass(frozen=True)
class _Walk:
    org: Path
    trust_file: Path
    note: Note
    before: Trust
    after: Trust
    activate: Activate
    say: Say
    done: InForce

    def steps(self, ledger: Peer | None, *, policy_stands: bool) -> list[Step]:
        """Return the steps, in the order in which no crash leaves a head that nobody proves."""
        # The record. Its answer may be lost: asked again, the same text is the same version.
        record = Step("record", self._record)
        copies = [
            # The gates here. A crash before leaves old copies, which shut their gates to new
            # tokens until they are given the new one.
            Step("gates", self._hand_to_gates),
            # Our own copy last: while it is the old one, the same command does all of this again.
            Step("own copy", self._copy),
        ]
        if ledger is None:
            return [record, *copies]
        moved = self.before.tlog.text != self.after.tlog.text and not policy_stands
        policy = self.org / "ledger" / "policy"
        if moved and not policy.is_file():
            raise MisconfiguredError(
                f"the ledger's folder is not in {str(self.org)!r}, and its quorum has to change"
                " with the trust file; nothing was changed",
                name=ErrorName.NO_LEDGER,
                hint="on the ledger's host: breakglass trust policy --both FILE > policy; then"
                " here: the same with --policy-stands; then there: breakglass trust policy --next"
                " FILE",
            )

        reader = _reader_line(self.before, self.after) if moved else ""

        def ask(text: str) -> str:
            if moved:
                write_whole(policy, text.encode())
                time.sleep(_SEEN_AFTER_S)
            return ""

        return [
            # Newcomers have the whole past, and their keys are the lines'. Nothing hangs on them.
            # A new archiver fetches attachments, and no policy of the ledger names it yet: so it is
            # let read. A crash leaves it a reader, which it is about to become.
            Step("let read", lambda: _let_read(self.org, reader)),
            Step("newcomers", lambda: self._bring_up(ledger)),
            # The ledger asks everybody. A crash behind this leaves it asking more than it must.
            Step("ask both", lambda: ask(both(self.before.tlog, self.after.tlog))),
            record,
            # The ledger asks by the new file alone. A crash before leaves it asking everybody.
            Step("ask new", lambda: ask(self.after.tlog.text)),
            Step("read no more", lambda: _let_read_no_more(self.org, reader)),
            # Keys that nobody trusts any more go: with them in reach a later mistake could bring
            # them back. What the processes stored stays.
            Step("drop keys", self._drop_keys),
            *copies,
        ]

    def _bring_up(self, ledger: Peer) -> str:
        keys = [log.vkey for log in self.after.tlog.logs]
        for line in newcomers(self.before, self.after):
            told = _Telling(line.name, self.say)
            size = bring_up(Newcomer(line, line.name == self.after.archiver), ledger, keys, told)
            self.say(f"{line.name} holds the log up to {size} entries, cosigns with the line's key")
            self.done.brought.append(line.name)
        return ", ".join(self.done.brought)

    def _record(self) -> str:
        for left_over in reversed(range(_TRIES)):
            try:
                self.done.index = self.activate(self.note.encoded().decode()).get("index")
                return f"trust file {self.after.version}"
            except UnavailableError as error:
                if not left_over:
                    error.hint = (
                        "the ledger now asks old and new cosigners alike: see that all of them"
                        " answer, and type the same again; going back could leave a record that"
                        " nobody proves"
                    )
                    raise
                self.say(f"not yet: {error.message}; once more")
                time.sleep(_REST_S)
        raise AssertionError("unreachable")

    def _hand_to_gates(self) -> str:
        for gate in gates_here(self.org):
            hand_to_gate(gate, self.note)
            self.done.copies.append(gate / "trust")
        return ", ".join(map(str, self.done.copies))

    def _copy(self) -> str:
        write_whole(self.trust_file, self.note.encoded(), 0o600)
        self.done.copies.insert(0, self.trust_file)
        return str(self.trust_file)

    def _drop_keys(self) -> str:
        gone = {each.vkey for each in left(self.before, self.after)}
        for folder, vkey in key_folders(self.org).items():
            if vkey in gone:
                drop_key(folder)
                self.done.dropped.append(folder)
        return ", ".join(map(str, self.done.dropped))


def _reader_line(before: Trust, after: Trust) -> str:
    """Return the line that lets a new archiver read the ledger; empty if there is none."""
    for line in newcomers(before, after):
        if line.name == after.archiver:
            return f"{line.vkey} reader\n"
    return ""


def _let_read(org: Path, line: str) -> str:
    file = org / "ledger" / "submitters"
    text = file.read_text("utf-8") if line else ""
    if line not in text:
        write_whole(file, f"{text}{line}".encode())
        time.sleep(_SEEN_AFTER_S)
    return ""


def _let_read_no_more(org: Path, line: str) -> str:
    file = org / "ledger" / "submitters"
    text = file.read_text("utf-8") if line else ""
    if line and line in text:
        write_whole(file, text.replace(line, "").encode())
    return ""


class _Telling:
    """Says a line a second of what takes longer."""

    def __init__(self, name: str, say: Say) -> None:
        self._name, self._say = name, say
        self._next = time.monotonic() + 1

    def __call__(self, done: int, of: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 1
            self._say(f"{self._name}: {done} of {of} entries")


def joint_policy(before: Trust, note: Note) -> str:
    """Return the policy that the ledger needs while ``note`` comes into force.

    Raises:
        UnprovenError: too few maintainers signed it.
    """
    text = both(before.tlog, accept_trust(note, before).tlog)
    parse_policy(text)
    return text
