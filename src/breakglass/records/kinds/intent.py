"""The key: with its proof, a card and the holder's signature it opens what it names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.records.authority import check_custodians, check_intent_names, check_statements
from breakglass.records.card import Tier
from breakglass.records.encoding.text_types import (
    Code,
    Digest,
    GrantId,
    Handle,
    MaybeHandle,
    MaybeHolderKey,
    MaybeIncidentId,
)
from breakglass.records.fold.context import Submission, Void, check_nonce, in_force
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.grant import Path
from breakglass.records.intent_limits import check_terms
from breakglass.records.record import Kind
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.statement import Answer, Do, Scope, Statement, digest_of, parse_as
from breakglass.records.submitter_line import check_single
from breakglass.strict_json import Many
from breakglass.tlog.note import Note

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Intent(Kind):
    """The key: with its proof, a card and the holder's signature it opens what it names.

    The breaker's statement stands first in ``statements``, the approvers' behind it. ``handle``
    is derived from the grant id, so that an orphan of a crash is found. ``review_by`` is when
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
    minter: MaybeHandle
    scope: Scope
    gates: Annotated[tuple[Handle, ...], Many(64)]
    holder: MaybeHolderKey
    not_before: datetime
    not_after: datetime
    handle: Code
    review_by: datetime
    labels: Annotated[tuple[Code, ...], Many(8)]
    statements: Annotated[tuple[Signed | SignedByPasskey, ...], Many(17)]


def judge(state: State, stated: Submission) -> None:
    """The key: judged as a token is, and against what only the ledger knows."""
    body, trust = stated.body, in_force(state)
    existing = state.grants.by_id.get(body.grant)
    if existing is not None:
        # Two replicas may both write the intent of one statement; the second counts for nothing.
        # By text: a signature can be spelled again by somebody else.
        same = [each.text for each in existing.intent.statements] == [
            each.text for each in body.statements
        ]
        raise Void("lost_race" if same else "id_taken", "the grant stands already", quiet=same)
    if body.grant in state.grants.refused:
        raise Void("refused_already", "what was asked for was refused; a person must ask again")
    active = state.governance.cards.get(body.glass)
    if active is None:
        raise Void("no_card", f"glass {body.glass!r} has no card in force")
    card = active.card
    if stated.at > card.expires:
        raise Void("card_expired", f"the card of {body.glass!r} has expired")
    check_intent_names(body, stated.record.envelope, card, Note.parse(active.note))
    asking = check_statements(body, card)
    check_terms(body, stated.at, asking, card, trust.skew)
    if asking.statement.do is Do.DOOR:
        check_custodians(stated.record.note, asking, card, trust)
    else:
        check_single(stated.record)
    _check_incident(state, body)
    stopped = state.governance.suspensions(body.who, body.glass, body.grant)
    stopped += tuple(
        f"person {who!r}" for who in asking.factors if ("person", who) in state.governance.suspended
    )
    if stopped:
        raise Void("suspended", f"{stopped[0]} is suspended")
    approvals = [parse_as(Answer, each.text) for each in body.statements[1:]]
    words: list[Statement] = [asking.statement, *approvals]
    digests = [digest_of(each.text) for each in body.statements]
    for word, digest in zip(words, digests, strict=True):
        check_nonce(state, word, digest)
    for word, digest in zip(words, digests, strict=True):
        state.statements.nonces[(word.who, word.nonce)] = digest
    state.grants.asked.pop(body.grant, None)
    state.grants.by_id[body.grant] = GrantState(
        body, stated.entry.index, stated.at, stated.entry.note, active
    )


def _check_incident(state: State, body: Intent) -> None:
    if not body.incident or body.path.value == "drill":
        return
    found = state.incidents.by_id.get(body.incident)
    if found is None or not found.open:
        raise Void("no_incident", f"incident {body.incident!r} is not open")


RULE = KindRule(Intent, by=frozenset({"broker"}), judge=judge)
