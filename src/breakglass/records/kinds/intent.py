"""The key: with its proof, a card and the holder's signature it opens what it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.records.authority import check_custodians, check_intent_names, check_statements
from breakglass.records.card import Card, Tier
from breakglass.records.encoding.text_types import (
    Code,
    Digest,
    GrantId,
    Handle,
    MaybeHandle,
    MaybeHolderKey,
    MaybeIncidentId,
    Word,
)
from breakglass.records.fold.ask_rules import (
    check_not_ended,
    labels_of,
    overtake,
    scheduled_grant,
)
from breakglass.records.fold.context import (
    Submission,
    Void,
    check_age,
    check_nonce,
    check_not_closed,
    in_force,
    lost_race,
)
from breakglass.records.fold.forgetting import (
    ended_ask,
    refusal,
    standing_grant,
    standing_incident,
    waiting_ask,
)
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.grant import Path
from breakglass.records.intent_limits import check_terms
from breakglass.records.kind_sets import SET_2
from breakglass.records.record import Kind
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.statement import (
    AccessRequest,
    Do,
    Scope,
    digest_of,
    grant_of_digest,
    parse_of_one,
    parse_statement,
)
from breakglass.strict_json import Many
from breakglass.tlog.note import Note

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Intent(Kind):
    """The key: with its proof, a card and the holder's signature it opens what it names.

    The asker's or breaker's statement stands first in ``statements``, the approvers' behind it,
    the custodians' of a door last. ``path`` follows from the first by ``path_of``. ``handle`` is
    derived from the grant id, so that an orphan of a crash is found. ``review_by`` is when
    the review is due, fixed here. Frozen: docs/spec/record.md.
    """

    kind: ClassVar[str] = "intent"
    grant: GrantId
    path: Path
    tier: Tier
    card: Digest
    policy: Digest
    glass: Handle
    who: Handle
    incident: MaybeIncidentId
    ticket: Word
    minter: MaybeHandle
    scope: Scope
    act: MaybeHandle
    gates: Annotated[tuple[Handle, ...], Many(64)]
    holder: MaybeHolderKey
    not_before: datetime
    not_after: datetime
    handle: Code
    review_by: datetime
    statements: Annotated[tuple[Signed | SignedByPasskey, ...], Many(33)]


def judge(state: State, stated: Submission) -> None:
    """The key: judged as a token is, and against what only the ledger knows."""
    body, trust = stated.body, in_force(state)
    _check_ages(state, body)
    check_not_closed(state, body.grant)
    existing = state.grants.by_id.get(body.grant)
    if existing is not None:
        raise _second(existing, stated, trust.skew)
    if refusal(state, body.grant) is not None:
        raise Void(
            ErrorName.REFUSED_ALREADY, "what was asked for was refused; a person must ask again"
        )
    check_not_ended(state, body.grant, stated)
    active = state.governance.cards.get(body.glass)
    if active is None:
        raise Void(ErrorName.NO_CARD, f"glass {body.glass!r} has no card in force")
    card = active.card
    if stated.at > card.expires:
        raise Void(ErrorName.CARD_EXPIRED, f"the card of {body.glass!r} has expired")
    check_intent_names(body, stated.record.envelope, card, Note.parse(active.note))
    people = active.people.by_name
    asking = check_statements(body, card, people)
    check_terms(body, stated.at, asking, card, trust.skew)
    said = asking.statement
    custodians: tuple[str, ...] = ()
    if said.do is Do.DOOR:
        custodians = check_custodians(body, stated.at, asking, people, trust)
    _check_incident(state, body)
    stopped = state.governance.suspensions(body.who, body.glass, body.grant)
    stopped += tuple(
        f"person {who!r}"
        for who in (*asking.factors, *custodians)
        if ("person", who) in state.governance.suspended
    )
    if stopped:
        raise Void(ErrorName.SUSPENDED, f"{stopped[0]} is suspended")
    _check_after(state, said)
    _check_scheduled(state, said, stated)
    uses = _machine_uses(state, said, card, stated)
    words = [parse_statement(each.text) for each in body.statements]
    digests = [digest_of(each.text) for each in body.statements]
    for word, digest in zip(words, digests, strict=True):
        check_nonce(state, word, digest)
    for word, digest in zip(words, digests, strict=True):
        state.statements.use(word, digest)
    labels = labels_of(state, body.path, said, stated)
    state.grants.asked.pop(body.grant, None)
    overtake(state, said, stated)
    if uses:
        state.grants.machine_uses[(body.glass, body.who)] = uses
    state.grants.by_id[body.grant] = GrantState.of(
        stated.record, stated.entry.index, stated.entry.note, active, labels
    )
    if said.starts:
        state.grants.scheduled[(said.who, said.glass)] = body.grant


def _check_ages(state: State, body: Intent) -> None:
    """Check first that the wish is not of before what the fold remembers."""
    try:
        said = parse_of_one(body.statements[0].text)
    except (MalformedError, IndexError):
        return  # what is wrong with it is said behind this, by its own name
    check_age(state, said)


def _second(existing: GrantState, stated: Submission, skew: timedelta) -> Void:
    """Say what a second intent of one grant is: a race that two replicas may have, or a forgery.

    Two brokers may each have heard another approver, and each counts from its own clock; what
    counts is that the wish is the same, and that the second gives nothing that the first does not.
    """
    first, second = existing, stated.body
    same = second.statements and digest_of(second.statements[0].text) == first.statement
    if not same:
        return Void(
            ErrorName.ID_TAKEN, f"entry {first.index} made grant {first.grant!r} of another text"
        )
    more = [
        name
        for name, wider in (
            ("gates", not set(second.gates) <= set(first.gates)),
            ("scope", not _within(second.scope, first.scope)),
            ("act", second.act != first.act),
            ("not_before", second.not_before < first.not_before - skew),
            ("not_after", second.not_after > first.not_after + skew),
            ("review_by", second.review_by > first.review_by + skew),
            ("path", second.path is not first.path),
        )
        if wider
    ]
    if not more:
        return lost_race(f"the grant already exists, as entry {existing.index}")
    return Void(
        ErrorName.ID_TAKEN,
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
    standing = standing_grant(state, grant)
    if standing is not None and standing.statement == said.after:
        raise Void(
            ErrorName.GRANTED_ALREADY, f"the ask of {grant!r} was approved; its grant stands"
        )
    ended = ended_ask(state, grant)
    # Whoever was told no may still break a glass that takes nobody, and says so openly.
    refused = ended is not None and ended.name == ErrorName.REFUSED_BY_APPROVER
    asked = ended.ask if refused and ended is not None else waiting_ask(state, grant)
    same = asked is not None and asked.digest == said.after and asked.said.do is Do.ASK
    same = same and asked is not None and said.at <= asked.until
    if not same or asked is None:
        raise Void(ErrorName.AFTER_MISMATCH, "the break names no ask that waits")
    ask = asked.said
    for name in ("who", "glass", "minter", "incident", "act", "log"):
        if getattr(ask, name) != getattr(said, name):
            raise Void(
                ErrorName.AFTER_MISMATCH, f"the ask that the break names is of another {name}"
            )
    if not _within(said.scope, ask.scope):
        raise Void(ErrorName.AFTER_MISMATCH, "the break takes a wider scope than was asked for")


def _check_scheduled(state: State, said: AccessRequest, stated: Submission) -> None:
    """Check that nobody heaps up access ahead: one grant that has not begun, by person and glass.

    Raises:
        Void: ``scheduled_already``, quietly within the skew of the first.
    """
    if not said.starts or in_force(state).kinds < SET_2:
        return
    other = scheduled_grant(state, said.who, said.glass, stated.witnessed)
    if other is not None:
        raise Void(
            ErrorName.SCHEDULED_ALREADY,
            f"{said.who!r} has {other.grant!r} of {said.glass!r} already, which begins"
            f" {other.not_before:%Y-%m-%d %H:%M} UTC",
            quiet=stated.at - other.at <= in_force(state).skew,
        )


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
        each
        for each in state.grants.machine_uses.get((said.glass, said.who), ())
        if each > now - per
    ]
    last = max(state.grants.machine_uses.get((said.glass, said.who), ()), default=None)
    if len(before) >= machine.at_most:
        raise Void(
            ErrorName.MACHINE_CAP, f"{said.who!r} acted {len(before)} times in {machine.per_s} s"
        )
    if last is not None and now < last + timedelta(seconds=machine.cool_down_s):
        raise Void(ErrorName.MACHINE_CAP, f"{said.who!r} cools down for {machine.cool_down_s} s")
    keep = tuple(before) or ((last,) if last else ())
    return (*keep, now)


def _check_incident(state: State, body: Intent) -> None:
    if not body.incident:
        return
    found = standing_incident(state, body.incident)
    if found is None or not found.open:
        raise Void(ErrorName.NO_INCIDENT, f"incident {body.incident!r} is not open")


RULE = KindRule(Intent, by=frozenset({"broker"}), judge=judge)
