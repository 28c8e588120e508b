"""What the fold forgets, and when: by its own time W (F-78) and by constants, for everybody alike.

Two halves. *Lookups*: judges ask here, and what has had its time is not found any more, whether it
still lies in memory or not. *The sweep*: drops what no lookup can find. A fold that never sweeps
therefore judges alike, and when the sweep runs is nobody's matter. Source: docs/spec/record.md,
«What the fold forgets».
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from breakglass.records.fold.slices.grant_ids import number_of

if TYPE_CHECKING:
    from breakglass.records.fold.slices.gates import DoorState
    from breakglass.records.fold.slices.grants import (
        AskedState,
        EndedAsk,
        GrantState,
        RefusedState,
    )
    from breakglass.records.fold.slices.incidents import IncidentState
    from breakglass.records.fold.slices.monitor import RosterState
    from breakglass.records.fold.state import State
    from breakglass.records.statement import Statement

# More than twice the largest skew (15 min), the longest wait (1 h) and the door's day together.
STATEMENT_KEPT = timedelta(hours=48)
GRANT_KEPT = timedelta(days=30)  # behind its end and its review's due date; a gap excuses 7 days
INCIDENT_KEPT = timedelta(days=30)  # behind its close
ROSTER_KEPT = timedelta(days=14)  # the most that a policy can call fresh
# What is older than a forgotten roster is refused for its age, though W and ``at`` differ.
ROSTER_GRACE = timedelta(days=1)


def passed(state: State, at: datetime, kept: timedelta) -> bool:
    """Say whether more than ``kept`` lies between ``at`` and the fold's own time."""
    return state.witnessed is not None and state.witnessed - at > kept


def is_old(state: State, said_at: datetime) -> bool:
    """Say whether a statement signed then counts for nothing any more, used or not."""
    return passed(state, said_at, STATEMENT_KEPT)


def has_left(state: State, grant: GrantState) -> bool:
    """Say whether a grant was over for so long that nothing is heard of it any more."""
    return grant.over_at is not None and passed(state, grant.over_at, GRANT_KEPT)


def used_by(state: State, said: Statement) -> str | None:
    """Return the digest of the statement that used this one's nonce; ``None``: nobody has."""
    found = state.statements.nonces.get((said.who, said.nonce))
    return None if found is None or is_old(state, found.since) else found.digest


def waiting_ask(state: State, grant: str) -> AskedState | None:
    """Return the ask that waits under this id, if one does."""
    found = state.grants.asked.get(grant)
    return None if found is None or is_old(state, found.said.at) else found


def ended_ask(state: State, grant: str) -> EndedAsk | None:
    """Return the ask under this id that waits no more and came to no grant."""
    found = state.grants.ended_asks.get(grant)
    return None if found is None or is_old(state, found.ask.said.at) else found


def refusal(state: State, grant: str) -> RefusedState | None:
    """Return how the request under this id was refused, if it was."""
    found = state.grants.refused.get(grant)
    return None if found is None or is_old(state, found.said_at) else found


def standing_grant(state: State, grant: str) -> GrantState | None:
    """Return the grant of this id, unless it has left."""
    found = state.grants.by_id.get(grant)
    return None if found is None or has_left(state, found) else found


def is_closed(state: State, grant: str) -> bool:
    """Say whether a grant of this id was here and has left."""
    found = state.grants.by_id.get(grant)
    return grant in state.grants.closed if found is None else has_left(state, found)


def standing_incident(state: State, incident: str) -> IncidentState | None:
    """Return the incident of this id, unless it closed long ago."""
    found = state.incidents.by_id.get(incident)
    if found is None or (found.closed_at and passed(state, found.closed_at, INCIDENT_KEPT)):
        return None
    return found


def standing_rosters(state: State, group: str) -> tuple[RosterState, ...]:
    """Return the newest roster of a group and the one before it, as far as they still count."""
    return tuple(
        each
        for each in state.monitor.rosters.get(group, ())
        if not passed(state, each.taken_at, ROSTER_KEPT + ROSTER_GRACE)
    )


def known_door(state: State, intent: str) -> DoorState | None:
    """Return what was told of the door intent of this digest, unless its grant has left."""
    found = state.gates.doors.get(intent)
    if found is None or not is_closed(state, found.grant):
        return found
    grant = state.grants.by_id.get(found.grant)
    return None if grant is not None and grant.text_digest == intent else found


def forget(state: State) -> None:
    """Drop what no judge can find any more, and shrink what is finished.

    Runs where W enters another day, behind the judgement of that entry: the same for everybody
    who folds, since both follow from the log alone.
    """
    if state.witnessed is None:
        return
    _forget_words(state)
    _shrink_grants(state)
    _let_grants_go(state, state.witnessed - GRANT_KEPT)
    rosters = state.monitor.rosters
    for group in list(rosters):
        standing = standing_rosters(state, group)
        if standing:
            rosters[group] = standing
        else:
            del rosters[group]
    incidents = state.incidents.by_id
    for name in [each for each in incidents if standing_incident(state, each) is None]:
        del incidents[name]


def _forget_words(state: State) -> None:
    grants, nonces = state.grants, state.statements.nonces
    for key in [key for key, each in nonces.items() if is_old(state, each.since)]:
        del nonces[key]
    for name in [each for each in grants.asked if waiting_ask(state, each) is None]:
        del grants.asked[name]
    for name in [each for each in grants.ended_asks if ended_ask(state, each) is None]:
        del grants.ended_asks[name]
    for name in [each for each in grants.refused if refusal(state, each) is None]:
        del grants.refused[name]
    known = grants.asked.keys() | grants.ended_asks.keys()
    for pair in [pair for pair, grant in grants.last_ask.items() if grant not in known]:
        del grants.last_ask[pair]
    running = grants.by_id.running
    for pair in [pair for pair, grant in grants.scheduled.items() if grant not in running]:
        del grants.scheduled[pair]


def _shrink_grants(state: State) -> None:
    table = state.grants.by_id
    for name in [name for name, each in table.running.items() if each.finished_at is not None]:
        table.shrink(name)


def _let_grants_go(state: State, over_before: datetime) -> None:
    table, doors = state.grants.by_id, state.gates.doors
    leaving = table.over_before(over_before)
    if not leaving:
        return
    gone = set(leaving)
    # A door whose own intent never came stays: it is told of until somebody brings it.
    for intent in [
        intent
        for intent, door in doors.items()
        if number_of(door.grant) in gone and known_door(state, intent) is None
    ]:
        del doors[intent]
    for key in [
        (target, name)
        for target, name in state.governance.suspended
        if target == "grant" and number_of(name) in gone
    ]:
        del state.governance.suspended[key]
    for number in leaving:
        del table.finished[number]
    state.grants.closed.add(leaving)
