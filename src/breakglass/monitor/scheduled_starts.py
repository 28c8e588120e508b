"""Grants that start later: decided again at their start, and rung an hour before and at it.

Between asking and start lie up to seven days. Who rang on Monday is forgotten on Sunday, so people
hear of it again while it can still be stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from breakglass.errors import UnavailableError
from breakglass.monitor.alert_texts import clock_time
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.decision_replay import Case, Unjustified, case_of, replay_start
from breakglass.monitor.entry_handler import EntryHandler
from breakglass.monitor.history_projection import Bundle, HistoryProjection, incident_then
from breakglass.monitor.people.concerned import with_concerned
from breakglass.monitor.witnessed_time import WitnessedTime
from breakglass.node.replica import Replica
from breakglass.node.submitter import Fact, Submitter
from breakglass.records.fold.scheduled_start import JUSTIFIED_WITHIN, justified_again, right_lost
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kinds.justified import Justified
from breakglass.records.statement import parse_statement

log = logging.getLogger("breakglass.monitor")
RUNG_BEFORE = timedelta(hours=1)
DECIDED_BEFORE = JUSTIFIED_WITHIN - timedelta(minutes=1)  # a minute for a wrong clock and the log
_NEWS_FOR = timedelta(minutes=10)  # behind its start; later nobody acts on it


class ScheduledStarts:
    """Looks once when called; ``look`` belongs to one thread, and keeps nothing."""

    def __init__(
        self,
        view: Replica,
        following: EntryHandler,
        ringing: Dispatch,
        stating: Submitter,
        now: WitnessedTime,
    ) -> None:
        self._view = view
        self._following = following
        self._ringing = ringing
        self._stating = stating
        self._now = now

    def look(self) -> None:
        """Ring what starts within the hour or now, and decide what starts in a few minutes."""
        now, chronicle = self._now.now(), self._following.chronicle
        with self._view.reading() as state:
            waiting = list(scheduled(state, chronicle))
            news = [each for grant in waiting for each in starting(grant, now)]
            cases = [
                (start_case(grant, state, chronicle), right_lost(state, grant))
                for grant in waiting
                if decides_now(grant, now)
            ]
        # (1) Ring. On every channel's disk when this returns; each is rung once, by its key.
        addressed = [one for each in news for one in with_concerned(each)]
        self._ringing.ring(addressed, chronicle.kept.heard)
        # (2) Decide. A crash before this decides at the next look; behind it the record has its id,
        #     which counts once.
        for case, lost in cases:
            self._decide(case, lost, now)

    def _decide(self, case: Case, lost: str, now: datetime) -> None:
        grant = case.grant
        verdict = Unjustified("start_refused", lost) if lost else replay_start(case, now)
        if isinstance(verdict, Unjustified):
            told = list(with_concerned(_refused(grant, verdict)))
            self._ringing.ring(told, self._following.chronicle.kept.heard)
            return
        assert isinstance(verdict, Justified)
        try:
            self._stating.post(Fact(f"{grant.grant}/justified/start", verdict))
        except UnavailableError as error:
            log.error("grant %s: 'justified' is not stated: %s", grant.grant, error)


def scheduled(state: State, chronicle: HistoryProjection) -> Iterator[GrantState]:
    """Yield the grants that were put off and may still begin."""
    for name in sorted(chronicle.kept.unfinished):
        grant = state.grants.by_id.get(name)
        if grant is None or grant.minted_at is not None or not grant.scheduled:
            continue
        stopped = state.governance.suspensions(grant.who, grant.glass, grant.grant)
        if grant.ended is None and not stopped:
            yield grant


def decides_now(grant: GrantState, now: datetime) -> bool:
    """Say whether the start of a grant is to be decided now; only once it was allowed at all."""
    due = grant.not_before - DECIDED_BEFORE <= now <= grant.not_after
    return grant.justified and due and not justified_again(grant)


def start_case(grant: GrantState, state: State, chronicle: HistoryProjection) -> Case:
    """Gather what a start is judged on: the ask as it was, and the ledger as it is."""
    case = case_of(grant.grant, state, chronicle)
    history = replace(
        case.history,
        bundle=Bundle(state.governance.bundle),
        incident=incident_then(state, grant.incident),
    )
    active = state.governance.cards.get(grant.glass, grant.card)
    return replace(case, grant=replace(grant, card=active), history=history, earlier=None)


def starting(grant: GrantState, now: datetime) -> Iterator[Alert]:
    """Yield what is to be rung of a start: an hour before, and when it has come."""
    start = grant.not_before
    approved = approvers(grant)
    kill = f"breakglass kill {grant.grant}"
    fields = {
        "who": grant.who,
        "glass": grant.glass,
        "incident": grant.incident,
        "approvers": ", ".join(approved),
        "until": f"{grant.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "kill": kill,
    }
    what = (
        f"{grant.who} gets {grant.glass!r} until {clock_time(grant.not_after)}, asked for"
        f" {grant.at:%Y-%m-%d %H:%M} UTC and approved by {', '.join(approved)}."
    )
    if start - RUNG_BEFORE <= now < start:
        text = f"STARTS AT {clock_time(start)}: {what} Not right any more? Stop it now: {kill}"
        yield _news("starts_soon", grant, start, text, fields)
    elif start <= now < min(start + _NEWS_FOR, grant.not_after):
        text = f"STARTS NOW: {what} Stop it: {kill}"
        yield _news("starts_now", grant, start, text, fields)


def approvers(grant: GrantState) -> list[str]:
    """Return who approved a grant, in the order of their statements."""
    assert grant.intent is not None, "what is not finished keeps its intent"
    return [parse_statement(each.text).who for each in grant.intent.statements[1:]]


def _refused(grant: GrantState, verdict: Unjustified) -> Alert:
    text = (
        f"NOT STARTED: {grant.glass!r} of {grant.who} was to begin"
        f" {grant.not_before:%Y-%m-%d %H:%M} UTC and is not allowed any more: {verdict.why}"
        f" [{verdict.name}]. Still needed? {grant.who} asks again."
    )
    fields = {"who": grant.who, "glass": grant.glass, "why": f"{verdict.name}: {verdict.why}"}
    return _news("start_refused", grant, grant.not_before, text, fields)


def _news(
    subject: str, grant: GrantState, at: datetime, text: str, fields: dict[str, str]
) -> Alert:
    return Alert(subject, grant.grant, grant.index, grant.grant, at, text, fields)
