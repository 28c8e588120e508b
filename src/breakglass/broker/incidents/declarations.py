"""Incidents that people declare and close by their own signed word."""

from __future__ import annotations

from dataclasses import dataclass

from breakglass.broker.rate_limit import RateLimit
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
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


@dataclass(frozen=True)
class StatementBody:
    """A request that is one signed statement."""

    statement: Signed | SignedByPasskey


@dataclass(frozen=True)
class Declared:
    """Where it was recorded; ``index`` is ``None`` if the same statement was recorded before."""

    incident: str
    index: int | None


@dataclass(frozen=True)
class Declarations:
    """See the module."""

    recording: Recorder
    allowance: RateLimit

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
            return Declared(said.incident, None)
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
        return Declared(said.incident, receipts[0].index)

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
