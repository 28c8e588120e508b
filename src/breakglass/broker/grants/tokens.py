"""Tokens for grants that stand: card, intent and proof, put together and checked before use."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.http.client import Peer
from breakglass.node.replica import Replica
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.kinds.intent import Intent
from breakglass.records.proven import Proven, prove, prove_door
from breakglass.records.record_reader import parse_record
from breakglass.records.statement import Countersign, Door, parse_statement
from breakglass.token.token import Token

_KEPT = 1024
_WITHIN = timedelta(seconds=3)


class Tokens:
    """Keeps the proofs of recent intents; others are asked of the ledger. Safe under threads."""

    def __init__(self, view: Replica, ledger: Peer) -> None:
        self._view = view
        self._ledger = ledger
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Proven[Intent]] = OrderedDict()

    def prove(self, note: bytes, proof: bytes) -> Proven[Intent]:
        """Check an intent's proof, by the trust file in force, and keep it.

        Raises:
            UnprovenError: it does not hold; nothing may be done with it.
        """
        trust = self._view.trust()
        if is_door(note):  # it may have come within a day
            proven = prove_door(note, proof, trust)
        else:
            proven = prove(Intent, note, proof, trust, "broker")
        with self._lock:
            self._kept[proven.index] = proven
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return proven

    def proven(self, grant: GrantState) -> Proven[Intent]:
        """Return the proof of a grant's intent.

        Raises:
            UnavailableError: the ledger did not give it.
            UnprovenError: what it gave does not hold.
        """
        with self._lock:
            kept = self._kept.get(grant.index)
        if kept is not None:
            return kept
        proof = self._ledger.get(f"/proof/{grant.index}", within=_WITHIN).body
        return self.prove(grant.note, proof)

    def token(self, grant: GrantState) -> Token:
        """Return a grant's token, not yet bound to a door and a run.

        Raises:
            RefusedError: ``ended``; of a grant that has shrunk.
            UnavailableError, UnprovenError: as ``proven``.
        """
        if grant.intent is None or grant.card is None:
            raise RefusedError(
                f"grant {grant.grant!r} has ended; its token opens nothing any more",
                name=ErrorName.ENDED,
                hint="break the glass again: a grant is never extended",
            )
        people = grant.card.people.carried(signers(grant.intent))
        return Token(grant.card.note, grant.note, people, self.proven(grant).proof)


def signers(intent: Intent) -> list[str]:
    """Return who of the card's people signed a statement of an intent, or might have.

    A custodian who is on the card too signed as a custodian, and needs no line.
    """
    said = [parse_statement(each.text) for each in intent.statements]
    return [each.who for each in said if not isinstance(each, Countersign)]


def is_door(note: bytes) -> bool:
    """Say whether a note is an intent of the custodians' door."""
    body = parse_record(note).body
    return isinstance(body, Intent) and isinstance(parse_statement(body.statements[0].text), Door)


def standing(grants: Mapping[str, GrantState], grant: str) -> GrantState:
    """Return a grant.

    Raises:
        RefusedError: ``no_grant``.
    """
    found = grants.get(grant)
    if found is None:
        raise RefusedError(f"there is no grant {grant[:40]!r}", name=ErrorName.NO_GRANT)
    return found
