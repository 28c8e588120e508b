"""Gate reviews that people sign: checked on the fold, stated by the monitor, and then in force."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from breakglass.clock import Clock, Deadline, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError, UnavailableError
from breakglass.monitor.gates.gate_status import Gates, siblings_of
from breakglass.node.dry_run import rehearse
from breakglass.node.replica import Replica
from breakglass.node.submitter import Fact, Submitter
from breakglass.records.kinds.gate_reviewed import GateReviewed
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.statement import ReviewGate, digest_of, parse_as
from breakglass.strict_json import view
from breakglass.tlog.note import Signer

RECORDED_WITHIN = timedelta(seconds=10)  # a person waits; the skew of their word is 120 s


@dataclass(frozen=True)
class ReviewedBody:
    """A request that is one signed gate review."""

    statement: Signed | SignedByPasskey


@dataclass(frozen=True)
class GateReviewView:
    """What was decided, by whom, and where it was recorded."""

    gate: str
    verdict: str
    decision: str
    by: str
    look_again: datetime
    index: int


@dataclass(frozen=True)
class GateReviews:
    """Takes what a gate review decided. Safe under threads.

    Args:
        view: the followed ledger.
        gates: which gates the ledger has heard of.
        stating: the monitor's voice.
        key: the monitor's own; a review is tried under it before it is written.
        clock: the monitor's own.
        closed: why nothing may be stated now, or empty.
        within: how long the ledger may take.
    """

    view: Replica
    gates: Gates
    stating: Submitter
    key: Signer
    clock: Clock
    closed: Callable[[], str]
    within: timedelta = RECORDED_WITHIN
    _one: threading.Lock = field(default_factory=threading.Lock)

    def review(self, gate: str, body: ReviewedBody) -> GateReviewView:
        """Record a decision on a gate; the same statement again gives the same answer.

        Raises:
            MalformedError: not a gate review, or one of another gate.
            RefusedError: an unknown gate or person, an old or used statement; nothing recorded.
            UnavailableError: the past is not read yet, or the ledger did not take it.
        """
        said = parse_as(ReviewGate, body.statement.text)
        if said.gate != gate:
            raise MalformedError(
                f"the statement is of gate {said.gate!r}, not of {gate[:60]!r}; nothing was"
                " recorded",
                name=ErrorName.WRONG_GATE,
            )
        if why := self.closed():
            raise UnavailableError(f"{why}; nothing was recorded", name=ErrorName.CATCHING_UP)
        record_id = f"gates/{gate}/reviewed/{digest_of(body.statement.text)[:16]}"
        fact = Fact(record_id, _stated(said, body.statement))
        with self._one:
            # (1) Said already: who asks again learns where it stands.
            index = self._found(record_id)
            if index is None:
                # (2) Try it on the fold: the ledger never forgets a mistake.
                self._check_known(gate)
                with self.view.reading() as state:
                    rehearse(state, [fact], self.key, to_milliseconds(self.clock.now()))
                # (3) State it, and be sure that it holds where it came to stand.
                index = self._recorded(fact)
        return view(GateReviewView, said, by=said.who, index=index)

    def _recorded(self, fact: Fact) -> int:
        try:
            (receipt,) = self.stating.append([fact], self.within)
        except RefusedError as error:
            if error.name != ErrorName.ID_TAKEN:
                raise
            # An earlier try of the same word was recorded after all, and its answer was lost.
            return self._found_soon(fact.id)
        judged = self.view.wait_for(receipt.index, self.within)
        if judged.void:
            raise RefusedError(
                f"entry {receipt.index} does not hold: {judged.why or judged.void}",
                name=judged.void,
            )
        return receipt.index

    def _found_soon(self, record_id: str) -> int:
        for _ in Deadline(self.within).tries():
            if (index := self._found(record_id)) is not None:
                return index
        raise UnavailableError(
            f"{record_id!r} is recorded and not yet read back; ask again",
            name=ErrorName.NOT_FOLLOWED,
        )

    def _found(self, record_id: str) -> int | None:
        records = self.gates.records()
        return next((each.index for each in records.reviews if each.id == record_id), None)

    def _check_known(self, gate: str) -> None:
        with self.view.reading() as state:
            bundle = state.governance.bundle
        known = set(siblings_of(bundle)) | self.gates.records().gates
        if gate not in known:
            raise RefusedError(
                f"there is no gate {gate!r}; nothing was recorded",
                name=ErrorName.UNKNOWN_GATE,
                hint=f"gates: {', '.join(sorted(known)[:8]) or 'none'}",
            )


def _stated(said: ReviewGate, statement: Signed | SignedByPasskey) -> GateReviewed:
    return GateReviewed(
        gate=said.gate,
        verdict=said.verdict,
        decision=said.decision,
        look_again=said.look_again,
        by=said.who,
        statement=statement,
    )
