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
from breakglass.records.fold.scheduled_start import (
    JUSTIFIED_WITHIN,
    justified_again,
    right_lost,
    start_refused,
)
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kinds.justified import Justified
from breakglass.records.statement import parse_statement

log = logging.getLogger("breakglass.monitor")
RUNG_BEFORE = timedelta(hours=1)
DECIDED_BEFORE = JUSTIFIED_WITHIN - timedelta(minutes=1)  # a minute for a wrong clock and the log
_BEGINS_WITHIN = timedelta(seconds=10)  # looks are a second apart
_JUDGED_WITHIN = timedelta(seconds=60)  # behind an intent
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
            waiting = [(grant, stood_against(grant, state, now)) for grant in
                       scheduled(state, chronicle)]  # fmt: skip
            cases = {
                grant.grant: start_case(grant, state, chronicle)
                for grant, why in waiting
                if decides_now(grant, now) and not why
            }
        news: list[Alert] = []
        decided: list[tuple[GrantState, Justified]] = []
        for grant, why in waiting:
            case = cases.get(grant.grant)
            verdict = Unjustified("start_refused", why) if why else None
            if case is not None:
                found = replay_start(case, now)
                if isinstance(found, Justified):
                    decided.append((grant, found))
                else:
                    verdict = found
            if verdict is not None and has_begun(grant, now):
                continue
            if verdict is not None:
                news.append(_refused(grant, verdict, now))
            elif now < grant.not_before or justified_again(grant):
                # It starts by our word in the ledger alone: before that stands there, nothing does.
                news += starting(grant, now)
        # (1) Ring. On every channel's disk when this returns; each is rung once, by its key.
        addressed = [one for each in news for one in with_concerned(each)]
        self._ringing.ring(addressed, chronicle.kept.heard)
        # (2) State. A crash before this decides at the next look; behind it the record has its id,
        #     which counts once.
        for grant, body in decided:
            try:
                self._stating.post(Fact(f"{grant.grant}/justified/start", body))
            except UnavailableError as error:
                log.error("grant %s: 'justified' is not stated: %s", grant.grant, error)


def has_begun(grant: GrantState, now: datetime) -> bool:
    """Say whether it is too late to refuse a start: without a credential it comes by itself."""
    assert grant.intent is not None, "what is not finished keeps its intent"
    return not grant.intent.minter and now > grant.not_before + _BEGINS_WITHIN


def stood_against(grant: GrantState, state: State, now: datetime) -> str:
    """Say what the ledger of now has against a start that is near; empty: nothing, or not near.

    Whether the policy of now allows it is for ``replay_start`` to say.
    """
    if now < grant.not_before - DECIDED_BEFORE:
        return ""
    if not grant.justified:
        # One that was granted a moment ago: our word of it is on its way into the ledger.
        late = now > grant.at + _JUDGED_WITHIN
        return "the monitor did not find it justified when it was granted" if late else ""
    return start_refused(state, grant) if justified_again(grant) else right_lost(state, grant)


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


def _refused(grant: GrantState, verdict: Unjustified, now: datetime) -> Alert:
    """Say that a start is not allowed; before it has come that may change yet, by news of its own.

    Whoever reopens the incident in the last minute lets it start, which ``starts_now`` tells.
    """
    came = now >= grant.not_before
    start = f"{grant.not_before:%Y-%m-%d %H:%M} UTC"
    said = (
        f"NOT STARTED: {grant.glass!r} of {grant.who} was to begin {start} and is not allowed any"
        " more"
        if came
        else f"WILL NOT START as things stand: {grant.glass!r} of {grant.who}, to begin {start}, is"
        " not allowed any more"
    )
    text = (
        f"{said}: {verdict.why} [{verdict.name}]. Still needed? "
        + (f"{grant.who} asks again." if came else f"Mend that before its start, or {grant.who}"
           " asks again.")
    )  # fmt: skip
    fields = {"who": grant.who, "glass": grant.glass, "why": f"{verdict.name}: {verdict.why}"}
    subject = "start_refused" if came else "will_not_start"
    return _news(subject, grant, grant.not_before, text, fields)


def _news(
    subject: str, grant: GrantState, at: datetime, text: str, fields: dict[str, str]
) -> Alert:
    return Alert(subject, grant.grant, grant.index, grant.grant, at, text, fields)
