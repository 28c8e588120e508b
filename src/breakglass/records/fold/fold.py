"""The fold: records in, state out; one rule for form, authority and order.

It reads no clock and asks nobody. Its times are the records' own ``at``, which may not go back per
submitter, and the witnesses', near which ``at`` must lie. It does not run policy: the monitor
re-runs decisions and writes ``justified``, or rings. A record that does not hold is *void* and
changes nothing but its submitter's place in the chain. Source: docs/spec/record.md, «The fold».
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from breakglass.error_names import ErrorName, ForeignName
from breakglass.errors import BreakglassError, MalformedError, UnavailableError
from breakglass.records.all_kinds import KINDS
from breakglass.records.fold.context import (
    READ_BYTES_AT_MOST,
    Entry,
    Submission,
    Void,
    is_here,
    too_long_to_read,
)
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.submitters import SubmitterState
from breakglass.records.fold.state import State
from breakglass.records.intent_limits import DOOR_WITHIN
from breakglass.records.kind_sets import UnknownKindsError
from breakglass.records.kinds.ended import Ended
from breakglass.records.kinds.gap import GAP_BACK, Gap
from breakglass.records.kinds.genesis import Genesis
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.trust import TrustActivated, activate_trust
from breakglass.records.record import (
    GATE_NOTE_BYTES_AT_MOST,
    Attachment,
    Outer,
    Record,
    parse_outer,
)
from breakglass.records.record_reader import read_record
from breakglass.records.statement import Door, parse_statement
from breakglass.records.submitter_line import check_single, submitter_of
from breakglass.records.trust import Role, Trust, check_first_trust
from breakglass.tlog.note import Note


@dataclass(frozen=True)
class Judged:
    """What the fold made of an entry: it holds (``void`` empty) or is void, by name.

    ``quiet`` is true for a lost race between two honest replicas; every other void is an alarm.
    ``record`` is ``None`` where the bytes are no record at all.
    """

    index: int
    record: Record[Any] | None
    role: Role | None
    void: ErrorName | ForeignName | Literal[""] = ""
    why: str = ""
    quiet: bool = False

    @property
    def holds(self) -> bool:
        """Say whether the record counts."""
        return not self.void


def fold(genesis: str, entries: Iterable[Entry]) -> State:
    """Fold a whole log from its first entry.

    Args:
        genesis: SHA-256 of the text of entry 0, as the trust file pins it.
        entries: in order, from index 0, without a hole.
    """
    state = State(genesis)
    for entry in entries:
        apply(state, entry)
    return state


def apply(state: State, entry: Entry, outer: Outer | None = None) -> Judged:
    """Fold one entry into ``state``, in place, and say whether it holds.

    The state is one follower's own; copying it for each record would make a long log quadratic.

    Args:
        state: changed.
        entry: the next one.
        outer: what ``parse_outer`` makes of its note, from whoever has read it already.

    Raises:
        ValueError: the entry is not the next one, or ``outer`` is of another note; a follower's
            own mistake.
        UnavailableError: ``attachment``; one that the record names was not handed in. Nothing
            has changed; judging without it would make this state differ from everybody else's.
        UnknownKindsError: the entry puts kinds in force that this software does not know. Nothing
            has changed, and nothing behind this entry can be judged.
    """
    if entry.index != state.size:
        raise ValueError(f"entry {entry.index} is not the next one, {state.size}")
    if outer is not None and outer.note.encoded() != entry.note:
        raise ValueError(f"entry {entry.index} was not read from its own note")
    try:
        outer = outer or parse_outer(entry.note)
    except BreakglassError as error:
        # The ledger reads less than we do, so a taken-over submitter can have this stored.
        state.size += 1
        return _void(state, Judged(entry.index, None, None, ErrorName.MALFORMED, str(error)))
    _check_attachments(state, entry, outer)
    standing = state.witnessed
    kept = state.submitters.copied() if outer.name == TrustActivated.kind else state.submitters
    state.size += 1
    _see(state, entry)
    judged = Judged(entry.index, outer.unread(), None)
    try:
        if entry.index == 0:
            return _take_genesis(state, entry, outer)
        if state.governance.trust is None:
            return _take_first_trust(state, entry, outer)
        return _take(state, entry, outer, state.governance.trust)
    except UnknownKindsError:
        # Whoever stops here has judged what everybody judged, and shows the same digest.
        state.size, state.submitters, state.witnessed = entry.index, kept, standing
        raise
    except _Refusal as refusal:
        judged = refusal.judged
    except Void as void:
        judged = _judged_void(judged, void)
    except BreakglassError as error:
        judged = _judged_void(judged, error)
    return _void(state, judged)


class _Refusal(Exception):
    """Carries how far a void record was read."""

    def __init__(self, judged: Judged) -> None:
        super().__init__(judged.why)
        self.judged = judged


def _judged_void(judged: Judged, trouble: Void | BreakglassError) -> Judged:
    quiet = isinstance(trouble, Void) and trouble.quiet
    return Judged(judged.index, judged.record, judged.role, trouble.name, str(trouble), quiet)


def _void(state: State, judged: Judged) -> Judged:
    assert judged.void, "only what is void comes here"
    state.void.append((judged.index, judged.void))
    return judged


def attachments_read(state: State, outer: Outer) -> tuple[Attachment, ...]:
    """Return those attachments of the next record that ``apply`` must have to judge it.

    None of a record that is void whatever is attached: what nobody stated must not hold up a
    follower. Nor of one with longer attachments than the fold reads: it could fill every
    follower's memory.
    """
    if not KINDS.reads(outer.name, kinds_in_force(state)) or outer.envelope.log != state.log:
        return ()
    try:
        record = read_record(outer)
        if state.governance.trust is not None:
            submitter_of(record, state.governance.trust)
    except BreakglassError:
        return ()
    return () if too_long_to_read(outer.name, outer.attachments) else outer.attachments


def _check_attachments(state: State, entry: Entry, outer: Outer) -> None:
    for named in attachments_read(state, outer):
        if not is_here(named, entry.attachments):
            raise UnavailableError(
                f"attachment {named.digest[:12]}… of entry {entry.index} is not here; nothing was"
                " judged",
                name=ErrorName.ATTACHMENT,
            )


def _see(state: State, entry: Entry) -> None:
    """Move the fold's own time on, by the witnesses who first covered this entry."""
    trust, seen = state.governance.trust, entry.witnessed
    if trust is None or seen is None or not trust.tlog.quorum_met(entry.cosigned):
        return
    state.witnessed = max(state.witnessed or seen, seen)


def kinds_in_force(state: State) -> int:
    """Return the set of kinds in force; before there is a trust file, the first."""
    return state.governance.trust.kinds if state.governance.trust is not None else 1


def _take_genesis(state: State, entry: Entry, outer: Outer) -> Judged:
    # Entries 0 and 1 bootstrap each other: the genesis names the maintainers and is pinned by
    # digest; the first trust file, which those maintainers signed, names the key that signed both.
    record = read_record(outer)
    if not isinstance(record.body, Genesis) or record.text_digest != state.genesis:
        raise Void(ErrorName.GENESIS, "entry 0 is not the genesis that the trust file names")
    state.governance.begun, state.log = record, record.envelope.log
    return Judged(entry.index, record, None)


def _take_first_trust(state: State, entry: Entry, outer: Outer) -> Judged:
    begun = state.governance.begun
    if begun is None or entry.index != 1 or outer.name != TrustActivated.kind:
        raise Void(ErrorName.NO_TRUST, "entry 1 of this log put no trust file in force")
    # A record that will be void anyway was let in without its attachments.
    long = too_long_to_read(outer.name, outer.attachments)
    if long or not outer.attachments or not is_here(outer.attachments[0], entry.attachments):
        raise MalformedError("the record names no attachment that is here")
    body: Genesis = begun.body
    trust = check_first_trust(
        Note.parse(entry.attachments[outer.attachments[0].digest]),
        state.genesis,
        body.maintainers,
        body.maintainers_needed,
    )
    key, role = submitter_of(begun, trust)
    if role.kind != "broker":
        raise Void(ErrorName.ROLE, f"the genesis is signed by {str(role)!r}")
    envelope = begun.envelope
    state.submitters.by_key[key.label] = SubmitterState(
        envelope.seq + 1, begun.text_digest, envelope.at, None, {envelope.id}
    )
    try:
        return _take(state, entry, outer, trust)
    except (_Refusal, Void, BreakglassError):
        state.submitters.by_key.clear()
        raise


def _take(state: State, entry: Entry, outer: Outer, trust: Trust) -> Judged:
    record: Record[Any] = outer.unread()
    key, role = submitter_of(record, trust)
    # Before the chain moves: whoever holds a note could append a variant of it first, with one
    # line more, and the honest one behind it would find its number taken.
    check_single(record)
    reached = Judged(entry.index, record, role)
    try:
        if outer.envelope.log != state.log:
            # A record of another log has its place there; it moves nothing here.
            raise Void(ErrorName.WRONG_LOG, f"the record is of log {outer.envelope.log!r}")
        chain = state.submitters.by_key.setdefault(key.label, SubmitterState())
        _check_chain(chain, record)
        # A kind of a later set stays unknown here, for everybody and for ever.
        rule = KINDS.in_force(outer.name, outer.version, trust.kinds)
        record = outer.unread() if rule is None else outer.read_as(rule.form)
        reached = Judged(entry.index, record, role)
        stated = Submission(record.body, record, role, key.label, entry)
        _check_form(stated, rule)
        _check_timely(state, stated, chain, trust, rule)
        chain.last_at = outer.envelope.at
        if state.governance.trust is None:
            activate_trust(state, stated, trust)
        elif rule is not None:
            rule.judge(state, stated)
    except UnknownKindsError:
        raise
    except (Void, BreakglassError) as trouble:
        raise _Refusal(_judged_void(reached, trouble)) from trouble
    return reached


def _check_chain(chain: SubmitterState, record: Record[Any]) -> None:
    """Move the chain on, whatever becomes of the record, and check that this is its next link."""
    envelope = record.envelope
    if envelope.seq < chain.next_seq:
        # Somebody stores an old record again; the place that it had is taken, and stays.
        raise Void(ErrorName.REPLAYED, f"seq {envelope.seq} where {chain.next_seq} was next")
    linked = (envelope.seq, envelope.prev) == (chain.next_seq, chain.prev)
    wanted, taken = chain.next_seq, envelope.id in chain.ids
    chain.next_seq, chain.prev = envelope.seq + 1, record.text_digest
    chain.ids.add(envelope.id)
    if not linked:
        raise Void(
            ErrorName.CHAIN, f"seq {envelope.seq} where {wanted} was next: a record is missing"
        )
    if taken:
        raise Void(ErrorName.ID_TAKEN, f"id {envelope.id!r} already exists")


def _check_form(stated: Submission, rule: KindRule | None) -> None:
    record, body = stated.record, stated.body
    oversized = len(stated.entry.note) > GATE_NOTE_BYTES_AT_MOST or bool(record.attachments)
    if stated.role.kind == "gate" and oversized:
        raise MalformedError(
            f"a gate's record has {GATE_NOTE_BYTES_AT_MOST} bytes at most and no attachments",
            name=ErrorName.TOO_LARGE,
        )
    if rule is not None and rule.reads and too_long_to_read(body.kind, record.attachments):
        raise MalformedError(
            f"an attachment of {body.kind!r} has {READ_BYTES_AT_MOST} bytes at most",
            name=ErrorName.TOO_LARGE,
        )
    if rule is not None and stated.role.kind not in rule.by:
        raise Void(ErrorName.ROLE, f"{str(stated.role)!r} may not state {body.kind!r}")


def _check_timely(
    state: State, stated: Submission, chain: SubmitterState, trust: Trust, rule: KindRule | None
) -> None:
    at, body = stated.at, stated.body
    if chain.last_at is not None and at < chain.last_at:
        raise Void(ErrorName.TIME_BACK, "the submitter's time went back")
    if isinstance(body, Gap):
        # A gap stands before the records of the outage, so its own time is the outage's start; and
        # it is told when that is over: else a key could be excused in advance, or for any year.
        least = body.end - at - trust.skew
        began = body.start - trust.skew <= at <= body.end
        if began and _witnessed(stated, trust, least, timedelta.max):
            return
        raise Void(ErrorName.LATE, "a gap is of the outage's time and comes after it")
    if _witnessed(stated, trust, -trust.skew, trust.skew):
        return
    if isinstance(body, Intent):
        if _is_door(body) and _witnessed(stated, trust, -trust.skew, DOOR_WITHIN):
            return
        raise Void(ErrorName.PROVEN_LATE, "the intent was witnessed long after its own time")
    # A person's word is never late: an old one, taken late, would free whom it once freed.
    outcome = rule is not None and rule.outcome
    if isinstance(body, Ended) and body.statement is not None:
        outcome = False
    recent = state.witnessed is None or stated.at >= state.witnessed - GAP_BACK
    if not (outcome and recent and _excused(stated, chain.late, trust.skew)):
        raise Void(
            ErrorName.LATE, "the record was witnessed long after its time, and no gap says why"
        )


def _is_door(intent: Intent) -> bool:
    try:
        return isinstance(parse_statement(intent.statements[0].text), Door)
    except (MalformedError, IndexError):
        return False  # its judge says what is wrong with it


def _witnessed(stated: Submission, trust: Trust, least: timedelta, most: timedelta) -> bool:
    """Say whether those who cosigned between ``least`` and ``most`` after ``at`` are a quorum."""
    cosigned = stated.entry.cosigned
    return trust.tlog.quorum_met(
        {name for name, time in cosigned.items() if least <= time - stated.at <= most}
    )


def _excused(stated: Submission, gap: Gap | None, skew: timedelta) -> bool:
    if gap is None or not gap.first_seq <= stated.record.envelope.seq <= gap.last_seq:
        return False
    return gap.start - skew <= stated.at <= gap.end + skew
