"""Judges of the life of a grant: asked, answered, intended, minted, ended, dead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from breakglass.errors import RefusedError
from breakglass.records.authority import check_custodians, check_intent_names, check_statements
from breakglass.records.card import Card
from breakglass.records.fold.context import (
    Said,
    Submission,
    Void,
    check_first_use,
    check_nonce,
    check_statement,
    grant_of,
    in_force,
    lost_race,
    word_of,
)
from breakglass.records.fold.governance_rules import killer
from breakglass.records.fold.state import AskedState, GrantState, State
from breakglass.records.intent_limits import check_terms
from breakglass.records.kinds.grants import EndedWhy, Intent, Reply, path_of
from breakglass.records.signing.signature import STATEMENT_NAMESPACE, Factor, verify_signature
from breakglass.records.statement import (
    AccessRequest,
    Answer,
    Do,
    Target,
    digest_of,
    grant_id,
    grant_of_digest,
    parse_request,
    parse_statement,
)
from breakglass.tlog.note import Note

WAIT_AT_MOST = timedelta(hours=1)  # the most that a card can give


def asked(state: State, stated: Submission) -> None:
    """Somebody asked; the grant waits for its intent until the card's wait is over."""
    said = _asking(state, stated)
    grant = stated.body.grant
    if grant in state.asked or grant in state.grants or grant in state.refused:
        raise lost_race(f"grant {grant!r} was asked for already")
    word = said.statement
    active = state.cards.get(word.glass)
    wait = timedelta(seconds=active.card.wait_s) if active else WAIT_AT_MOST
    until = word.at + max(wait, in_force(state).skew)
    state.nonces[(word.who, word.nonce)] = said.digest
    state.asked[grant] = AskedState(
        stated.entry.index, stated.at, word.who, word.glass, said.digest, until, word
    )


def refused(state: State, stated: Submission) -> None:
    """Somebody asked, and the answer is no; the statement is spent."""
    said = _asking(state, stated)
    grant = stated.body.grant
    if grant in state.grants or grant in state.refused:
        raise lost_race(f"grant {grant!r} was decided already")
    state.nonces[(said.statement.who, said.statement.nonce)] = said.digest
    state.asked.pop(grant, None)
    state.refused[grant] = stated.entry.index


def _asking(state: State, stated: Submission) -> Said[AccessRequest]:
    body = stated.body
    said = parse_request(body.statement.text)
    if said.do is Do.MACHINE:
        active = state.cards.get(said.glass)
        machine = active.card.machines.get(said.who) if active else None
        if machine is None:
            raise RefusedError(f"no card names machine {said.who!r}", name="unknown_person")
        verify_signature(body.statement, [machine.key], STATEMENT_NAMESPACE)
        check_statement(state, said, stated.at)
        word = Said(said, digest_of(body.statement.text), Factor.ONE)
    else:
        word = word_of(state, body.statement, type(said), stated.at, suspended_too=True)
    if grant_id(body.statement.text) != body.grant:
        raise Void("wrong_id", "the grant's id does not follow from the statement")
    if body.path is not path_of(said):
        raise Void("mismatch", "the record's path does not follow from the statement")
    if not word.factor.meets(body.factors.factor):
        raise Void("mismatch", "the record claims a stronger factor than the signature shows")
    check_nonce(state, said, word.digest)
    return word


def answered(state: State, stated: Submission) -> None:
    """An approver answered the asker's statement, or nobody did."""
    body = stated.body
    waiting = state.asked.get(body.grant)
    if waiting is None:
        raise Void("no_grant", f"nobody waits for an answer to {body.grant!r}")
    if body.reply is Reply.NOBODY:
        if body.statement is not None:
            raise Void("mismatch", "nobody signs nothing")
        return
    said = word_of(state, body.statement, Answer, stated.at)
    word = said.statement
    do = Do.APPROVE if body.reply is Reply.YES else Do.REFUSE
    if (word.do, word.answers) != (do, waiting.digest) or word.who == waiting.who:
        raise Void("mismatch", "the statement answers something else, or its own signer")
    if state.nonces.get((word.who, word.nonce)) == said.digest:
        raise lost_race("the answer stands already")
    check_first_use(state, word)
    state.nonces[(word.who, word.nonce)] = said.digest


def intent(state: State, stated: Submission) -> None:
    """The key: judged as a token is, and against what only the ledger knows."""
    body, trust = stated.body, in_force(state)
    existing = state.grants.get(body.grant)
    if existing is not None:
        raise _second(existing, stated)
    if body.grant in state.refused:
        raise Void("refused_already", "what was asked for was refused; a person must ask again")
    active = state.cards.get(body.glass)
    if active is None:
        raise Void("no_card", f"glass {body.glass!r} has no card in force")
    card = active.card
    if stated.at > card.expires:
        raise Void("card_expired", f"the card of {body.glass!r} has expired")
    check_intent_names(body, stated.record.envelope, card, Note.parse(active.note))
    people = active.people.by_name
    asking = check_statements(body, card, people)
    check_terms(body, stated.at, asking, card, trust.skew)
    said = asking.statement
    custodians: tuple[str, ...] = ()
    if said.do is Do.DOOR:
        custodians = check_custodians(body, stated.at, asking, people, trust)
    _check_incident(state, body)
    stopped = state.suspensions(body.who, body.glass, body.grant)
    stopped += tuple(
        f"person {who!r}"
        for who in (*asking.factors, *custodians)
        if ("person", who) in state.suspended
    )
    if stopped:
        raise Void("suspended", f"{stopped[0]} is suspended")
    _check_after(state, said)
    uses = _machine_uses(state, said, card, stated)
    words = [parse_statement(each.text) for each in body.statements]
    digests = [digest_of(each.text) for each in body.statements]
    for word, digest in zip(words, digests, strict=True):
        check_nonce(state, word, digest)
    for word, digest in zip(words, digests, strict=True):
        state.nonces[(word.who, word.nonce)] = digest
    state.asked.pop(body.grant, None)
    if said.after:
        state.asked.pop(grant_of_digest(said.after), None)  # overtaken: it is waited for no more
    if uses:
        state.machine_uses[(body.glass, body.who)] = uses
    state.grants[body.grant] = GrantState(
        body, stated.entry.index, stated.at, stated.entry.note, active
    )


def _second(existing: GrantState, stated: Submission) -> Void:
    """Say what a second intent of one grant is: a race that two replicas may have, or a forgery.

    Two brokers may each have heard another approver; what counts is that the wish is the same,
    and that the second gives nothing that the first does not.
    """
    first, second = existing.intent, stated.body
    same = second.statements and first.statements[0].text == second.statements[0].text
    if not same:
        return Void(
            "id_taken", f"entry {existing.index} made grant {first.grant!r} of another text"
        )
    more = [
        name
        for name, wider in (
            ("gates", not set(second.gates) <= set(first.gates)),
            ("scope", not _within(second.scope, first.scope)),
            ("act", second.act != first.act),
            ("not_before", second.not_before < first.not_before),
            ("not_after", second.not_after > first.not_after),
            ("review_by", second.review_by > first.review_by),
            ("path", second.path is not first.path),
        )
        if wider
    ]
    if not more:
        return lost_race(f"the grant stands already, as entry {existing.index}")
    return Void(
        "id_taken",
        f"entry {stated.entry.index}, signed by {stated.submitter}, gives more ({', '.join(more)})"
        f" than entry {existing.index} for one statement",
    )


def _within(narrow: Mapping[str, tuple[str, ...]], wide: Mapping[str, tuple[str, ...]]) -> bool:
    return narrow.keys() == wide.keys() and all(
        set(narrow[name]) <= set(wide[name]) for name in narrow
    )


def _check_after(state: State, said: AccessRequest) -> None:
    """Check the ask that a break names: the same person's, for the same thing, not yet answered."""
    if not said.after:
        return
    grant = grant_of_digest(said.after)
    standing = state.grants.get(grant)
    if standing is not None and standing.statement == said.after:
        raise Void("granted_already", f"the ask of {grant!r} was approved; its grant stands")
    asked = state.asked.get(grant)
    same = asked is not None and asked.digest == said.after and asked.said.do is Do.ASK
    same = same and asked is not None and said.at <= asked.until
    if not same or asked is None:
        raise Void("after_mismatch", "the break names no ask that waits")
    ask = asked.said
    for name in ("who", "glass", "minter", "incident", "act", "log"):
        if getattr(ask, name) != getattr(said, name):
            raise Void("after_mismatch", f"the ask that the break names is of another {name}")
    if not _within(said.scope, ask.scope):
        raise Void("after_mismatch", "the break takes a wider scope than was asked for")


def _machine_uses(
    state: State, said: AccessRequest, card: Card, stated: Submission
) -> tuple[datetime, ...]:
    """Return when this machine's intents were witnessed, this one last; empty for a person.

    Raises:
        Void: ``machine_cap``; more often than the card lets it, by the witnesses' time.
    """
    if said.do is not Do.MACHINE:
        return ()
    machine, now = card.machines[said.who], stated.witnessed
    per = timedelta(seconds=machine.per_s)
    before = [
        each for each in state.machine_uses.get((said.glass, said.who), ()) if each > now - per
    ]
    last = max(state.machine_uses.get((said.glass, said.who), ()), default=None)
    if len(before) >= machine.at_most:
        raise Void("machine_cap", f"{said.who!r} acted {len(before)} times in {machine.per_s} s")
    if last is not None and now < last + timedelta(seconds=machine.cool_down_s):
        raise Void("machine_cap", f"{said.who!r} cools down for {machine.cool_down_s} s")
    keep = tuple(before) or ((last,) if last else ())
    return (*keep, now)


def _check_incident(state: State, body: Intent) -> None:
    if not body.incident:
        return
    found = state.incidents.get(body.incident)
    if found is None or not found.open:
        raise Void("no_incident", f"incident {body.incident!r} is not open")


def minted(state: State, stated: Submission) -> None:
    """The minter made the credential."""
    grant = _running(state, stated)
    if grant.minted_at is not None:
        raise lost_race(f"grant {stated.body.grant!r} is minted already")
    state.grants[stated.body.grant] = replace(
        grant, minted_at=stated.at, since_asked_ms=stated.body.since_asked_ms
    )


def usable(state: State, stated: Submission) -> None:
    """The minter tried the credential, and it works."""
    grant = _running(state, stated)
    if grant.usable_at is not None:
        raise lost_race(f"grant {stated.body.grant!r} is usable already")
    state.grants[stated.body.grant] = replace(
        grant, usable_at=stated.at, since_asked_ms=stated.body.since_asked_ms
    )


def ended(state: State, stated: Submission) -> None:
    """A grant is over: said by its minter, or by the broker if nothing was minted."""
    body = stated.body
    grant = grant_of(state, body.grant)
    if grant.ended is not None:
        raise lost_race(f"grant {body.grant!r} has ended already")
    if stated.role.kind == "minter":
        _of_minter(state, stated)
    elif grant.minted_at is not None:
        raise Void("role", "a minted grant is ended by its minter")
    _check_ended_why(state, grant, stated)
    state.grants[body.grant] = replace(grant, ended=body, ended_at=stated.at)


def _check_ended_why(state: State, grant: GrantState, stated: Submission) -> None:
    body, skew = stated.body, in_force(state).skew
    if body.why is EndedWhy.EXPIRED and stated.at < grant.intent.not_after - skew:
        raise Void("not_yet", "the grant has not expired")
    if body.why is EndedWhy.DONE:
        word = word_of(state, body.statement, Answer, None, suspended_too=True).statement
        if (word.do, word.who, word.answers) != (Do.DONE, grant.intent.who, grant.statement):
            raise Void("mismatch", "only the holder hands a grant back")
    if body.why is EndedWhy.KILLED:
        said = killer(state, body.statement, stated, Do.KILL).statement
        named = {
            Target.GRANT: grant.intent.grant,
            Target.PERSON: grant.intent.who,
            Target.GLASS: grant.intent.glass,
        }
        if named[said.target] != said.name or said.at < grant.at - skew:
            raise Void("mismatch", "the statement stops something else, or is of before")
    if body.why is EndedWhy.INCIDENT_CLOSED:
        found = state.incidents.get(grant.intent.incident)
        if found is None or found.open:
            raise Void("mismatch", f"incident {grant.intent.incident!r} is not closed")


def dead(state: State, stated: Submission) -> None:
    """The minter tried the credential after its end, and it is gone."""
    grant = _of_minter(state, stated)
    if grant.ended is None:
        raise Void("not_ended", f"grant {stated.body.grant!r} has not ended")
    if grant.dead_at is not None:
        raise lost_race("the grant is dead already")
    state.grants[stated.body.grant] = replace(grant, dead_at=stated.at, tail_ms=stated.body.tail_ms)


def _of_minter(state: State, stated: Submission) -> GrantState:
    grant = grant_of(state, stated.body.grant)
    if grant.intent.minter != stated.role.name:
        raise Void("role", f"grant {stated.body.grant!r} is another minter's")
    return grant


def _running(state: State, stated: Submission) -> GrantState:
    grant = _of_minter(state, stated)
    skew = in_force(state).skew
    if grant.ended is not None or stated.at > grant.intent.not_after + skew:
        raise Void("after_end", f"grant {stated.body.grant!r} has ended")
    if stated.at < grant.at - skew:
        raise Void("before_intent", f"grant {stated.body.grant!r} had not begun")
    return grant
