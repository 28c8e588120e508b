"""Incidents that people declare and close by their own signed word."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from breakglass.broker.incidents.closing_grants import ClosingGrants, GrantEnd
from breakglass.broker.rate_limit import RateLimit
from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.records.fold.forgetting import standing_incident, used_by
from breakglass.records.kinds.incident import Incident, IncidentChange
from breakglass.records.signing.signature import (
    STATEMENT_NAMESPACE,
    Signed,
    SignedByPasskey,
    verify_signature,
)
from breakglass.records.statement import Declare, Do, digest_of, parse_as

log = logging.getLogger("breakglass.broker")


@dataclass(frozen=True)
class StatementBody:
    """A request that is one signed statement."""

    statement: Signed | SignedByPasskey


@dataclass(frozen=True)
class Declared:
    """Where it was recorded; ``index`` is ``None`` if the same statement was recorded before.

    ``ends`` are the grants that end because of it, and when.
    """

    incident: str
    index: int | None
    ends: tuple[GrantEnd, ...] = ()


@dataclass(frozen=True)
class Declarations:
    """See the module."""

    recording: Recorder
    allowance: RateLimit
    closing: ClosingGrants
    clock: Clock

    def declare(self, body: StatementBody) -> Declared:
        """Open or close an incident; the same statement again gives the same answer.

        Raises:
            RefusedError: a stranger, an old statement, an incident that is so already, or
                too many by one person.
            UnprovenError: the signature does not hold.
            UnavailableError: the ledger did not take it.
        """
        signed = body.statement
        said = parse_as(Declare, signed.text)
        change = IncidentChange.CLOSED if said.do is Do.CLOSE else IncidentChange.OPENED
        record_id = f"{said.incident}/{change.value}/{digest_of(signed.text)[:12]}"
        # (1) Who: a stranger is turned away before anything else is looked at.
        with self.recording.view.reading() as state:
            keys = state.governance.keys_of(said.who)
            stated = used_by(state, said) == digest_of(signed.text)
        if not keys:
            raise RefusedError(
                f"unknown person {said.who!r}: not in this policy", name=ErrorName.UNKNOWN_PERSON
            )
        verify_signature(signed, keys, STATEMENT_NAMESPACE)
        if stated:
            return Declared(said.incident, None, self._ends(said.incident))
        if not self.allowance.take(said.who):
            raise RefusedError(
                f"{said.who!r} has declared too much within a minute", name=ErrorName.TOO_MANY
            )
        # (2) Record it. The fold says no, here and everywhere, to what does not fit.
        incident = Incident(
            incident=said.incident,
            change=change,
            severity=said.severity,
            title=said.title,
            source=said.who,
            self_declared=True,
            statement=signed,
        )
        try:
            receipts = self.recording.record([Fact(record_id, incident)])
        except RefusedError as error:
            raise self._better(error, said) from error
        return Declared(said.incident, receipts[0].index, self._ends(said.incident))

    def _ends(self, incident: str) -> tuple[GrantEnd, ...]:
        """Say what ends; the close is recorded, so what cannot be said here is no failure."""
        try:
            with self.recording.view.reading() as state:
                return self.closing.of(incident, state, self.clock.now())
        except BreakglassError as error:
            log.warning("what ends with %s cannot be said: %s", incident, error)
            return ()

    def _better(self, error: RefusedError, said: Declare) -> RefusedError:
        if error.name != ErrorName.LOST_RACE:
            return error
        with self.recording.view.reading() as state:
            found = standing_incident(state, said.incident)
        if found is not None and found.open:
            message = f"incident {said.incident!r} is open already: {found.severity} {found.title}"
        else:
            message = f"incident {said.incident!r} is not open"
        return RefusedError(
            message, name=ErrorName.INCIDENT_STATE, hint="see: breakglass incident list"
        )
