"""Everything is stopped, or let go again: the word of one of the two people whom that takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.records.fold.ask_rules import stop_asks
from breakglass.records.fold.context import (
    Submission,
    Void,
    check_first_use,
    lost_race,
    word_of,
)
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.governance import ALL, AllStop, FirstWord, SuspensionState
from breakglass.records.fold.slices.overlay import every_key
from breakglass.records.kind_sets import SET_2
from breakglass.records.record import Kind
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.statement import Do, KillAll, digest_of

if TYPE_CHECKING:
    from breakglass.records.fold.state import State

SECOND_WITHIN = timedelta(minutes=15)  # by the witnesses' times; then the first word is worth none
WORDS_KEPT = 16  # of the newest eight standstills: an end may come late, by an earlier one's word


@dataclass(frozen=True)
class AllSuspended(Kind):
    """One person's word to stop everything, or to let it go again; a second one's puts it in force.

    ``active`` true takes a statement that says ``kill_all``, false one that says ``lift_all``.
    """

    kind: ClassVar[str] = "all_suspended"
    active: bool
    statement: Signed | SignedByPasskey


def judge(state: State, stated: Submission) -> None:
    """The first of two people's words waits; the second one's stops everything, or lets it go."""
    body, governance = stated.body, state.governance
    said = word_of(state, body.statement, KillAll, stated.at)
    who = said.statement.who
    if not governance.may_kill(who):
        raise RefusedError(f"{who!r} may not kill", name=ErrorName.UNKNOWN_PERSON)
    if said.statement.do is not (Do.KILL_ALL if body.active else Do.LIFT_ALL):
        raise Void(ErrorName.MISMATCH, f"the statement says {said.statement.do.value!r}")
    if body.active == (ALL in governance.suspended):
        raise lost_race("everything has this state already")
    check_first_use(state, said.statement)
    first = waiting_word(state, stated.witnessed)
    if first is not None and first.active != body.active:
        first = None
    if first is not None and first.who == who:
        raise lost_race(f"the word of {who!r} waits for a second person already")
    state.statements.use(said.statement, said.digest)
    index = stated.entry.index
    if first is None:
        governance.first_word = FirstWord(body.active, who, index, stated.witnessed, body.statement)
        return
    governance.first_word = None
    if not body.active:
        governance.suspended.pop(ALL)
        return
    governance.suspended[ALL] = SuspensionState(index, body.statement)
    earlier = governance.all_stop.statements if governance.all_stop is not None else ()
    words = (*earlier, digest_of(first.statement.text), said.digest)[-WORDS_KEPT:]
    governance.all_stop = AllStop(index, stated.at, words, body.statement)
    stop_asks(state, lambda ask: True, who, stated)
    table = state.grants.by_id
    for name in every_key(table.running):
        grant = table[name]
        if grant.ended is None and grant.stopped_at is None:
            table[name] = replace(grant, stopped_at=stated.at)


def waiting_word(state: State, at: datetime) -> FirstWord | None:
    """Return the first word that still waits for a second person's at this time."""
    first = state.governance.first_word
    if first is None or at - first.seen > SECOND_WITHIN:
        return None
    # Who was stopped since, or may not kill any more, has taken their word along.
    stands = state.governance.may_kill(first.who)
    stands = stands and ("person", first.who) not in state.governance.suspended
    return first if stands else None


RULE = KindRule(AllSuspended, by=frozenset({"broker"}), judge=judge, since=SET_2)
