"""Whether a well-formed record may stand where it stands, kind by kind.

Each judge changes the state if the record holds and raises ``Void`` (or one of our errors) before
it has changed anything if it does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from breakglass.errors import MalformedError, RefusedError, UnprovenError
from breakglass.records import kinds
from breakglass.records.authority import (
    check_card,
    check_intent_names,
    check_statements,
    check_terms,
)
from breakglass.records.card import card_digest
from breakglass.records.kinds.grants import EndedWhy
from breakglass.records.kinds.incidents import IncidentChange
from breakglass.records.policy_note import parse_policy_note
from breakglass.records.presentation import parse_presentation
from breakglass.records.record import Attachment, Kind, Record
from breakglass.records.signing import (
    POLICY_NAMESPACE,
    PRESENTATION_NAMESPACE,
    STATEMENT_NAMESPACE,
    Signature,
    people_who_signed,
    verify_signature,
)
from breakglass.records.state import ActiveCard, AskedState, GrantState, IncidentState, State
from breakglass.records.statement import (
    Answer,
    Break,
    Declare,
    Do,
    Kill,
    S,
    digest_of,
    grant_id,
    parse_as,
)
from breakglass.records.trust import Role, Trust, accept_trust
from breakglass.tlog.merkle import leaf_hash
from breakglass.tlog.note import Note


class Void(Exception):
    """A record does not hold. ``quiet`` marks a race that two honest replicas may have."""

    def __init__(self, name: str, why: str, *, quiet: bool = False) -> None:
        super().__init__(why)
        self.name, self.why, self.quiet = name, why, quiet


@dataclass(frozen=True)
class Entry:
    """One entry as a follower hands it in.

    ``cosigned`` are the checked cosignature times of the head that first covered the entry, by
    witness name. ``attachments`` holds those that the record names, by digest; followers fetch
    them for the kinds in ``NEEDS_ATTACHMENTS`` only.
    """

    index: int
    note: bytes
    cosigned: Mapping[str, datetime]
    attachments: Mapping[str, bytes]


@dataclass(frozen=True)
class Stated:
    """A record with who stated it and where it stands."""

    body: Any
    record: Record[Any]
    role: Role | None
    entry: Entry

    @property
    def at(self) -> datetime:
        """Return the record's own time."""
        return self.record.envelope.at


def attachment(attachments: Mapping[str, bytes], record: Record[Any], number: int) -> bytes:
    """Return the bytes of a record's attachment.

    Raises:
        MalformedError: the record names no such attachment.
        UnprovenError: the bytes are not here or not those that the record names.
    """
    if number >= len(record.attachments):
        raise MalformedError(f"the record names {len(record.attachments)} attachments")
    named = record.attachments[number]
    data = attachments.get(named.digest)
    if data is None or Attachment.of(data) != named:
        raise UnprovenError(f"attachment {named.digest[:12]}… is not here", name="attachment")
    return data


def first_trust(data: bytes, genesis: str) -> Trust:
    """Take the first trust file of a log, which its own maintainers signed.

    Raises:
        MalformedError, UnprovenError: see ``accept_trust``; or another genesis.
    """
    trust = accept_trust(Note.parse(data), None)
    if trust.genesis != genesis or trust.version != 1:
        raise UnprovenError("the first trust file names another genesis", name="trust_genesis")
    return trust


def _genesis(state: State, stated: Stated) -> None:
    if stated.entry.index != 0:
        raise Void("genesis", "a second genesis")


def _trust(state: State, stated: Stated) -> None:
    data = attachment(stated.entry.attachments, stated.record, 0)
    trust = accept_trust(Note.parse(data), state.trust)
    if (stated.body.version, stated.body.digest) != (trust.version, trust.digest):
        raise Void("mismatch", "the record names another trust file than it carries")
    state.trust = trust


def _policy(state: State, stated: Stated) -> None:
    trust = _in_force(state)
    bundle = attachment(stated.entry.attachments, stated.record, 0)
    note = Note.parse(attachment(stated.entry.attachments, stated.record, 1))
    policy = parse_policy_note(note)
    signed = people_who_signed(note, trust.maintainers, POLICY_NAMESPACE)
    if len(signed) < trust.maintainers_needed:
        raise Void("policy_signatures", f"{len(signed)} of {trust.maintainers_needed} signed")
    body = stated.body
    said = (policy.log, policy.version, policy.bundle, policy.commit)
    if said != (state.log, body.version, body.bundle, body.commit):
        raise Void("mismatch", "the record and the signed policy note differ")
    if Attachment.of(bundle).digest != policy.bundle:
        raise Void("mismatch", "the bundle is not the one that was signed")
    if policy.version <= (state.policy.version if state.policy else 0):
        raise Void("policy_order", f"policy {policy.version} is not newer than the one in force")
    # The old cards name the old policy: until the new ones stand, no glass opens.
    state.policy, state.policy_index, state.bundle = policy, stated.entry.index, bundle
    state.cards = {}


def _cards(state: State, stated: Stated) -> None:
    trust, body = _in_force(state), stated.body
    if state.policy is None or (body.policy, body.version) != (
        state.policy.bundle,
        state.policy.version,
    ):
        raise Void("wrong_policy", "the cards are of another policy than the one in force")
    texts = _card_texts(attachment(stated.entry.attachments, stated.record, 0))
    active: dict[str, ActiveCard] = {}
    for glass, text in texts.items():
        note = Note.parse(text.encode())
        card = check_card(note, trust, stated.at)
        if (card.glass, card.policy, card.version) != (glass, body.policy, body.version):
            raise Void("mismatch", f"the card of {glass!r} is of another glass or policy")
        active[glass] = ActiveCard(card, card_digest(note), text.encode())
    if {glass: each.digest for glass, each in active.items()} != dict(body.cards):
        raise Void("mismatch", "the record and the cards that it carries differ")
    state.cards = active


def _incident(state: State, stated: Stated) -> None:
    body = stated.body
    found = state.incidents.get(body.incident)
    opening = body.change is IncidentChange.OPENED
    if opening == (found is not None and found.open):
        quiet = opening or found is not None
        raise Void("lost_race", f"incident {body.incident!r} stands so already", quiet=quiet)
    if body.self_declared:
        said = _by_somebody(state, body.statement, Declare, stated.at)
        if (said.do is Do.CLOSE) != (body.change is IncidentChange.CLOSED):
            raise Void("mismatch", "the statement says something else of the incident")
        if (said.incident, said.severity, said.title) != (
            body.incident,
            body.severity,
            body.title,
        ):
            raise Void("mismatch", "the statement is of another incident")
    opened_at = stated.at if opening or found is None else found.opened_at
    self_declared = body.self_declared if opening or found is None else found.self_declared
    state.incidents[body.incident] = IncidentState(
        body.incident, body.severity, body.title, self_declared, body.change, opened_at
    )


def _asked(state: State, stated: Stated) -> None:
    said = _asking(state, stated)
    grant = stated.body.grant
    if grant in state.asked or grant in state.grants:
        raise Void("lost_race", f"grant {grant!r} was asked for already", quiet=True)
    state.nonces[(said.who, said.nonce)] = grant
    state.asked[grant] = AskedState(stated.entry.index, stated.at, said.who, said.glass)


def _refused(state: State, stated: Stated) -> None:
    said = _asking(state, stated)
    state.nonces[(said.who, said.nonce)] = stated.body.grant
    state.asked.pop(stated.body.grant, None)


def _answered(state: State, stated: Stated) -> None:
    body = stated.body
    if body.grant not in state.asked:
        raise Void("no_grant", f"nobody asked for {body.grant!r}")
    if body.statement is not None:
        _by_somebody(state, body.statement, Answer, stated.at)


def _intent(state: State, stated: Stated) -> None:
    intent, trust = stated.body, _in_force(state)
    existing = state.grants.get(intent.grant)
    if existing is not None:
        # Two replicas may both write the intent of one statement; the second counts for nothing.
        same = existing.intent.statements == intent.statements
        raise Void("lost_race" if same else "id_taken", "the grant stands already", quiet=same)
    active = state.cards.get(intent.glass)
    if active is None:
        raise Void("no_card", f"glass {intent.glass!r} has no card in force")
    if stated.at > active.card.expires:
        raise Void("card_expired", f"the card of {intent.glass!r} has expired")
    note = Note.parse(active.note)
    check_intent_names(intent, stated.record.envelope, active.card, note)
    asking = check_statements(intent, active.card)
    check_terms(intent, stated.at, asking, active.card, trust.skew)
    said = asking.statement
    if state.nonces.get((said.who, said.nonce), intent.grant) != intent.grant:
        raise Void("nonce", "the statement's nonce was used for another grant")
    _check_incident(state, intent)
    stopped = state.suspensions(intent.who, intent.glass, intent.grant)
    if stopped:
        raise Void("suspended", f"{stopped[0]} is suspended")
    state.nonces[(said.who, said.nonce)] = intent.grant
    state.asked.pop(intent.grant, None)
    state.grants[intent.grant] = GrantState(
        intent, stated.entry.index, stated.at, stated.entry.note, active
    )


def _check_incident(state: State, intent: kinds.Intent) -> None:
    if not intent.incident or intent.path.value == "drill":
        return
    incident = state.incidents.get(intent.incident)
    if incident is None or not incident.open:
        raise Void("no_incident", f"incident {intent.incident!r} is not open")


def _minted(state: State, stated: Stated) -> None:
    grant = _of_minter(state, stated)
    _before_end(grant, stated)
    grant.minted_at, grant.since_asked_ms = stated.at, stated.body.since_asked_ms


def _usable(state: State, stated: Stated) -> None:
    grant = _of_minter(state, stated)
    _before_end(grant, stated)
    grant.usable_at, grant.since_asked_ms = stated.at, stated.body.since_asked_ms


def _ended(state: State, stated: Stated) -> None:
    body = stated.body
    grant = _grant(state, body.grant)
    if grant.ended is not None:
        raise Void("lost_race", f"grant {body.grant!r} has ended already", quiet=True)
    assert stated.role is not None
    if stated.role.kind == "minter":
        _of_minter(state, stated)
    elif grant.minted_at is not None:
        raise Void("role", "a minted grant is ended by its minter")
    _check_ended_why(state, grant, stated)
    grant.ended, grant.ended_at = body, stated.at


def _check_ended_why(state: State, grant: GrantState, stated: Stated) -> None:
    body = stated.body
    trust = _in_force(state)
    if body.why is EndedWhy.EXPIRED and stated.at < grant.intent.not_after - trust.skew:
        raise Void("not_yet", "the grant has not expired")
    if body.why is EndedWhy.DONE:
        answer = _by_somebody(state, body.statement, Answer, None)
        first = digest_of(grant.intent.statements[0].text)
        if (answer.do, answer.who, answer.answers) != (Do.DONE, grant.intent.who, first):
            raise Void("mismatch", "only the holder hands a grant back")
    if body.why is EndedWhy.KILLED:
        _killer(state, body.statement, None)


def _dead(state: State, stated: Stated) -> None:
    grant = _of_minter(state, stated)
    if grant.ended is None:
        raise Void("not_ended", f"grant {stated.body.grant!r} has not ended")
    if grant.dead_at is not None:
        raise Void("lost_race", "the grant is dead already", quiet=True)
    grant.dead_at, grant.tail_ms = stated.at, stated.body.tail_ms


def _suspended(state: State, stated: Stated) -> None:
    body = stated.body
    said = _killer(state, body.statement, stated.at)
    if (said.target, said.name) != (body.target, body.name):
        raise Void("mismatch", "the statement names something else")
    key = (body.target.value, body.name)
    if body.active:
        state.suspended[key] = stated.entry.index
    else:
        state.suspended.pop(key, None)


def _bypassed(state: State, stated: Stated) -> None:
    body = stated.body
    _own_gate(stated)
    grant = _grant(state, body.grant)
    if body.gate not in grant.intent.gates:
        raise Void("wrong_gate", f"grant {body.grant!r} does not open gate {body.gate!r}")
    shown = parse_presentation(body.presentation.text)
    verify_signature(body.presentation, [grant.intent.holder], PRESENTATION_NAMESPACE)
    statement = digest_of(grant.intent.statements[0].text)
    wanted = (state.log, statement, f"gate:{body.gate}", body.run)
    if (shown.log, shown.statement, shown.to, shown.run) != wanted or body.statement != statement:
        raise Void("presentation", "the holder's presentation is of something else")
    grant.bypasses += 1


def _passages(state: State, stated: Stated) -> None:
    _own_gate(stated)
    body = stated.body
    tally = state.passages.setdefault(body.gate, {})
    for name in ("passed", "blocked", "could_not_evaluate", "bypassed", "sanctioned"):
        tally[name] = tally.get(name, 0) + getattr(body, name)


def _gap(state: State, stated: Stated) -> None:
    body, envelope = stated.body, stated.record.envelope
    if not envelope.seq < body.first_seq <= body.last_seq or body.end < body.start:
        raise Void("mismatch", "a gap names records behind it and a time that goes forward")
    name = next(iter(line.name for line in stated.record.note.lines))
    state.submitters[name].late = (body.first_seq, body.last_seq)


def _alarm(state: State, stated: Stated) -> None:
    delivery = stated.body.delivery.value
    state.alarms[delivery] = state.alarms.get(delivery, 0) + 1


def _pulse(state: State, stated: Stated) -> None:
    state.pulse_at = stated.at


def _justified(state: State, stated: Stated) -> None:
    body = stated.body
    grant = _grant(state, body.grant)
    said = (body.leaf, body.index, body.policy)
    if said != (leaf_hash(grant.note).hex(), grant.index, grant.intent.policy):
        raise Void("mismatch", "the record is of another intent")
    grant.justified = True


def _in_force(state: State) -> Trust:
    if state.trust is None:
        raise Void("no_trust", "no trust file is in force yet")
    return state.trust


def _grant(state: State, grant: str) -> GrantState:
    found = state.grants.get(grant)
    if found is None:
        raise Void("no_grant", f"there is no grant {grant!r}")
    return found


def _of_minter(state: State, stated: Stated) -> GrantState:
    grant = _grant(state, stated.body.grant)
    assert stated.role is not None
    if grant.intent.minter != stated.role.name:
        raise Void("role", f"grant {stated.body.grant!r} is another minter's")
    return grant


def _before_end(grant: GrantState, stated: Stated) -> None:
    if grant.ended is not None:
        raise Void("after_end", f"grant {stated.body.grant!r} has ended")


def _own_gate(stated: Stated) -> None:
    if stated.role is None or stated.role.name != stated.body.gate:
        raise Void("role", "a gate states its own passages only")


def _asking(state: State, stated: Stated) -> Break:
    signed = stated.body.statement
    said = _by_somebody(state, signed, Break, stated.at)
    if grant_id(signed.text) != stated.body.grant:
        raise Void("wrong_id", "the grant's id does not follow from the statement")
    if state.nonces.get((said.who, said.nonce), stated.body.grant) != stated.body.grant:
        raise Void("nonce", "the statement's nonce was used for another grant")
    return said


def _by_somebody(state: State, signed: Signature | None, form: type[S], at: datetime | None) -> S:
    if signed is None:
        raise Void("no_statement", "no person signed for this")
    said = parse_as(form, signed.text)
    if said.log != state.log:
        raise Void("wrong_log", f"the statement is of log {said.log!r}")
    keys = state.keys_of(said.who)
    if not keys:
        raise RefusedError(f"{said.who!r} is nobody of this policy", name="unknown_person")
    verify_signature(signed, keys, STATEMENT_NAMESPACE)
    skew = _in_force(state).skew
    if at is not None and abs(at - said.at) > skew + timedelta(0):
        raise Void("statement_old", "the statement was signed long before or after the record")
    return said


def _killer(state: State, signed: Signature | None, at: datetime | None) -> Kill:
    said = _by_somebody(state, signed, Kill, at)
    if state.policy is None or said.who not in state.policy.kill:
        raise RefusedError(f"{said.who!r} may not kill", name="unknown_person")
    return said


def _card_texts(data: bytes) -> dict[str, str]:
    try:
        texts = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedError("the cards are not JSON") from error
    if not isinstance(texts, dict) or not all(isinstance(each, str) for each in texts.values()):
        raise MalformedError("the cards are not a table of texts")
    return texts


JUDGES: dict[type[Kind], Callable[[State, Stated], None]] = {
    kinds.Genesis: _genesis,
    kinds.TrustActivated: _trust,
    kinds.Policy: _policy,
    kinds.Cards: _cards,
    kinds.Incident: _incident,
    kinds.Asked: _asked,
    kinds.Refused: _refused,
    kinds.Answered: _answered,
    kinds.Intent: _intent,
    kinds.Minted: _minted,
    kinds.Usable: _usable,
    kinds.Ended: _ended,
    kinds.Dead: _dead,
    kinds.Suspended: _suspended,
    kinds.Bypassed: _bypassed,
    kinds.Passages: _passages,
    kinds.Gap: _gap,
    kinds.Alarm: _alarm,
    kinds.Pulse: _pulse,
    kinds.Justified: _justified,
}
"""What each kind changes, if it holds."""

_BROKER, _MINTER, _MONITOR, _GATE = "broker", "minter", "monitor", "gate"
ROLES: dict[type[Kind], frozenset[str]] = {
    kinds.Genesis: frozenset({_BROKER}),
    kinds.TrustActivated: frozenset({_BROKER}),
    kinds.Policy: frozenset({_BROKER}),
    kinds.Cards: frozenset({_BROKER}),
    kinds.Incident: frozenset({_BROKER}),
    kinds.Asked: frozenset({_BROKER}),
    kinds.Refused: frozenset({_BROKER}),
    kinds.Answered: frozenset({_BROKER}),
    kinds.Intent: frozenset({_BROKER}),
    kinds.Minted: frozenset({_MINTER}),
    kinds.Usable: frozenset({_MINTER}),
    kinds.Ended: frozenset({_MINTER, _BROKER}),
    kinds.Dead: frozenset({_MINTER}),
    kinds.Suspended: frozenset({_BROKER}),
    kinds.Bypassed: frozenset({_GATE}),
    kinds.Passages: frozenset({_GATE}),
    kinds.Gap: frozenset({_BROKER, _MINTER, _MONITOR, _GATE}),
    kinds.Alarm: frozenset({_MONITOR}),
    kinds.Pulse: frozenset({_MONITOR}),
    kinds.Justified: frozenset({_MONITOR}),
}
"""Who may state each kind (DESIGN.md section 3, the table of kinds)."""
