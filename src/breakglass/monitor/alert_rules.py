"""Which records are news, and what is said of each. Pure: the fold's judgement in, news out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError
from breakglass.monitor import alert_texts
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.decision_replay import Unjustified
from breakglass.monitor.early_end_texts import closing, ended_starts
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.monitor.leavers import leavers
from breakglass.monitor.survey_alerts import of_survey
from breakglass.policy.factors import MFA_DOWN
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State
from breakglass.records.grant import path_of
from breakglass.records.kinds.all_suspended import SECOND_WITHIN
from breakglass.records.kinds.asked import Outcome
from breakglass.records.kinds.attested import Attesting
from breakglass.records.record import Record, Unknown
from breakglass.records.statement import Kill, KillAll, parse_request, parse_statement
from breakglass.records.submitter_line import submitter_of
from breakglass.shown_text import NAME_AT_MOST, shown

_OWN = frozenset({"alert", "pulse"})
_OF_TIME = frozenset({ErrorName.LATE, ErrorName.TIME_BACK, ErrorName.AFTER_END})
_WRONG_CLOCK = (
    "Most likely the clock of that gate's machine is wrong: look at it first (timedatectl)."
)
_UNEXPECTED = (
    "Not expected? Call the maintainers now: enough of their keys signed it. If they did not, those"
    " keys are stolen."
)


def alert_for(
    judged: Judged, entry: Entry, state: State, chronicle: HistoryProjection
) -> tuple[Alert, ...]:
    """Return what one record tells that people must hear.

    Args:
        judged: what the fold made of it.
        entry: the bytes and the times.
        state: the fold with the record in it.
        chronicle: likewise.
    """
    if judged.quiet:
        return ()
    if not judged.holds:
        return (_forbidden(judged, entry, state),)
    assert judged.record is not None
    envelope, body = judged.record.envelope, judged.record.body
    told = _of_a_grant(body, judged.index, envelope.at, str(judged.role), state, chronicle)
    told = told or _of_the_rules(body, judged.index, envelope.at, envelope.id, state, chronicle)
    more = None
    if isinstance(body, kinds.Standing):
        surveys = chronicle.kept.surveys[body.target]
        return tuple(of_survey(surveys, judged.index, envelope.at, envelope.id, state))
    if isinstance(body, kinds.Incident):
        more = closing(body, judged.index, envelope.at, state, chronicle)
    elif isinstance(body, kinds.Policy | kinds.Cards):
        more = leavers(body, judged.index, envelope.at, envelope.id, state)
    elif isinstance(body, kinds.Intent) and body.glass.endswith(MFA_DOWN):
        # A message of its own, in the same thread: whoever is used to the usual one stops at it.
        text = alert_texts.mfa_down(state.grants.by_id[body.grant])
        fields = {"who": body.who, "glass": body.glass, "kill": f"breakglass kill {body.grant}"}
        more = Alert("mfa_down", body.grant, judged.index, body.grant, envelope.at, text, fields)
    return tuple(each for each in (told, more) if each is not None)


def unjustified(verdict: Unjustified, index: int, grant: str, state: State) -> Alert:
    """Return the news that an intent stands in the ledger and should not."""
    found = state.grants.by_id[grant]
    who, glass = found.who, found.glass
    text = (
        f"NOT JUSTIFIED: the intent of {who} for {glass!r} (entry {index}) is in the ledger, but"
        f" the policy of its time does not allow it: {verdict.why} [{verdict.name}]. The broker"
        f" granted what it should have refused. Stop it: breakglass kill {grant}"
    )
    fields = {
        "who": who,
        "glass": glass,
        "incident": found.incident,
        "why": f"{verdict.name}: {verdict.why}",
        "kill": f"breakglass kill {grant}",
    }
    return Alert("unjustified", grant, index, grant, found.at, text, fields)


def _forbidden(judged: Judged, entry: Entry, state: State) -> Alert:
    """Return the news of a void record: whoever wrote it chose what it says, and even its lines.

    Named is the submitter whose signature holds. Everything else is quoted as what it is.
    """
    if judged.record is None:
        at = max(entry.cosigned.values())  # whatever a follower hands in was cosigned
        text = (
            f"FORBIDDEN: entry {judged.index} of the ledger is not a record: {shown(judged.why)}."
            " Verifiers ignore it. Whoever appended it holds a submitter's key: treat each as"
            " compromised until the cause is known."
        )
        about = f"entry/{judged.index}"
        return Alert("forbidden", about, judged.index, f"record/{judged.index}", at, text)
    record = judged.record
    submitter, signed, advice = _signed_by(record, state)
    if judged.void in _OF_TIME and judged.role is not None and judged.role.kind == "gate":
        advice = f"{_WRONG_CLOCK} Its clock is right? {advice}"
    why = shown(judged.why)
    fields = {"who": submitter, "why": f"{judged.void}: {why}", "record": record.envelope.id}
    if isinstance(record.body, kinds.Intent):
        fields |= {"glass": record.body.glass, "claims": record.body.who}
    missing = judged.void == ErrorName.CHAIN
    kind = record.body.name if isinstance(record.body, Unknown) else record.body.kind
    what = (
        f"RECORDS MISSING before entry {judged.index}"
        if missing
        else f"FORBIDDEN: invalid record of kind {shown(kind, NAME_AT_MOST)!r} in the ledger"
    )
    text = (
        f"{what}: {record.envelope.id!r}, entry {judged.index}, signed by {signed}:"
        f" {why} [{judged.void}]. Verifiers ignore it. {advice}"
    )
    own = kind in _OWN and judged.role is not None and judged.role.kind == "monitor"
    return Alert(
        "missing_records" if missing else "forbidden",
        record.envelope.id,
        judged.index,
        f"record/{judged.index}",
        record.envelope.at,
        text,
        fields,
        stated=not own,
    )


def _signed_by(record: Record[Any], state: State) -> tuple[str, str, str]:
    """Return whose signature holds, how to speak of them, and what to do about it."""
    trust = state.governance.trust
    if trust is not None:
        try:
            key, role = submitter_of(record, trust)
        except BreakglassError:
            pass
        else:
            return (
                key.name,
                f"{key.name} ({role})",
                f"Treat the key of {key.name} as compromised until the cause is known; a wrong"
                " clock is a common harmless one.",
            )
    claimed = shown(record.note.lines[0].name, NAME_AT_MOST) if record.note.lines else ""
    unknown = "an unknown key"
    return (
        unknown,
        f"{unknown}, which calls itself {claimed!r}",
        "No submitter of the trust file in force signed it: find out who could append it.",
    )


def _of_a_grant(
    body: object, index: int, at: datetime, by: str, state: State, chronicle: HistoryProjection
) -> Alert | None:
    match body:
        case kinds.Asked() if body.decision.outcome is Outcome.NEEDS_APPROVAL:
            return _asking("approval_wanted", body, index, at)
        case kinds.Refused():
            return _asking("refused", body, index, at)
        case kinds.Intent():
            grant = state.grants.by_id[body.grant]
            text, fields = alert_texts.broke_glass(grant, chronicle.of(body.grant).incident)
            return Alert(
                "broke_glass", body.grant, index, body.grant, at, text, fields, path=body.path
            )
        case kinds.Usable():
            text = alert_texts.usable(body, state.grants.by_id[body.grant])
        case kinds.Ended():
            text = alert_texts.ended(body, state.grants.by_id[body.grant])
        case kinds.Dead():
            text = alert_texts.dead(body, state.grants.by_id[body.grant])
        case kinds.Door():
            fields = {"who": body.who, "glass": body.glass}
            return Alert(
                "door", body.grant, index, body.grant, at, alert_texts.door(body, by), fields
            )
        case kinds.Bypassed():
            text = alert_texts.bypassed(body, state.grants.by_id[body.grant])
        case _:
            return None
    grant = state.grants.by_id[body.grant]
    fields = {"who": grant.who, "glass": grant.glass, "incident": grant.incident}
    if isinstance(body, kinds.Ended):
        fields["ended"] = body.why.value
    return Alert(body.kind, body.grant, index, body.grant, at, text, fields, path=grant.path)


def _asking(subject: str, body: kinds.Asked | kinds.Refused, index: int, at: datetime) -> Alert:
    said = parse_request(body.statement.text)
    why = "; ".join(body.decision.why) or body.decision.outcome.value
    lead = {
        "refused": f"Refused: {said.who} asked for {said.glass!r} and got nothing: {why}.",
        "approval_wanted": (
            f"APPROVAL WANTED: {said.who} asks for {said.glass!r}; approvals needed:"
            f" {body.decision.need}."
        ),
    }[subject]
    text = f"{lead} Why: {said.reason.text} [{said.reason.code}]."
    fields = {
        "who": said.who,
        "glass": said.glass,
        "incident": said.incident,
        "why": f"{said.reason.text} [{said.reason.code}]",
    }
    if subject == "approval_wanted":
        fields["need"] = str(body.decision.need)
    return Alert(subject, body.grant, index, body.grant, at, text, fields, path=path_of(said))


def _of_the_rules(
    body: object, index: int, at: datetime, ident: str, state: State, chronicle: HistoryProjection
) -> Alert | None:
    match body:
        case kinds.Policy():
            text = (
                f"Policy {body.version} is now in force (commit {body.commit[:12] or 'none'},"
                f" bundle {body.bundle[:12]}…). {_UNEXPECTED}"
            )
            return Alert("policy_activated", ident, index, "policy", at, text)
        case kinds.Cards():
            text = (
                f"Glass cards of policy {body.version} are now in force:"
                f" {', '.join(sorted(body.cards)) or 'no glass at all'}."
                f"{ended_starts(state, chronicle)}"
            )
            return Alert("cards_activated", ident, index, "policy", at, text)
        case kinds.TrustActivated():
            text = (
                f"Trust file {body.version} is now in force ({body.digest[:12]}…): it names the"
                f" keys that every process trusts. {_UNEXPECTED}"
            )
            return Alert("trust_activated", ident, index, "trust", at, text)
        case kinds.KeyHandedOver():
            text = (
                f"{body.party!r} has a new key beside its old one: {_label(body.new)} follows"
                f" {_label(body.old)}, by trust file {body.version}. {_UNEXPECTED}"
            )
            return Alert("key_rotated", ident, index, "trust", at, text)
        case kinds.Suspended():
            said = parse_statement(body.statement.text)
            assert isinstance(said, Kill)  # the fold judged it
            what = "Suspended" if body.active else "Suspension lifted"
            by = f"by {said.who}. Why: {said.reason.text}"
            text = f"{what}: {body.target.value} {body.name!r}, {by}."
            thread = body.name if body.target == "grant" else f"suspended/{body.target.value}"
            subject = "suspended" if body.active else "released"
            return Alert(subject, ident, index, thread, at, text, {"name": body.name})
        case kinds.AllSuspended():
            return _of_everything(body, index, at, ident, state)
        case kinds.Incident():
            text = alert_texts.incident_changed(body)
            about = f"incident/{body.incident}"
            return Alert("incident", ident, index, about, at, text, {"incident": body.incident})
        case kinds.Attested() if body.outcome is not Attesting.HELD:
            wrong = body.outcome is Attesting.FAILED
            text = (
                f"{'ARCHIVE CHECK FAILED' if wrong else 'Archive check incomplete'}:"
                f" {body.about!r}, checked {body.looked:%Y-%m-%d %H:%M:%S} UTC: {body.detail}."
                " Until it is fixed, records may be deleted there. On its host:"
                " breakglass archiver doctor"
            )
            subject = "archive_wrong" if wrong else "archive_unknown"
            return Alert(subject, ident, index, f"archive/{body.about}", at, text)
        case kinds.Gap():
            text = (
                f"Late records: {ident!r} reports an outage from {body.start:%Y-%m-%d %H:%M:%S} to"
                f" {body.end:%H:%M:%S} UTC ({body.cause or 'no cause given'});"
                f" {body.last_seq - body.first_seq + 1} records come late."
            )
            return Alert("gap", ident, index, "gaps", at, text)
        case _:
            return None


def _of_everything(
    body: kinds.AllSuspended, index: int, at: datetime, ident: str, state: State
) -> Alert:
    said = parse_statement(body.statement.text)
    assert isinstance(said, KillAll)  # the fold judged it
    first = state.governance.first_word
    if first is not None and first.index == index:
        what = "STOP EVERYTHING" if body.active else "let everything go again"
        agree = "breakglass kill --all" if body.active else "breakglass kill --all --lift"
        until = alert_texts.clock_time(first.seen + SECOND_WITHIN)
        text = (
            f"SECOND PERSON WANTED until {until}: {said.who} says to {what}. Why:"
            f" {said.reason.text}. Until then nothing changes. Call them; to agree: {agree}."
            f" Not theirs? breakglass kill person:{said.who}"
        )
        return Alert("second_wanted", ident, index, "suspended/all", at, text, {"who": said.who})
    if body.active:
        text = (
            f"EVERYTHING IS STOPPED, {said.who} was the second to say so. Why: {said.reason.text}."
            " Every live grant ends, nothing is granted. Gates that work offline cannot know: their"
            " tokens count until they end. Two people let it go: breakglass kill --all --lift"
        )
        return Alert("all_suspended", ident, index, "suspended/all", at, text, {"who": said.who})
    text = (
        f"Everything was let go again, {said.who} was the second to say so. Why:"
        f" {said.reason.text}. Grants that ended stay over."
    )
    return Alert("all_released", ident, index, "suspended/all", at, text, {"who": said.who})


def _label(vkey: str) -> str:
    return vkey.rpartition("+")[0]
