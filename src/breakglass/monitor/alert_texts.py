"""What the news says: who, which glass, what it grants, until when, why, and how to kill it.

Names stand in quotes where they could be mistaken for words. A sleepy person reads the first ten
words on a telephone, so those say what happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from breakglass.errors import BreakglassError
from breakglass.monitor.history_projection import IncidentThen
from breakglass.policy.factors import MFA_DOWN
from breakglass.records import all_kinds as kinds
from breakglass.records.card import Card
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.grant import Path
from breakglass.records.statement import (
    AccessRequest,
    Answer,
    Countersign,
    Do,
    parse_request,
    parse_statement,
)


def clock_time(moment: datetime) -> str:
    """Write a time for people: ``03:44 UTC``."""
    return f"{moment:%H:%M} UTC"


def span(length: timedelta) -> str:
    """Write a length for people.

    >>> span(timedelta(seconds=1799.99)), span(timedelta(seconds=95)), span(timedelta(seconds=1.5))
    ('30 min', '95 s', '1.5 s')
    """
    seconds = length.total_seconds()
    whole = round(seconds)
    if whole >= 60 and whole % 60 == 0:
        return f"{whole // 60} min"
    return f"{whole} s" if whole >= 100 else f"{seconds:.3g} s"


def grants(card: Card, intent: kinds.Intent) -> str:
    """Say what a grant gives: in the card's words, then exactly."""
    parts = [card.does]
    if intent.minter:
        parts.append(f"on {intent.minter!r}: {scope(intent.scope)}")
    if intent.gates:
        parts.append(f"opens gate {' and '.join(map(repr, intent.gates))}")
    return "; ".join(parts)


def scope(dimensions: Mapping[str, tuple[str, ...]]) -> str:
    """Write a scope on one line: ``databases orders, templates breakglass_orders``."""
    return ", ".join(f"{name} {' '.join(values)}" for name, values in sorted(dimensions.items()))


def incident(then: IncidentThen | None, named: str) -> str:
    """Write an incident: ``INC-4821 (SEV1: checkout 5xx, self-declared)``."""
    if not named:
        return "no incident"
    if then is None:
        return named
    whose = f", {then.standing}" if then.standing else ""
    return f"{named} ({then.severity}: {then.title}{whose})"


def incident_changed(body: kinds.Incident) -> str:
    """Say what became of an incident, and by whose word."""
    what = f"Incident {body.incident} {body.change.value} ({body.severity}: {body.title})"
    if body.statement is None:
        return (
            f"{what} by the broker's word alone: no source of the policy can be asked yet. No glass"
            " counts it. Not expected? Treat the broker's key as compromised."
        )
    return f"{what}, by the signed word of {parse_statement(body.statement.text).who}."


def reason(intent: kinds.Intent) -> str:
    """Return what the breaker typed, with its code; empty if no person signed."""
    said = breaking(intent)
    return f"{said.reason.text} [{said.reason.code}]" if said else ""


def breaking(intent: kinds.Intent) -> AccessRequest | None:
    """Return the breaker's statement, if the intent carries one that can be read."""
    try:
        return parse_request(intent.statements[0].text)
    except (IndexError, BreakglassError):
        return None


_ASKED = {
    "not_asked": "no approval was asked for in the hour before",
    "approvers_silent": "approvers were asked and did not answer in time",
    "not_paged": "approval was asked for, but no page reached an approver",
    "did_not_wait": "approvers were paged, and it was broken before they answered",
}


def asked_before(labels: tuple[str, ...]) -> str:
    """Say what the ledger knows of asking before a glass was broken; empty if it has no approvers.

    >>> asked_before(("refused_by:sam",)), asked_before(())
    ("approver 'sam' had refused it", '')
    """
    told = []
    for label in labels:
        word, _, name = label.partition(":")
        told.append(f"approver {name!r} had refused it" if name else _ASKED[word])
    return "; ".join(told)


def says_mfa_is_down(intent: kinds.Intent) -> str:
    """Return who approved a use of a glass for when MFA is down; empty for any other glass."""
    if not intent.glass.endswith(MFA_DOWN):
        return ""
    words = [parse_statement(each.text) for each in intent.statements]
    approved = [each.who for each in words if isinstance(each, Answer) and each.do is Do.APPROVE]
    return " and ".join(approved) or "nobody"


def mfa_down(grant: GrantState) -> str:
    """Say that one factor opened a glass, and by whose word."""
    intent = grant.intent
    assert intent is not None, "it has just come, and nothing shrank yet"
    return (
        f"ONE FACTOR IS ENOUGH NOW: {intent.who} broke {intent.glass!r} because MFA is down, by the"
        f" word of {says_mfa_is_down(intent)}. Is it? If not, one of their keys is stolen: stop it"
        f" with breakglass kill {intent.grant}, then breakglass kill person:{intent.who}"
    )


def broke_glass(grant: GrantState, then: IncidentThen | None) -> tuple[str, dict[str, str]]:
    """Return the text and the fields of the loudest news there is."""
    intent, card = grant.intent, grant.card
    assert intent is not None, "it has just come, and nothing shrank yet"
    assert card is not None, "as the intent"
    fields = {
        "who": intent.who,
        "glass": intent.glass,
        "grants": grants(card.card, intent),
        "until": f"{intent.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "why": reason(intent),
        "incident": intent.incident,
        "kill": f"breakglass kill {intent.grant}",
    }
    before = asked_before(grant.labels)
    if before:
        fields["approval"] = before
    said = breaking(intent)
    if said is not None and said.do is Do.DOOR:
        words = [parse_statement(each.text) for each in intent.statements]
        names = [each.who for each in words if isinstance(each, Countersign)]
        fields["custodians"] = ", ".join(names)
        text = (
            f"CUSTODIANS' DOOR: while the ledger was down {' and '.join(names)} opened"
            f" {intent.glass!r} to {intent.who}, {grant.at:%Y-%m-%d %H:%M} to"
            f" {clock_time(intent.not_after)}, for {incident(then, intent.incident)}. Why:"
            f" {fields['why']}. It grants: {fields['grants']}. Call each custodian: did they sign?"
            f" Review due {intent.review_by:%Y-%m-%d}. Stop it: {fields['kill']}"
        )
        return text, fields
    label = {Path.DRILL: "DRILL, glass broken", Path.JIT: "Approved access"}.get(
        intent.path, "GLASS BROKEN"
    )
    approved = says_mfa_is_down(intent)
    if approved:
        label = f"MFA SAID TO BE DOWN, {label}"
        fields["factor"] = f"one factor is enough: {approved} approved that MFA is down"
    when = f"until {clock_time(intent.not_after)} ({span(intent.not_after - grant.at)})"
    did = "broke"
    if said is not None and said.starts:
        label, did = "SCHEDULED", "gets"
        lasts = span(intent.not_after - intent.not_before)
        when = f"from {intent.not_before:%Y-%m-%d %H:%M} UTC on, for {lasts},"
        fields["starts"] = said.starts
    text = (
        f"{label}: {intent.who} {did} {intent.glass!r} {when}"
        f" for {incident(then, intent.incident)}."
        f" Why: {fields['why'] or 'no reason was given'}."
        f"{f' Approval: {before}.' if before else ''}"
        f" It grants: {fields['grants']}."
        f"{f' One factor is enough here: {approved} said that MFA is down.' if approved else ''}"
        f" Review due {intent.review_by:%Y-%m-%d}. Stop it: {fields['kill']}"
    )
    return text, fields


def ended(body: kinds.Ended, grant: GrantState) -> str:
    """Say that a grant is over and why."""
    why = {
        "expired": "it expired",
        "done": "its holder handed it back",
        "killed": "a person stopped it",
        "idle": "it was not used",
        "incident_closed": "its incident was closed",
        "not_minted": "nothing was minted",
        "withdrawn": "its holder withdrew the request",
        "drill": "the drill is over",
    }[body.why.value]
    detail = f" ({body.detail})" if body.detail else ""
    return f"Ended: {_whose(grant)}: {why}{detail}."


def dead(body: kinds.Dead, grant: GrantState) -> str:
    """Say that access was tried and is gone, and what did not go with it."""
    left = "; ".join(body.left_behind)
    left = f" LEFT BEHIND on the target, remove by hand: {left}." if left else ""
    cut = f"; {body.sessions_cut} live sessions were cut" if body.sessions_cut else ""
    tail = span(timedelta(milliseconds=body.tail_ms))
    return f"Revoked: {_whose(grant)}: a login was refused {tail} after its end{cut}.{left}"


def usable(body: kinds.Usable, grant: GrantState) -> str:
    """Say that the credential works."""
    took = f"{body.since_asked_ms} ms after the request"
    return f"Active: {_whose(grant)}: the credential works, {took}."


def door(body: kinds.Door, by: str) -> str:
    """Say that a gate or minter took a token of the custodians' door, and what it had tried."""
    return (
        f"CUSTODIANS' DOOR used at {by}: {body.who} with {body.glass!r}, run {body.run!r}, signed"
        f" by {' and '.join(body.custodians) or 'nobody'}. What {by} saw of the ledger:"
        f" {body.tried or 'it does not say'}."
    )


def bypassed(body: kinds.Bypassed, grant: GrantState) -> str:
    """Say that a gate was opened by glass, and what the gate said."""
    said = "could not evaluate" if body.state == "could_not_evaluate" else "had refused"
    detail = f" ({body.detail})" if body.detail else ""
    return (
        f"Gate bypassed: {grant.who} opened {body.gate!r} with {grant.glass!r}; its"
        f" check {said} run {body.run!r}{detail}."
    )


def _whose(grant: GrantState) -> str:
    return f"{grant.glass!r} of {grant.who}"
