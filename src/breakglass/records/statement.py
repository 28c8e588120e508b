"""What a person signs: one line that says what they do, with which glass, and why.

A statement is two lines of text, ``breakglass.dev/statement/v1`` and RFC 8785 JSON, signed in the
namespace ``breakglass-statement@v1``. The form is frozen: docs/spec/statement.md.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, TypeVar

from breakglass.canonical import canonical, parse_lines, utf8
from breakglass.errors import MalformedError
from breakglass.records.encoding.text_types import (
    Code,
    Digest,
    GrantId,
    Handle,
    IncidentId,
    LogName,
    MaybeHandle,
    MaybeHolderKey,
    MaybeIncidentId,
    Nonce,
    Reason,
    Severity,
    Word,
)
from breakglass.strict_json import Between, Many, read, written

HEADER = "breakglass.dev/statement/v1"
BYTES_AT_MOST = 4096

ScopeValues = Annotated[tuple[Word, ...], Many(64, 1)]
Scope = Annotated[Mapping[Code, ScopeValues], Many(16)]
"""What a credential reaches, by dimension: ``{"databases": ["orders"]}``; values are sorted."""
Seconds = Annotated[int, Between(1, 12 * 3600)]


class Do(StrEnum):
    """What the person does by signing."""

    BREAK = "break"
    DOOR = "door"  # break with the custodians' door, when no ledger can be reached
    MACHINE = "machine"  # a machine of the policy acts; no credential, no gate
    APPROVE = "approve"
    REFUSE = "refuse"
    DONE = "done"  # the holder hands the grant back
    KILL = "kill"
    LIFT = "lift"  # a person or glass that was stopped is let go again
    DECLARE = "declare"  # an incident is opened
    CLOSE = "close"  # an incident is closed
    REVIEW_GATE = "review_gate"  # what the look at a gate's bypasses decided


@dataclass(frozen=True)
class Why:
    """A coded reason of the bundle and what the person typed."""

    code: Code
    text: Reason


@dataclass(frozen=True)
class Break:
    """Asks for one use of one glass. ``holder`` is empty for a machine, which gets no credential.

    ``incident`` may be empty where the glass asks for none.
    """

    do: Do
    log: LogName
    policy: Digest
    glass: Handle
    minter: MaybeHandle
    scope: Scope
    drill: bool
    who: Handle
    incident: MaybeIncidentId
    reason: Why
    for_s: Seconds
    holder: MaybeHolderKey
    at: datetime
    nonce: Nonce


@dataclass(frozen=True)
class Answer:
    """Approves, refuses or hands back the grant whose statement has the SHA-256 ``answers``."""

    do: Do
    log: LogName
    answers: Digest
    who: Handle
    reason: Why
    at: datetime
    nonce: Nonce


class Target(StrEnum):
    """What a kill stops."""

    GRANT = "grant"
    PERSON = "person"
    GLASS = "glass"


@dataclass(frozen=True)
class Kill:
    """Stops a running grant, a person or a glass; or lifts that of a person or a glass."""

    do: Do
    log: LogName
    target: Target
    name: Handle
    who: Handle
    reason: Why
    at: datetime
    nonce: Nonce


@dataclass(frozen=True)
class Declare:
    """Opens or closes an incident by a person's own word."""

    do: Do
    log: LogName
    incident: IncidentId
    severity: Severity
    title: Reason
    who: Handle
    at: datetime
    nonce: Nonce


class GateVerdict(StrEnum):
    """What a gate review found: one of the six readings of a gate's bypasses."""

    HEALTHY = "healthy"
    GATE_WRONG = "gate_wrong"
    ROOT_CAUSE = "root_cause"
    BAD_MONTH = "bad_month"
    ONE_PERSON = "one_person"
    NOT_ENOUGH_DATA = "not_enough_data"


@dataclass(frozen=True)
class ReviewGate:
    """Says what was found of a gate, what was decided, and when to look at it again."""

    do: Do
    log: LogName
    gate: Handle
    verdict: GateVerdict
    decision: Reason
    look_again: datetime
    who: Handle
    at: datetime
    nonce: Nonce


Statement = Break | Answer | Kill | Declare | ReviewGate
_FORMS: dict[Do, type[Break | Answer | Kill | Declare | ReviewGate]] = {
    Do.BREAK: Break,
    Do.DOOR: Break,
    Do.MACHINE: Break,
    Do.APPROVE: Answer,
    Do.REFUSE: Answer,
    Do.DONE: Answer,
    Do.KILL: Kill,
    Do.LIFT: Kill,
    Do.DECLARE: Declare,
    Do.CLOSE: Declare,
    Do.REVIEW_GATE: ReviewGate,
}
S = TypeVar("S", Break, Answer, Kill, Declare, ReviewGate)


def statement_text(statement: Statement) -> str:
    """Write a statement as the exact text that a person signs.

    Raises:
        MalformedError: nobody would read it.
    """
    return f"{HEADER}\n{canonical(written(statement, 'statement'))}\n"


def parse_statement(text: str) -> Statement:
    """Read a statement, whatever it does.

    Raises:
        MalformedError: not the form of docs/spec/statement.md, with the place.
    """
    if len(utf8(text)) > BYTES_AT_MOST:
        raise MalformedError(f"statement: more than {BYTES_AT_MOST} bytes", name="too_large")
    value = parse_lines(text, HEADER, "statement")
    found = value.get("do") if isinstance(value, Mapping) else None
    try:
        do = Do(found)  # type: ignore[arg-type]
    except ValueError as error:
        raise MalformedError(
            f"statement.do: expected one of {', '.join(Do)}, got {str(found)[:40]!r}"
        ) from error
    statement = read(_FORMS[do], value, "statement")
    if isinstance(statement, Break):
        check_scope(statement.scope, "statement.scope")
        if (statement.do is Do.MACHINE) != (statement.holder == ""):
            raise MalformedError("statement.holder: every breaker but a machine holds a key")
    if isinstance(statement, Kill) and statement.do is Do.LIFT and statement.target is Target.GRANT:
        raise MalformedError("statement.target: a grant that was stopped never runs again")
    if isinstance(statement, ReviewGate) and statement.look_again <= statement.at:
        raise MalformedError("statement.look_again: a second look comes after the first")
    return statement


def parse_as(kind: type[S], text: str) -> S:
    """Read a statement that must be of one form.

    Raises:
        MalformedError: another form, or malformed.
    """
    statement = parse_statement(text)
    if not isinstance(statement, kind):
        raise MalformedError(
            f"statement.do: {statement.do.value!r} is not what is wanted here", name="wrong_do"
        )
    return statement


def check_scope(scope: Mapping[str, tuple[str, ...]], where: str) -> None:
    """Refuse a scope whose values are not sorted or stand twice.

    Raises:
        MalformedError: with the dimension.
    """
    for dimension, values in scope.items():
        if list(values) != sorted(set(values)):
            raise MalformedError(f"{where}.{dimension}: values must be sorted, each once")


def digest_of(text: str) -> str:
    """Return the SHA-256 of a signed text, in hexadecimal: its identity."""
    return hashlib.sha256(utf8(text)).hexdigest()


def grant_id(text: str) -> GrantId:
    """Return the id of the grant that the statement ``text`` asks for.

    The same statement sent again is the same grant.

    >>> grant_id("")
    'g-4oymiquy7qob'
    """
    start = base64.b32encode(hashlib.sha256(utf8(text)).digest())[:12]
    return f"g-{start.decode().lower()}"
