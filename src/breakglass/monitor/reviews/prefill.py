"""Fills a review from records alone. Pure: a grant's state and history in, the record out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.monitor import alert_texts
from breakglass.monitor.history_projection import BypassThen, GrantHistory
from breakglass.monitor.reviews.inclusion_check import Audit
from breakglass.monitor.reviews.rates import rate_of
from breakglass.monitor.reviews.record import NOT_RECORDED, OPEN, Review, ReviewRecord
from breakglass.monitor.survey_alerts import counted
from breakglass.policy.factors import MFA_DOWN
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.grant import Path, session_name
from breakglass.records.kinds.answered import Reply
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.kinds.standing import Occasion, Standing
from breakglass.records.signing.signature import Factor

_ENDED = {
    EndedWhy.EXPIRED: "auto-expired",
    EndedWhy.DONE: "handed back by its holder",
    EndedWhy.KILLED: "killed",
    EndedWhy.IDLE: "ended for being idle",
    EndedWhy.INCIDENT_CLOSED: "ended with its incident",
    EndedWhy.NOT_MINTED: "nothing was minted",
    EndedWhy.WITHDRAWN: "withdrawn",
}


@dataclass(frozen=True)
class Sources:
    """Everything that one review is filled from."""

    grant: GrantState
    history: GrantHistory
    bypasses: Mapping[str, Sequence[BypassThen]]
    reviewers: tuple[str, ...]
    audit: Audit | None
    as_of: datetime


def fill(sources: Sources) -> Review:
    """Return the review of one grant as it stands at ``as_of``."""
    grant = sources.grant
    overdue = sources.as_of > grant.review_by
    record = ReviewRecord(
        incident=grant.incident or "none was named",
        severity=_severity(sources),
        broke_glass=grant.who,
        role_assumed=_role(grant),
        session=_session(sources),
        window=_window(grant),
        why_glass=_why(sources),
        actions_taken=tuple(_actions(sources)),
        gate_bypassed=_gates(sources),
        appropriate=f"{OPEN} — for the reviewer to say",
        audit_verified=str(sources.audit) if sources.audit else "not checked in this list",
        follow_ups=(),
        reviewer=_reviewer(sources, overdue=overdue),
        bypass_rate=_rates(sources),
    )
    return Review(
        grant.grant,
        grant.glass,
        grant.who,
        grant.index,
        grant.at,
        grant.review_by,
        overdue,
        grant.path is Path.DRILL,
        record,
    )


def _severity(sources: Sources) -> str:
    then = sources.history.incident
    if then is None:
        return "none: no incident was named"
    whose = f"; {then.standing}" if then.standing else ""
    return f"{then.severity} ({then.title}{whose})"


def _role(grant: GrantState) -> str:
    if not grant.minter:
        return f"{grant.glass} (no credential: the token alone opens {_names(grant.gates)})"
    platform = f"{grant.platform} " if grant.platform else ""
    return f"{grant.glass} ({platform}{grant.minter}: {alert_texts.scope(grant.scope)})"


def _session(sources: Sources) -> str:
    grant, asked = sources.grant, sources.history.asked
    name = session_name(grant.incident, grant.who)
    life = f"{(grant.not_after - grant.at).total_seconds():.0f}s"
    platform = sources.history.minted.platform if sources.history.minted else "token"
    if grant.glass.endswith(MFA_DOWN):
        by = alert_texts.says_mfa_is_down(grant.intent) if grant.intent else ""
        said = f"{by or 'the approver'} said that MFA was down"
        return f"{name}  ({platform}, {life}, ONE FACTOR: {said})"
    if asked is None:
        return f"{name}  ({platform}, {life}, factor {NOT_RECORDED})"
    age = f"{asked.factors.age_s}s"
    factor = {
        Factor.ONE: f"one factor only, age {age}",
        Factor.TWO: f"MFA age {age}",
        Factor.PHISHING_RESISTANT: f"MFA age {age}, phishing-resistant",
    }[asked.factors.factor]
    return f"{name}  ({platform}, {life}, {factor})"


def _window(grant: GrantState) -> str:
    start = f"{grant.at:%Y-%m-%dT%H:%M:%SZ}"
    if grant.ended is None:
        until = _later(grant.at, grant.not_after)
        return f"{start} → open until {until}  (no end recorded yet)"
    assert grant.ended_at is not None
    end = f"{start} → {_later(grant.at, grant.ended_at)}  ({_ENDED[grant.ended]}"
    if grant.minted_at is None:
        return f"{end})"
    if grant.tail_ms is None:
        return f"{end}; access not yet shown to be gone)"
    return f"{end}; access gone {alert_texts.span(timedelta(milliseconds=grant.tail_ms))} later)"


def _later(start: datetime, end: datetime) -> str:
    form = "%H:%M:%SZ" if end.date() == start.date() else "%Y-%m-%dT%H:%M:%SZ"
    return end.strftime(form)


def _why(sources: Sources) -> str:
    why = sources.history.why
    parts = [f"{why.text} [{why.code}]" if why else NOT_RECORDED]
    parts += filter(None, [alert_texts.asked_before(sources.grant.labels)])
    for answered in sources.history.answers:
        if answered.reply is Reply.NOBODY:
            parts.append(f"nobody answered {answered.pages} delivered pages")
        else:
            parts.append(f"an approver said {answered.reply.value}")
    return "; ".join(parts)


def _actions(sources: Sources) -> Iterator[str]:
    for each in sources.history.bypasses:
        yield f"went past gate {each.gate} for run {each.run} at {each.at:%H:%M:%SZ}"
    dead = sources.history.dead
    if dead is not None and dead.sessions_cut:
        yield f"{dead.sessions_cut} sessions were still open at the end and were cut"
    if dead is not None:
        yield from (f"left behind: {each}" for each in dead.left_behind)
    yield from _surveys(sources.history.surveys)
    if sources.history.minted is not None:
        yield f"what was done with the credential: {NOT_RECORDED}"
    elif not sources.history.bypasses:
        yield "none is recorded"


def _surveys(surveys: Sequence[Standing]) -> Iterator[str]:
    for each in surveys:
        counts = {name: tally.left for name, tally in each.counts.items() if tally.left}
        if each.occasion is Occasion.ENDED:
            found = f"{counted(counts)} of grants that are over" if counts else "nothing of a grant"
            yield f"survey of {each.target} at its end: {found} stands there without one"
        elif new := {name: tally.new for name, tally in each.counts.items() if tally.new}:
            yield f"survey of {each.target} when usable: {counted(new)} had come since the last one"
        if each.unknown:
            yield f"survey of {each.target}: {', '.join(each.unknown)} could not be read"


def _gates(sources: Sources) -> str:
    if not sources.history.bypasses:
        gates = sources.grant.gates
        return f"none (it could have opened {_names(gates)})" if gates else "none"
    said = {
        each.gate: f"{each.gate} gate — {each.state.replace('_', ' ')}"
        + (f": {each.detail}" if each.detail else "")
        for each in sources.history.bypasses
    }
    return "; ".join(said.values())


def _reviewer(sources: Sources, *, overdue: bool) -> str:
    grant = sources.grant
    late = "OVERDUE, was due" if overdue else "due"
    by = f"; by {' or '.join(sources.reviewers)}" if sources.reviewers else ""
    return f"{OPEN} — {late} {grant.review_by:%Y-%m-%d}{by}; not {grant.who}, who broke the glass"


def _rates(sources: Sources) -> str:
    gates = sorted({each.gate for each in sources.history.bypasses} or set(sources.grant.gates))
    if not gates:
        return "no gate stands behind this glass"
    rates = [rate_of(gate, sources.bypasses.get(gate, ()), sources.as_of) for gate in gates]
    return "; ".join(map(str, rates))


def _names(names: Sequence[str]) -> str:
    return " and ".join(names) or "no gate"
