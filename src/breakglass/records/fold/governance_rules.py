"""Judges of what rules the organisation: trust, policy, cards, suspensions, incidents."""

from __future__ import annotations

from dataclasses import replace

from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError
from breakglass.records.authority import check_card
from breakglass.records.card import card_digest, check_card_people
from breakglass.records.encoding.canonical import parse_canonical
from breakglass.records.fold.context import (
    Said,
    Submission,
    Void,
    check_first_use,
    in_force,
    lost_race,
    word_of,
)
from breakglass.records.fold.state import ActiveCard, IncidentState, State
from breakglass.records.key_rollover import check_named, read_handover
from breakglass.records.kinds.incidents import IncidentChange
from breakglass.records.people_list import PeopleList, PeopleRoot, parse_people
from breakglass.records.policy_note import check_policy_people, parse_policy_note
from breakglass.records.record import Attachment
from breakglass.records.signing.signature import POLICY_NAMESPACE, Signature, people_who_signed
from breakglass.records.statement import Declare, Do, Kill, Target
from breakglass.records.trust import Trust, accept_trust
from breakglass.tlog.note import Note


def genesis(state: State, stated: Submission) -> None:
    """Entry 0 alone is a genesis; ``fold`` takes that one itself."""
    raise Void("genesis", "a second genesis")


def trust(state: State, stated: Submission) -> None:
    """A trust file takes force, in order; cards that it no longer believes fall."""
    accepted = accept_trust(Note.parse(stated.attachment(0)), state.trust)
    activate_trust(state, stated, accepted)


def activate_trust(state: State, stated: Submission, accepted: Trust) -> None:
    """Put an accepted trust file in force.

    Raises:
        Void: ``mismatch`` (the record names another file than it carries) or ``wrong_log``.
    """
    if (stated.body.version, stated.body.digest) != (accepted.version, accepted.digest):
        raise Void("mismatch", "the record names another trust file than it carries")
    if not accepted.names_log(state.log):
        raise Void("wrong_log", "the trust file does not name this log")
    if state.trust is not None and accepted.text == state.trust.text:
        raise lost_race(f"trust file {accepted.version} is in force already")
    state.trust = accepted
    state.cards = {
        glass: active
        for glass, active in state.cards.items()
        if _believed(active, stated, accepted)
    }


def _believed(active: ActiveCard, stated: Submission, trust: Trust) -> bool:
    try:
        check_card(Note.parse(active.note), trust, stated.at)
    except BreakglassError:
        return False
    return True


def key(state: State, stated: Submission) -> None:
    """A key follows another, which both signed, under the trust file in force, which names both."""
    body, believed = stated.body, in_force(state)
    if body.version != believed.version:
        raise Void("mismatch", f"trust file {body.version} is not the one in force")
    handover = read_handover(state.log, body)
    check_named(handover, believed)
    if str(handover.new) in state.handed_over:
        raise lost_race(f"key {handover.new.label!r} has followed already")
    state.handed_over[str(handover.new)] = stated.entry.index


def policy(state: State, stated: Submission) -> None:
    """A policy takes force, signed by the maintainers; until its cards stand, no glass opens."""
    believed, body = in_force(state), stated.body
    bundle, note = stated.attachment(0), Note.parse(stated.attachment(1))
    said = parse_policy_note(note)
    signed = people_who_signed(note, believed.maintainers, POLICY_NAMESPACE)
    if len(signed) < believed.maintainers_needed:
        raise UnprovenError(
            f"{len(signed)} of {believed.maintainers_needed} maintainers signed",
            name="policy_signatures",
        )
    if said.log != state.log:
        raise Void("wrong_log", f"the policy is of log {said.log!r}")
    if (said.version, said.bundle, said.commit) != (body.version, body.bundle, body.commit):
        raise Void("mismatch", "the record and the signed policy note differ")
    if Attachment.of(bundle).digest != said.bundle:
        raise Void("mismatch", "the bundle is not the one that was signed")
    if said == state.policy:
        raise lost_race(f"policy {said.version} is in force already")
    people = parse_people(stated.attachment(2))
    check_policy_people(said, people)
    newest = max(state.policy.version if state.policy else 0, believed.policy_at_least - 1)
    if said.version <= newest:
        raise Void("policy_order", f"policy {said.version} is not newer than the one in force")
    state.policy, state.policy_index, state.bundle = said, stated.entry.index, bundle
    state.people = people
    state.cards = {}


def cards(state: State, stated: Submission) -> None:
    """Cards of the policy in force are added; a card gives way only to one issued later."""
    believed, body = in_force(state), stated.body
    if state.policy is None or (body.policy, body.version) != (
        state.policy.bundle,
        state.policy.version,
    ):
        raise Void("wrong_policy", "the cards are of another policy than the one in force")
    lists = _lists(stated)
    found: dict[str, ActiveCard] = {}
    for glass, text in _card_texts(stated.attachment(0)).items():
        note = Note.parse(text.encode())
        card = check_card(note, believed, stated.at)
        said = (card.log, card.glass, card.policy, card.version)
        if said != (state.log, glass, body.policy, body.version):
            raise Void("mismatch", f"the card of {glass!r} is of another log, glass or policy")
        people = lists.get(card.people)
        if people is None:
            raise Void("mismatch", f"the people of the card of {glass!r} are not attached")
        check_card_people(card, people)
        standing = state.cards.get(glass)
        found[glass] = ActiveCard(card, card_digest(note), text.encode(), people)
        other = standing is not None and found[glass].digest != standing.digest
        if standing and other and card.issued <= standing.card.issued:
            # Else whoever holds the broker's key could go back to a card that was replaced.
            raise Void("card_order", f"the card of {glass!r} is older than the one in force")
    if {glass: each.digest for glass, each in found.items()} != dict(body.cards):
        raise Void("mismatch", "the record and the cards that it carries differ")
    state.cards = {**state.cards, **found}


def _lists(stated: Submission) -> dict[PeopleRoot, PeopleList]:
    behind = range(1, len(stated.record.attachments))
    lists = [parse_people(stated.attachment(number)) for number in behind]
    return {people.root: people for people in lists}


def _card_texts(data: bytes) -> dict[str, str]:
    try:
        texts = parse_canonical(data.decode(), "cards")
    except UnicodeDecodeError as error:
        raise MalformedError("the cards are not UTF-8", name="bad_json") from error
    if not isinstance(texts, dict) or not all(isinstance(each, str) for each in texts.values()):
        raise MalformedError("the cards are not a table of texts", name="bad_json")
    return texts


def killer(state: State, signed: Signature | None, stated: Submission, do: Do) -> Said[Kill]:
    """Check that somebody who may kill said so; of any age when it ends a grant.

    Raises:
        RefusedError: ``unknown_person``, or as ``word_of``.
        Void: ``mismatch``; the statement does the opposite.
    """
    fresh = stated.at if stated.body.kind == "suspended" else None
    said = word_of(state, signed, Kill, fresh)
    if not state.may_kill(said.statement.who):
        raise RefusedError(f"{said.statement.who!r} may not kill", name="unknown_person")
    if said.statement.do is not do:
        raise Void("mismatch", f"the statement says {said.statement.do.value!r}")
    return said


def suspended(state: State, stated: Submission) -> None:
    """Somebody who may kill stops a person, a glass or a grant; or lifts that of the first two."""
    body = stated.body
    said = killer(state, body.statement, stated, Do.KILL if body.active else Do.LIFT)
    if (said.statement.target, said.statement.name) != (body.target, body.name):
        raise Void("mismatch", "the statement names something else")
    key = (body.target.value, body.name)
    if body.active == (key in state.suspended):
        raise lost_race(f"{body.target.value} {body.name!r} stands so already")
    check_first_use(state, said.statement)
    if body.target is Target.GRANT and body.name in state.grants:
        grant = state.grants[body.name]
        state.grants[body.name] = replace(grant, stopped_at=stated.at)
    state.nonces[(said.statement.who, said.statement.nonce)] = said.digest
    if body.active:
        state.suspended[key] = stated.entry.index
    else:
        state.suspended.pop(key)


def incident(state: State, stated: Submission) -> None:
    """An incident opens, changes or closes: by a person's word, or by a source's message."""
    body = stated.body
    found = state.incidents.get(body.incident)
    opening = body.change is IncidentChange.OPENED
    if not opening and found is None:
        raise Void("no_incident", f"there is no incident {body.incident!r}")
    if opening == (found is not None and found.open):
        raise lost_race(f"incident {body.incident!r} stands so already")
    said = _declared(state, stated) if body.self_declared else None
    if said is None and (body.statement is not None or not stated.record.attachments):
        raise Void("no_source", "an incident from outside carries its source's message, no word")
    self_declared = body.self_declared
    if found is not None and not opening and body.severity == found.severity:
        # Who closes or renames says nothing of how grave it is; who changes the severity does.
        self_declared = found.self_declared and self_declared
    state.incidents[body.incident] = IncidentState(
        body.incident,
        body.severity,
        body.title,
        self_declared,
        body.change,
        stated.at if opening or found is None else found.opened_at,
    )
    if said is not None:
        state.nonces[(said.statement.who, said.statement.nonce)] = said.digest


def _declared(state: State, stated: Submission) -> Said[Declare]:
    body = stated.body
    said = word_of(state, body.statement, Declare, stated.at)
    wanted = Do.CLOSE if body.change is IncidentChange.CLOSED else Do.DECLARE
    word = said.statement
    if (word.do, word.incident, word.severity, word.title) != (
        wanted,
        body.incident,
        body.severity,
        body.title,
    ):
        raise Void("mismatch", "the statement says something else of the incident")
    check_first_use(state, word)
    return said
