"""What is said of grants that an incident's close or a new policy ends, while it can be stopped."""

from __future__ import annotations

from datetime import datetime

from breakglass.errors import BreakglassError
from breakglass.monitor.alert_texts import clock_time
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.policy.early_ends import ends_with_incident, lives_of
from breakglass.policy.grant_life import NO_LIFE
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.scheduled_start import right_lost
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State


def closing(
    body: kinds.Incident, index: int, at: datetime, state: State, chronicle: HistoryProjection
) -> Alert | None:
    """Warn the holders whose grants end because this incident was just closed; none: nobody's do.

    One message for all of them: a close has one entry, and news is known by its entry.
    """
    incident = state.incidents.by_id.get(body.incident)
    if incident is None or incident.open:
        return None
    try:
        lives = lives_of(state.governance.bundle)
    except BreakglassError:
        return None  # no minter of this release ends them either, and each rings that
    ends = [
        (grant, when)
        for grant in _running(state, chronicle)
        if grant.incident == body.incident
        and (when := ends_with_incident(lives.get(grant.glass, NO_LIFE), grant, incident))
    ]
    if not ends or incident.word is None:
        return None
    by = incident.word.who
    told = "; ".join(
        f"{grant.glass!r} of {grant.who} ({grant.grant})"
        f" {'now' if grant.who == by else f'at {clock_time(when)}'}"
        for grant, when in ends
    )
    keep = f"breakglass incident declare {body.incident} --severity {body.severity} --title TEXT"
    text = (
        f"ENDING with incident {body.incident}, closed by {by}: {told}. Still repairing? Keep it:"
        f" {keep}"
    )
    fields = {
        "who": ", ".join(sorted({grant.who for grant, _ in ends})),
        "incident": body.incident,
        "keep": keep,
    }
    about = f"incident/{body.incident}"
    return Alert("incident_closing", about, index, about, at, text, fields)


def ended_starts(state: State, chronicle: HistoryProjection) -> str:
    """Name the grants that were put off and that the cards in force end; empty if none are."""
    lost = [
        f"{grant.grant} of {grant.who} ({grant.glass!r}, {grant.not_before:%Y-%m-%d %H:%M} UTC):"
        f" {why}"
        for grant in _running(state, chronicle)
        if grant.scheduled and grant.minted_at is None and (why := right_lost(state, grant))
    ]
    return f" They end what was to start later: {'; '.join(lost)}." if lost else ""


def _running(state: State, chronicle: HistoryProjection) -> list[GrantState]:
    found = [state.grants.by_id.get(name) for name in sorted(chronicle.kept.unfinished)]
    return [
        each
        for each in found
        if each is not None and each.ended is None and each.stopped_at is None
    ]
