"""Whether a grant that was put off may begin: everything that allowed it is asked again.

An ask may lie a week before its start. Meanwhile people leave, keys are taken back and policies
change, so at the start the ledger of that moment decides, and not the one of the asking. Pure;
minter, monitor and broker share it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from breakglass.errors import BreakglassError
from breakglass.records.authority import check_statements
from breakglass.records.fold.context import in_force
from breakglass.records.intent_limits import check_terms
from breakglass.records.kind_sets import SET_2

if TYPE_CHECKING:
    from breakglass.records.fold.slices.governance import ActiveCard
    from breakglass.records.fold.slices.grants import GrantState
    from breakglass.records.fold.state import State

JUSTIFIED_WITHIN = timedelta(minutes=5)  # before the start: so old may the monitor's word be
JUSTIFIED_LATE = timedelta(seconds=60)  # behind the start: so long is it waited for


def right_lost(state: State, grant: GrantState, active: ActiveCard | None = None) -> str:
    """Say why the card in force no longer gives what was approved; empty if it does.

    The asker and every approver must have the same right by the same key, nobody of them may be
    suspended, and the card must still allow this very start, scope and life.

    Args:
        state: as folded.
        grant: put off, and not finished.
        active: a card that is about to take force, in place of the one that is.
    """
    assert grant.intent is not None, "what is not finished keeps its intent"
    if in_force(state).kinds < SET_2:
        return f"no trust file puts kinds {SET_2} in force"
    active = active or state.governance.cards.get(grant.glass)
    if active is None:
        return f"glass {grant.glass!r} has no card in force"
    try:
        asking = check_statements(grant.intent, active.card, active.people.by_name)
        check_terms(grant.intent, grant.at, asking, active.card, in_force(state).skew)
    except BreakglassError as error:
        return f"the card in force does not give it any more: {error}"
    stopped = state.governance.suspensions(grant.who, grant.glass, grant.grant)
    stopped += tuple(
        f"person {who!r}" for who in asking.factors if ("person", who) in state.governance.suspended
    )
    return f"{stopped[0]} is suspended" if stopped else ""


def start_refused(state: State, grant: GrantState) -> str:
    """Say why a grant may not begin at its start; empty if it may.

    Beside ``right_lost``: its incident, if it names one, is open by a person's word, and the
    monitor has decided again, at most 5 minutes before the start.
    """
    lost = right_lost(state, grant)
    if lost:
        return lost
    if grant.incident:
        found = state.incidents.by_id.get(grant.incident)
        counts = found.vouched if found is not None else None
        if found is None or not found.open or counts is None or not counts.open:
            return f"incident {grant.incident!r} is not open"
    if not justified_again(grant):
        return "the monitor has not decided again at its start"
    return ""


def justified_again(grant: GrantState) -> bool:
    """Say whether the monitor has decided about the start itself."""
    at = grant.justified_at
    return at is not None and at >= grant.not_before - JUSTIFIED_WITHIN
