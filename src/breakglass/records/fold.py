"""The fold: records in, state out; one rule for form, authority and order.

It reads no clock and asks nobody. Its only time is the records' own ``at``, which may not go back
per submitter and must lie near the witnesses' times. It does not run policy: the monitor re-runs
decisions and writes ``justified``, or rings. A record that does not hold is *void* and changes
nothing but its submitter's place in the chain. Source: docs/spec/record.md, «The fold».
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from breakglass.errors import BreakglassError, MalformedError
from breakglass.records import judging
from breakglass.records.judging import Entry, Void
from breakglass.records.kinds import Gap, Genesis, Intent, TrustActivated
from breakglass.records.record import GATE_NOTE_BYTES_AT_MOST, Record, Unknown, parse_record
from breakglass.records.state import State, SubmitterState
from breakglass.records.trust import Role, Trust
from breakglass.tlog.note import verified_lines


@dataclass(frozen=True)
class Judged:
    """What the fold made of an entry: it holds (``void`` empty) or is void, by name.

    ``quiet`` is true for a lost race between two honest replicas; every other void is an alarm.
    ``record`` is ``None`` where the bytes are no record at all.
    """

    index: int
    record: Record[Any] | None
    role: Role | None
    void: str = ""
    why: str = ""
    quiet: bool = False

    @property
    def holds(self) -> bool:
        """Say whether the record counts."""
        return not self.void


NEEDS_ATTACHMENTS = frozenset({"trust", "policy", "cards"})


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


def apply(state: State, entry: Entry) -> Judged:
    """Fold one entry into ``state``, in place, and say whether it holds.

    The state is one follower's own; copying it for each record would make a long log quadratic.

    Raises:
        ValueError: the entry is not the next one; a follower's own mistake.
    """
    if entry.index != state.size:
        raise ValueError(f"entry {entry.index} is not the next one, {state.size}")
    state.size += 1
    try:
        record = parse_record(entry.note)
    except BreakglassError as error:
        # The ledger reads only the envelope, so a taken-over submitter can have this stored.
        return _void(state, Judged(entry.index, None, None, "malformed", str(error)))
    role = None
    try:
        if entry.index < 2:
            _begin(state, entry, record)
        role = _check_submitter(state, record)
        # From here the note is the submitter's: its place in the chain counts, void or not.
        problem = _check_chain(state, entry, record)
        if problem:
            raise problem
        _judge(state, entry, record, role)
    except Void as void:
        return _void(state, Judged(entry.index, record, role, void.name, void.why, void.quiet))
    except BreakglassError as error:
        return _void(state, Judged(entry.index, record, role, error.name, str(error)))
    return Judged(entry.index, record, role)


def _void(state: State, judged: Judged) -> Judged:
    state.void.append((judged.index, judged.void))
    return judged


def _begin(state: State, entry: Entry, record: Record[Any]) -> None:
    # Entries 0 and 1 bootstrap each other: the genesis names the maintainers and is pinned by
    # digest; the first trust file, which those maintainers signed, names the key that signed both.
    if entry.index == 0 and isinstance(record.body, Genesis):
        state.log = record.envelope.log
        return
    if isinstance(record.body, TrustActivated) and state.trust is None:
        data = judging.attachment(entry.attachments, record, 0)
        state.trust = judging.first_trust(data, state.genesis)


def _check_submitter(state: State, record: Record[Any]) -> Role | None:
    if isinstance(record.body, Genesis):
        # Its own text is pinned; its signature is checked by nobody, and none is needed.
        if record.text_digest != state.genesis:
            raise Void("genesis", "entry 0 is not the genesis that the trust file names")
        return None
    if state.trust is None:
        raise Void("no_trust", "no trust file is in force yet")
    known = [
        found
        for line in record.note.lines
        if (found := state.trust.submitter(line.name, line.key_id)) is not None
    ]
    if len(known) != 1:
        raise Void("submitter", f"{len(known)} known submitters signed, one must")
    key, role = known[0]
    verified_lines(record.note, [key])
    door = isinstance(record.body, Intent) and len(record.note.lines) > 1
    if len(record.note.lines) != 1 and not door:
        raise Void("extra_lines", "the note carries a line beside its submitter's")
    return role


def _check_chain(state: State, entry: Entry, record: Record[Any]) -> Void | None:
    envelope = record.envelope
    name = _submitter_name(record, state.trust)
    chain = state.submitters.setdefault(name, SubmitterState())
    expected, previous, last_at = chain.next_seq, chain.prev, chain.last_at
    taken = envelope.id in chain.ids
    chain.next_seq, chain.prev = envelope.seq + 1, record.text_digest
    chain.last_at = max(envelope.at, last_at) if last_at else envelope.at
    chain.ids.add(envelope.id)
    if envelope.log != state.log:
        return Void("wrong_log", f"the record is of log {envelope.log!r}")
    if (envelope.seq, envelope.prev) != (expected, previous):
        return Void("chain", f"seq {envelope.seq} where {expected} was next: a record is missing")
    if taken:
        return Void("id_taken", f"id {envelope.id!r} stands already")
    if last_at is not None and envelope.at < last_at:
        return Void("time_back", "the submitter's time went back")
    return _check_timely(state, entry, record, chain)


def _check_timely(
    state: State, entry: Entry, record: Record[Any], chain: SubmitterState
) -> Void | None:
    trust, at = state.trust, record.envelope.at
    if trust is None or isinstance(record.body, Genesis):
        return None
    near = {name for name, time in entry.cosigned.items() if abs(time - at) <= trust.skew}
    if trust.tlog.quorum_met(near):
        return None
    if isinstance(record.body, Intent):
        if len(record.note.lines) > 1:  # the custodians' door: appended when the ledger is back
            return None
        return Void("proven_late", "the intent was witnessed long after its own time")
    # A gap stands before the notes that it excuses, so its own time is the outage's start.
    excused = chain.late is not None and chain.late[0] <= record.envelope.seq <= chain.late[1]
    if excused or isinstance(record.body, Gap):
        return None
    return Void("late", "the record was witnessed long after its own time, and no gap says why")


def _judge(state: State, entry: Entry, record: Record[Any], role: Role | None) -> None:
    body = record.body
    if isinstance(body, Unknown):
        return
    oversized = len(entry.note) > GATE_NOTE_BYTES_AT_MOST or bool(record.attachments)
    if role is not None and role.kind == "gate" and oversized:
        raise MalformedError(
            f"a gate's record has {GATE_NOTE_BYTES_AT_MOST} bytes at most and no attachments",
            name="too_large",
        )
    judge: Callable[..., None] = judging.JUDGES[type(body)]
    allowed = judging.ROLES[type(body)]
    if role is not None and role.kind not in allowed:
        raise Void("role", f"{str(role)!r} may not state {body.kind!r}")
    judge(state, judging.Stated(body, record, role, entry))


def _submitter_name(record: Record[Any], trust: Trust | None) -> str:
    for line in record.note.lines:
        if trust is None or trust.submitter(line.name, line.key_id) is not None:
            return line.name
    return record.note.lines[0].name
