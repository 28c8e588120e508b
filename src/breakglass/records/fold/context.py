"""What every judge of a record needs: the entry, the reasons to be void, whose word it is.

The judges themselves stand beside their kinds, ``records/kinds/<kind>.py``. Each changes the state
if the record holds, and raises ``Void`` (or one of our errors) before it has changed anything if
it does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError
from breakglass.records.fold.forgetting import is_closed, is_old, standing_grant, used_by
from breakglass.records.record import Attachment, Record
from breakglass.records.signing.signature import (
    STATEMENT_NAMESPACE,
    Factor,
    Signature,
    verify_signature,
)
from breakglass.records.statement import S, Statement, digest_of, parse_as
from breakglass.records.trust import Role, Trust

if TYPE_CHECKING:
    from breakglass.records.fold.slices.grants import GrantState
    from breakglass.records.fold.state import State


class Void(Exception):
    """A record does not hold. ``quiet`` marks a race that two honest replicas may have."""

    def __init__(self, name: ErrorName, why: str, *, quiet: bool = False) -> None:
        super().__init__(why)
        self.name, self.why, self.quiet = name, why, quiet


def lost_race(why: str) -> Void:
    """Return the quiet void: somebody honest was first."""
    return Void(ErrorName.LOST_RACE, why, quiet=True)


@dataclass(frozen=True)
class Entry:
    """One entry as a follower hands it in.

    ``cosigned`` are the checked cosignature times of the head that first covered the entry, by
    witness name. ``attachments`` holds those that the record names, by digest; followers fetch
    them for the kinds that read them only.
    """

    index: int
    note: bytes
    cosigned: Mapping[str, datetime]
    attachments: Mapping[str, bytes]

    @property
    def witnessed(self) -> datetime | None:
        """Return the middle one of the witnesses' times, the later of two; ``None`` without any.

        One witness whose clock is wrong moves it no further than to another's.
        """
        times = sorted(self.cosigned.values())
        return times[len(times) // 2] if times else None


@dataclass(frozen=True)
class Submission:
    """A record with who stated it and where it stands; ``role`` is of a checked signature."""

    body: Any
    record: Record[Any]
    role: Role
    submitter: str
    entry: Entry

    @property
    def at(self) -> datetime:
        """Return the record's own time."""
        return self.record.envelope.at

    @property
    def witnessed(self) -> datetime:
        """Return the middle one of the witnesses' times, the later of two; the fold has no clock.

        What a gap excused may have none, and stands with its own.
        """
        return self.entry.witnessed or self.at

    def attachment(self, number: int) -> bytes:
        """Return the bytes of an attachment; that they are here, ``apply`` has made sure of.

        Raises:
            MalformedError: the record names no such attachment.
        """
        if number >= len(self.record.attachments):
            raise MalformedError(f"the record names {len(self.record.attachments)} attachments")
        return self.entry.attachments[self.record.attachments[number].digest]


@dataclass(frozen=True)
class Said(Generic[S]):
    """A statement whose signature was checked, and how strongly its signer was there."""

    statement: S
    digest: str
    factor: Factor


READ_BYTES_AT_MOST = 8 * 1024 * 1024  # each attachment that the fold reads: lists of people, cards
BUNDLE_BYTES_AT_MOST = 6 * 1024 * 1024


def too_long_to_read(kind: str, attachments: Sequence[Attachment]) -> bool:
    """Say whether one of these is longer than the fold reads; nobody fetches such a one."""
    bundle = kind == "policy" and any(each.size > BUNDLE_BYTES_AT_MOST for each in attachments[:1])
    return bundle or any(each.size > READ_BYTES_AT_MOST for each in attachments)


def is_here(named: Attachment, attachments: Mapping[str, bytes]) -> bool:
    """Say whether a named attachment's own bytes were handed in."""
    data = attachments.get(named.digest)
    return data is not None and Attachment.of(data) == named


def word_of(
    state: State,
    signed: Signature | None,
    form: type[S],
    at: datetime | None,
    *,
    suspended_too: bool = False,
) -> Said[S]:
    """Check that somebody of the policy in force signed a statement of this form.

    Args:
        state: as it stands.
        signed: the statement, if the record has one.
        form: what it must be.
        at: the record's time, which must lie within the skew of the statement's; ``None`` takes
            a statement of any age.
        suspended_too: whether the word of a suspended person counts.

    Raises:
        Void: ``no_statement``, ``wrong_log`` or ``statement_old``.
        MalformedError: not a statement of that form.
        RefusedError: ``unknown_person`` or ``suspended``.
        UnprovenError: see ``verify_signature``.
    """
    if signed is None:
        raise Void(ErrorName.NO_STATEMENT, "no person signed for this")
    said = parse_as(form, signed.text)
    keys = state.governance.keys_of(said.who)
    if not keys:
        raise RefusedError(
            f"unknown person {said.who!r}: not in this policy", name=ErrorName.UNKNOWN_PERSON
        )
    factor = verify_signature(signed, keys, STATEMENT_NAMESPACE)
    check_statement(state, said, at)
    if not suspended_too and ("person", said.who) in state.governance.suspended:
        raise RefusedError(f"{said.who!r} is suspended", name=ErrorName.SUSPENDED)
    return Said(said, digest_of(signed.text), factor)


def check_statement(state: State, said: Statement, at: datetime | None) -> None:
    """Check that a statement is of this log and, where ``at`` is given, of about that time.

    Raises:
        Void: ``wrong_log`` or ``statement_old``.
    """
    if said.log != state.log:
        raise Void(ErrorName.WRONG_LOG, f"the statement is of log {said.log!r}")
    if at is None:
        return
    if abs(at - said.at) > in_force(state).skew:
        raise Void(
            ErrorName.STATEMENT_OLD, "the statement was signed long before or after the record"
        )
    check_age(state, said)


def check_age(state: State, said: Statement) -> None:
    """Check that a statement is not so old that the fold has forgotten whether it was used.

    Raises:
        Void: ``statement_old``.
    """
    if is_old(state, said.at):
        raise Void(ErrorName.STATEMENT_OLD, f"the statement was signed at {said.at:%Y-%m-%d %H:%M}")


def check_nonce(state: State, said: Statement, digest: str) -> None:
    """Check that a nonce was not used by another statement; the same statement may stand again.

    Raises:
        Void: ``nonce``.
    """
    if used_by(state, said) not in (None, digest):
        raise Void(ErrorName.NONCE, "the statement's nonce was used for another one")


def check_first_use(state: State, said: Statement) -> None:
    """Check that a statement does its one thing now for the first time.

    Raises:
        Void: ``nonce``; a word that was taken already is not taken again, whoever repeats it.
    """
    if used_by(state, said) is not None:
        raise Void(ErrorName.NONCE, "the statement, or its nonce, was used already")


def in_force(state: State) -> Trust:
    """Return the trust file in force.

    Raises:
        Void: ``no_trust``.
    """
    if state.governance.trust is None:
        raise Void(ErrorName.NO_TRUST, "no trust file is in force yet")
    return state.governance.trust


def check_not_closed(state: State, grant: str) -> None:
    """Check that the id is not of a grant that has left.

    Raises:
        Void: ``closed``, quietly: whoever comes so late has nobody to accuse.
    """
    if is_closed(state, grant):
        raise Void(ErrorName.CLOSED, f"grant {grant!r} was over a month ago and longer", quiet=True)


def grant_of(state: State, grant: str) -> GrantState:
    """Return a grant whose intent holds.

    Raises:
        Void: ``no_grant``; or, quietly, ``closed``, or ``door_unappended``: the grant is of a door
            whose intent is not in the log, which rings by itself for as long as that is so.
    """
    check_not_closed(state, grant)
    found = standing_grant(state, grant)
    if found is None and any(each.grant == grant for each in state.gates.doors.values()):
        raise Void(
            ErrorName.DOOR_UNAPPENDED, f"the door intent of {grant!r} is not here", quiet=True
        )
    if found is None:
        raise Void(ErrorName.NO_GRANT, f"there is no grant {grant!r}")
    return found
