"""Judges of what gates and the monitor saw, and of outages of anybody's logging."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from breakglass.records.fold.context import (
    Submission,
    Void,
    check_first_use,
    grant_of,
    in_force,
    lost_race,
    word_of,
)
from breakglass.records.fold.state import AttestedState, DoorState, DoorUse, GrantState, State
from breakglass.records.intent_limits import DOOR_LIFE
from breakglass.records.kinds import Bypassed
from breakglass.records.kinds.grants import Path
from breakglass.records.kinds.monitoring import Delivery
from breakglass.records.presentation import parse_presentation
from breakglass.records.signing.signature import PRESENTATION_NAMESPACE, verify_signature
from breakglass.records.statement import ReviewGate, parse_request
from breakglass.tlog.merkle import leaf_hash

GAP_RECORDS_AT_MOST = 10_000  # the cap of a spool; LEDGER.md section 3.10


def bypassed(state: State, stated: Submission) -> None:
    """A gate opened for glass: shown by the holder, to this gate, for this run, once.

    A grant that was ended early still counts here: a gate that is offline cannot know of it, and
    the passage is a fact.
    """
    body = stated.body
    _own_gate(stated)
    grant = grant_of(state, body.grant)
    if body.gate not in grant.intent.gates:
        raise Void("wrong_gate", f"grant {body.grant!r} does not open gate {body.gate!r}")
    if grant.intent.path is Path.DRILL:
        raise Void("wrong_gate", f"grant {body.grant!r} is a drill, which opens no gate")
    verify_signature(body.presentation, [grant.intent.holder], PRESENTATION_NAMESPACE)
    shown = parse_presentation(body.presentation.text)
    wanted = (state.log, grant.statement, f"gate:{body.gate}", body.run)
    found = (shown.log, shown.statement, shown.to, shown.run)
    if found != wanted or body.statement != grant.statement:
        raise Void("presentation", "the holder's presentation is of something else")
    _check_within(state, grant, body, stated.at, shown.at)
    if (body.gate, body.run) in grant.runs:
        raise lost_race(f"run {body.run!r} of gate {body.gate!r} stands already")
    runs = grant.runs | {(body.gate, body.run)}
    state.grants[body.grant] = replace(grant, runs=runs, bypasses=len(runs))


def _check_within(
    state: State, grant: GrantState, body: Bypassed, at: datetime, shown: datetime
) -> None:
    skew, intent = in_force(state).skew, grant.intent
    if at > intent.not_after + skew:
        raise Void("after_end", f"grant {body.grant!r} had expired")
    if at < intent.not_before - skew:
        raise Void("before_intent", f"grant {body.grant!r} had not begun")
    said = parse_request(intent.statements[0].text)
    if not said.at - skew <= shown <= min(intent.not_after, at + skew):
        raise Void("presentation", "the holder's presentation is of another time")


def passages(state: State, stated: Submission) -> None:
    """A gate's tally of one window."""
    _own_gate(stated)
    body = stated.body
    if body.end < body.start:
        raise Void("mismatch", "a window ends before it begins")
    tally = state.passages.setdefault(body.gate, {})
    for name in ("passed", "blocked", "could_not_evaluate", "bypassed", "sanctioned"):
        tally[name] = tally.get(name, 0) + getattr(body, name)


def _own_gate(stated: Submission) -> None:
    if stated.role.name != stated.body.gate:
        raise Void("role", "a gate states its own passages only")


def gap(state: State, stated: Submission) -> None:
    """A submitter's logging was out: its records of that time, named by number, may come late."""
    body, envelope = stated.body, stated.record.envelope
    if not envelope.seq < body.first_seq <= body.last_seq or body.end < body.start:
        raise Void("mismatch", "a gap names records behind it and a time that goes forward")
    if body.last_seq - body.first_seq >= GAP_RECORDS_AT_MOST:
        raise Void("mismatch", f"a gap names {GAP_RECORDS_AT_MOST} records at most")
    state.submitters[stated.submitter].late = body


def door(state: State, stated: Submission) -> None:
    """A gate or minter took a token of the custodians' door; its intent must follow, or be here.

    The word of one party: it grants nothing, and only makes the missing intent heard.
    """
    body = stated.body
    if body.not_after > stated.at + DOOR_LIFE:
        raise Void("life_lengthened", "a door is open for one hour at most")
    use = DoorUse(str(stated.role), body.run)
    known = state.doors.get(body.intent)
    if known is None:
        known = DoorState(
            body.grant, body.intent, body.who, body.glass, stated.entry.index, stated.witnessed
        )
    elif (known.grant, known.who, known.glass) != (body.grant, body.who, body.glass):
        raise Void("mismatch", "another record says something else of this door intent")
    if use in known.uses:
        raise lost_race("this use of the door stands already")
    state.doors[body.intent] = replace(known, uses=(*known.uses, use))


def alarm(state: State, stated: Submission) -> None:
    """The monitor rang, or tried to."""
    body = stated.body
    state.alarms[body.delivery.value] = state.alarms.get(body.delivery.value, 0) + 1
    grant = state.grants.get(body.about)
    if grant is not None and body.delivery is Delivery.DELIVERED and grant.rung_at is None:
        state.grants[body.about] = replace(grant, rung_at=stated.at)


def pulse(state: State, stated: Submission) -> None:
    """The monitor lives and has verified what came before."""
    if stated.body.size > stated.entry.index:
        raise Void("mismatch", "the monitor has verified entries that are not there")
    state.pulse_at = stated.at


def justified(state: State, stated: Submission) -> None:
    """The monitor decided again: this intent was allowed by the policy of its time."""
    body = stated.body
    grant = grant_of(state, body.grant)
    said = (body.leaf, body.index, body.policy)
    if said != (leaf_hash(grant.note).hex(), grant.index, grant.intent.policy):
        raise Void("mismatch", "the record is of another intent")
    if grant.justified:
        raise lost_race("the intent is justified already")
    state.grants[body.grant] = replace(grant, justified=True)


def attested(state: State, stated: Submission) -> None:
    """The monitor repeats what somebody who looked has found; each look counts once."""
    body = stated.body
    if body.looked > stated.at + in_force(state).skew:
        raise Void("mismatch", "the look is of a time that has not come")
    before = state.attested.get((body.subject, body.about))
    if before is not None and body.looked <= before.looked:
        raise Void("mismatch", "a later look at the same thing stands already")
    found = AttestedState(body.outcome.value, body.looked, stated.entry.index)
    state.attested[body.subject, body.about] = found


def gate_reviewed(state: State, stated: Submission) -> None:
    """A person said what the look at a gate decided; the monitor repeats it word for word."""
    body = stated.body
    said = word_of(state, body.statement, ReviewGate, stated.at)
    word = said.statement
    wanted = (word.gate, word.verdict, word.decision, word.look_again, word.who)
    if (body.gate, body.verdict, body.decision, body.look_again, body.by) != wanted:
        raise Void("mismatch", "the statement says something else of the gate")
    check_first_use(state, word)
    state.nonces[(word.who, word.nonce)] = said.digest
