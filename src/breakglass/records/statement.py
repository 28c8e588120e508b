"""What a person signs: one line that says what they do, with which glass, and why.

A statement is two lines of text, ``breakglass.dev/statement/v1`` and RFC 8785 JSON, signed in the
namespace ``breakglass-statement@v1``. The form is frozen: docs/spec/statement.md.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_network
from types import MappingProxyType
from typing import Annotated, ClassVar, TypeVar

from breakglass.canonical import canonical, parse_lines, utf8
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.records.encoding.text_types import (
    Code,
    Digest,
    GrantId,
    Handle,
    HolderKey,
    IncidentId,
    LogName,
    MaybeDigest,
    MaybeHandle,
    MaybeIncidentId,
    Nonce,
    Reason,
    Severity,
    Word,
)
from breakglass.strict_json import Between, Many, MaybeTime, read, written

HEADER = "breakglass.dev/statement/v1"
BYTES_AT_MOST = 4096

ScopeValues = Annotated[tuple[Word, ...], Many(64, 1)]
Scope = Annotated[Mapping[Code, ScopeValues], Many(16)]
"""What a credential reaches, by dimension: ``{"databases": ["orders"]}``; values are sorted."""
Seconds = Annotated[int, Between(1, 12 * 3600)]
_NETWORK = re.compile(r"[0-9a-f.:]{2,45}/[0-9]{1,3}", re.ASCII)


DRILL_S_AT_MOST = 1200


class Do(StrEnum):
    """What the person does by signing."""

    ASK = "ask"  # wants a grant that others approve
    BREAK = "break"  # takes it, and answers for that afterwards
    DOOR = "door"  # breaks with the custodians' door, when no ledger can be reached
    MACHINE = "machine"  # a machine of the policy acts; no credential, no gate
    APPROVE = "approve"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"  # the asker takes an ask back
    DONE = "done"  # the holder hands the grant back
    COUNTERSIGN = "countersign"  # a custodian lets a door statement through
    KILL = "kill"
    LIFT = "lift"  # a person or glass that was stopped is let go again
    KILL_ALL = "kill_all"  # one of two people stops everything; since kinds 2
    LIFT_ALL = "lift_all"  # one of two people lets it go again; since kinds 2
    DECLARE = "declare"  # an incident is opened
    CLOSE = "close"  # an incident is closed
    REVIEW_GATE = "review_gate"  # what the look at a gate's bypasses decided


@dataclass(frozen=True)
class Why:
    """A coded reason of the bundle and what the person typed."""

    code: Code
    text: Reason


@dataclass(frozen=True)
class Ask:
    """Asks others to approve one use of one glass; ``starts`` may put it off.

    ``incident`` and ``ticket`` may be empty where the glass asks for none, ``act`` where the
    minter hands out a credential. ``starts`` is empty or a time.
    """

    do: Do
    log: LogName
    policy: Digest
    glass: Handle
    minter: MaybeHandle
    scope: Scope
    act: MaybeHandle
    drill: bool
    who: Handle
    incident: MaybeIncidentId
    ticket: Word
    reason: Why
    for_s: Seconds
    starts: MaybeTime
    holder: HolderKey
    at: datetime
    nonce: Nonce

    after: ClassVar[str] = ""


@dataclass(frozen=True)
class Break:
    """Takes one use of one glass; ``after`` is the digest of an ask that went before, or empty."""

    do: Do
    log: LogName
    policy: Digest
    glass: Handle
    minter: MaybeHandle
    scope: Scope
    act: MaybeHandle
    drill: bool
    who: Handle
    incident: MaybeIncidentId
    ticket: Word
    reason: Why
    for_s: Seconds
    after: MaybeDigest
    holder: HolderKey
    at: datetime
    nonce: Nonce

    starts: ClassVar[str] = ""


@dataclass(frozen=True)
class Door:
    """Takes one use of one glass by the custodians' door."""

    do: Do
    log: LogName
    policy: Digest
    glass: Handle
    minter: MaybeHandle
    scope: Scope
    act: MaybeHandle
    who: Handle
    incident: MaybeIncidentId
    ticket: Word
    reason: Why
    for_s: Seconds
    holder: HolderKey
    at: datetime
    nonce: Nonce

    drill: ClassVar[bool] = False
    after: ClassVar[str] = ""
    starts: ClassVar[str] = ""


@dataclass(frozen=True)
class Machine:
    """A machine of the policy has its one act run; it holds nothing and opens no gate."""

    do: Do
    log: LogName
    policy: Digest
    glass: Handle
    minter: Handle
    act: Handle
    who: Handle
    incident: MaybeIncidentId
    reason: Why
    for_s: Seconds
    at: datetime
    nonce: Nonce

    scope: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    drill: ClassVar[bool] = False
    ticket: ClassVar[str] = ""
    after: ClassVar[str] = ""
    starts: ClassVar[str] = ""
    holder: ClassVar[str] = ""


AccessRequest = Ask | Break | Door | Machine
"""The first statement of an intent. What a form has no field for is nothing in it."""


@dataclass(frozen=True)
class Answer:
    """Approves, refuses, withdraws or hands back what the statement ``answers`` wants."""

    do: Do
    log: LogName
    answers: Digest
    who: Handle
    reason: Why
    at: datetime
    nonce: Nonce


@dataclass(frozen=True)
class Countersign:
    """A custodian lets the door statement of SHA-256 ``answers`` through, under that card."""

    do: Do
    log: LogName
    answers: Digest
    card: Digest
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
class KillAll:
    """Stops everything, or lets it go again, together with a second person's word."""

    do: Do
    log: LogName
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


Statement = AccessRequest | Answer | Countersign | Kill | KillAll | Declare | ReviewGate
_FORMS: dict[Do, type[Statement]] = {
    Do.ASK: Ask,
    Do.BREAK: Break,
    Do.DOOR: Door,
    Do.MACHINE: Machine,
    Do.APPROVE: Answer,
    Do.REFUSE: Answer,
    Do.WITHDRAW: Answer,
    Do.DONE: Answer,
    Do.COUNTERSIGN: Countersign,
    Do.KILL: Kill,
    Do.LIFT: Kill,
    Do.KILL_ALL: KillAll,
    Do.LIFT_ALL: KillAll,
    Do.DECLARE: Declare,
    Do.CLOSE: Declare,
    Do.REVIEW_GATE: ReviewGate,
}
S = TypeVar("S", bound=Statement)


def statement_text(statement: Statement) -> str:
    """Write a statement as the exact text that a person signs.

    Raises:
        MalformedError: nobody would read it.
    """
    return f"{HEADER}\n{canonical(written(statement, 'statement'))}\n"


# One break has its statement read by the decision, by each record's form and by each judge, eleven
# times in a broker. What was read cannot be changed, so it is read once.
@lru_cache(maxsize=128)
def parse_statement(text: str) -> Statement:
    """Read a statement, whatever it does.

    Raises:
        MalformedError: not the form of docs/spec/statement.md, with the place.
    """
    if len(utf8(text)) > BYTES_AT_MOST:
        raise MalformedError(
            f"statement: more than {BYTES_AT_MOST} bytes", name=ErrorName.TOO_LARGE
        )
    value = parse_lines(text, HEADER, "statement")
    found = value.get("do") if isinstance(value, Mapping) else None
    try:
        do = Do(found)  # type: ignore[arg-type]
    except ValueError as error:
        raise MalformedError(
            f"statement.do: expected one of {', '.join(Do)}, got {str(found)[:40]!r}"
        ) from error
    statement = read(_FORMS[do], value, "statement")
    _check_whole(statement)
    return statement


def _check_whole(said: Statement) -> None:
    if isinstance(said, Ask | Break | Door | Machine):
        check_scope(said.scope, "statement.scope")
        if said.act and not said.minter:
            raise MalformedError("statement.act: an act without the minter that runs it")
        if said.drill and said.for_s > DRILL_S_AT_MOST:
            raise MalformedError(f"statement.for_s: a drill has {DRILL_S_AT_MOST} s at most")
    if isinstance(said, Kill) and said.do is Do.LIFT and said.target is Target.GRANT:
        raise MalformedError("statement.target: a grant that was stopped never runs again")
    if isinstance(said, ReviewGate) and said.look_again <= said.at:
        raise MalformedError("statement.look_again: a second look comes after the first")


def parse_of_one(text: str) -> Statement:
    """Read a statement that is of something; what is said of everything is malformed here.

    So judges a release too that knows the first set of kinds alone, and cannot read that.

    Raises:
        MalformedError: a word of everything, or malformed.
    """
    statement = parse_statement(text)
    if isinstance(statement, KillAll):
        raise MalformedError(f"statement.do: {statement.do.value!r} is of everything")
    return statement


def parse_request(text: str) -> AccessRequest:
    """Read a statement that asks for, breaks, or has run what a glass gives.

    Raises:
        MalformedError: ``wrong_do`` for any other, or malformed.
    """
    statement = parse_of_one(text)
    if not isinstance(statement, Ask | Break | Door | Machine):
        raise MalformedError(
            f"statement.do: {statement.do.value!r} asks for no glass", name=ErrorName.WRONG_DO
        )
    return statement


def parse_as(kind: type[S], text: str) -> S:
    """Read a statement that must be of one form.

    Raises:
        MalformedError: another form, or malformed.
    """
    statement = parse_statement(text) if kind is KillAll else parse_of_one(text)
    if not isinstance(statement, kind):
        raise MalformedError(
            f"statement.do: {statement.do.value!r} is not what is wanted here",
            name=ErrorName.WRONG_DO,
        )
    return statement


def check_scope(scope: Mapping[str, tuple[str, ...]], where: str) -> None:
    """Refuse a scope whose values are not sorted or stand twice, or a source that is no network.

    Raises:
        MalformedError: with the dimension.
    """
    for dimension, values in scope.items():
        if list(values) != sorted(set(values)):
            raise MalformedError(f"{where}.{dimension}: values must be sorted, each once")
    for network in scope.get("source", ()):
        if not _is_network(network):
            raise MalformedError(
                f"{where}.source: {network[:60]!r} is no network such as 10.0.0.0/8"
            )


def _is_network(text: str) -> bool:
    # IPv4 inside IPv6 has two spellings in the field's libraries, and a zone is no network.
    if not _NETWORK.fullmatch(text) or text.startswith("::ffff:"):
        return False
    try:
        return str(ip_network(text)) == text
    except ValueError:
        return False


def digest_of(text: str) -> str:
    """Return the SHA-256 of a signed text, in hexadecimal: its identity."""
    return hashlib.sha256(utf8(text)).hexdigest()


def grant_id(text: str) -> GrantId:
    """Return the id of the grant that the statement ``text`` asks for.

    The same statement sent again is the same grant.

    >>> grant_id("")
    'g-4oymiquy7qob'
    """
    return grant_of_digest(digest_of(text))


def grant_of_digest(digest: str) -> GrantId:
    """Return the id of the grant whose first statement has the SHA-256 ``digest``."""
    start = base64.b32encode(bytes.fromhex(digest))[:12]
    return f"g-{start.decode().lower()}"
