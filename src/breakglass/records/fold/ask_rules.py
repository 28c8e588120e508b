"""What judges share about asks: who may answer, how an ask ends, what the log says of it later.

The story told beside a grant («approvers silent») must be worth nothing to lie about, so nobody
states it: it follows from the records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from breakglass.error_names import ErrorName
from breakglass.records.fold.context import Submission, Void, in_force
from breakglass.records.fold.forgetting import ended_ask, standing_grant, waiting_ask
from breakglass.records.fold.slices.grants import AskedState, EndedAsk, GrantState
from breakglass.records.fold.slices.overlay import every_key
from breakglass.records.grant import Path
from breakglass.records.people_list import May
from breakglass.records.statement import AccessRequest, Do

if TYPE_CHECKING:
    from breakglass.records.fold.state import State

ASKED_BEFORE = timedelta(hours=1)  # who asked within it and then breaks has asked before breaking


def may_approve(state: State, glass: str, who: str) -> bool:
    """Say whether the card in force lets ``who`` approve what is asked of this glass."""
    active = state.governance.cards.get(glass)
    person = active.people.by_name.get(who) if active else None
    return person is not None and May.APPROVE in person.may


def standing_ask(state: State, who: str, glass: str, stated: Submission) -> AskedState | None:
    """Return the ask of this person and glass that waits, by the witnesses' time."""
    grant = state.grants.last_ask.get((who, glass))
    waiting = waiting_ask(state, grant) if grant is not None else None
    return waiting if waiting is not None and stated.witnessed <= waiting.until else None


def scheduled_grant(state: State, who: str, glass: str, now: datetime) -> GrantState | None:
    """Return the grant of this person and glass that begins after ``now`` and may still begin."""
    name = state.grants.scheduled.get((who, glass))
    found = standing_grant(state, name) if name is not None else None
    waits = found is not None and found.ended is None and found.stopped_at is None
    return found if waits and found is not None and found.not_before > now else None


def end_ask(state: State, grant: str, name: ErrorName, by: str, stated: Submission) -> None:
    """Let an ask wait no more; it must be one that waits."""
    waiting = state.grants.asked.pop(grant)
    state.grants.ended_asks[grant] = EndedAsk(
        name, by, stated.entry.index, stated.witnessed, waiting
    )


def check_not_ended(state: State, grant: str, stated: Submission) -> None:
    """Check that the ask behind a grant was not ended.

    Raises:
        Void: ``refused_by_approver``, ``withdrawn``, ``overtaken`` or ``suspended``; quietly within
            the skew of that, since two honest brokers may cross.
    """
    ended = ended_ask(state, grant)
    if ended is None:
        return
    raise void_of(ended, quiet=stated.witnessed - ended.seen <= in_force(state).skew)


def void_of(ended: EndedAsk, *, quiet: bool) -> Void:
    """Return how a record behind an ended ask is void: by the name of what ended it."""
    why = f"entry {ended.index}, by {ended.by!r}, ended what was asked for"
    return Void(ended.name, why, quiet=quiet)


def labels_of(state: State, path: Path, said: AccessRequest, stated: Submission) -> tuple[str, ...]:
    """Return what the log says of asking before a glass was broken; empty for any other path.

    ``not_asked``, ``refused_by:NAME``, ``approvers_silent``, ``not_paged`` or ``did_not_wait``.
    """
    active = state.governance.cards.get(said.glass)
    if path is not Path.GLASS or active is None or active.card.ask_need == 0:
        return ()
    grant = state.grants.last_ask.get((said.who, said.glass), "")
    ended = ended_ask(state, grant)
    ask = ended.ask if ended is not None else waiting_ask(state, grant)
    if ask is None or stated.witnessed - ask.seen > ASKED_BEFORE:
        return ("not_asked",)
    if ended is not None and ended.name == ErrorName.REFUSED_BY_APPROVER:
        return (f"refused_by:{ended.by}",)
    if ask.silent:
        return ("approvers_silent",)
    return ("did_not_wait",) if ask.pages else ("not_paged",)


def overtake(state: State, said: AccessRequest, stated: Submission) -> None:
    """End the ask that a break of the same person and glass leaves behind."""
    grant = state.grants.last_ask.get((said.who, said.glass), "")
    if said.do is not Do.ASK and waiting_ask(state, grant) is not None:
        end_ask(state, grant, ErrorName.OVERTAKEN, said.who, stated)


def stop_asks(
    state: State, meant: Callable[[AskedState], bool], by: str, stated: Submission
) -> None:
    """End the waiting asks that a kill is meant for; they are granted by nobody any more."""
    for grant in every_key(state.grants.asked):
        waiting = waiting_ask(state, grant)
        if waiting is not None and meant(waiting):
            end_ask(state, grant, ErrorName.SUSPENDED, by, stated)


def drop_answers(state: State, who: str) -> None:
    """Take a stopped person's answers from the asks that wait: they count no more."""
    for grant in every_key(state.grants.asked):
        waiting = waiting_ask(state, grant)
        if waiting is not None and any(each.who == who for each in waiting.answers):
            left = tuple(each for each in waiting.answers if each.who != who)
            state.grants.asked[grant] = replace(waiting, answers=left)
