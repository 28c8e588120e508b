"""What makes breaking glass an emergency."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Handle, IncidentId, Reason, Severity
from breakglass.records.fold.context import (
    Said,
    Submission,
    Void,
    check_first_use,
    lost_race,
    word_of,
)
from breakglass.records.fold.forgetting import standing_incident
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.incidents import IncidentState, IncidentWord
from breakglass.records.record import Kind
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.statement import Declare, Do

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


class IncidentChange(StrEnum):
    """What happened to an incident."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"


@dataclass(frozen=True)
class Incident(Kind):
    """An incident opens, changes its severity or title, or closes.

    ``self_declared`` incidents carry the person's statement and satisfy contained glasses only;
    others carry their source's authenticated message as an attachment.
    """

    kind: ClassVar[str] = "incident"
    incident: IncidentId
    change: IncidentChange
    severity: Severity
    title: Reason
    source: Handle
    self_declared: bool
    statement: Signed | SignedByPasskey | None


def judge(state: State, stated: Submission) -> None:
    """An incident opens, changes or closes: by a person's word, or by a source's message."""
    body = stated.body
    found = standing_incident(state, body.incident)
    opening = body.change is IncidentChange.OPENED
    if not opening and found is None:
        raise Void(ErrorName.NO_INCIDENT, f"there is no incident {body.incident!r}")
    if opening == (found is not None and found.open):
        raise lost_race(f"incident {body.incident!r} has this state already")
    said = _declared(state, stated) if body.self_declared else None
    if said is None and (body.statement is not None or not stated.record.attachments):
        raise Void(
            ErrorName.NO_SOURCE, "an incident from outside carries its source's message, no word"
        )
    self_declared, opened = body.self_declared, body.change is not IncidentChange.CLOSED
    if found is not None and not opening and body.severity == found.severity:
        # Who closes or renames says nothing of how grave it is; who changes the severity does.
        self_declared = found.self_declared and self_declared
    state.incidents.by_id[body.incident] = IncidentState(
        body.incident,
        body.severity,
        body.title,
        self_declared,
        opened,
        stated.at if opening or found is None else found.opened_at,
        stated.witnessed if body.change is IncidentChange.CLOSED else None,
        # A source's message is the broker's word for it: it changes nothing that a person signed.
        _word(body, said.statement.who) if said else found.word if found else None,
    )
    if said is not None:
        state.statements.use(said.statement, said.digest)


def _word(body: Incident, who: str) -> IncidentWord:
    opened = body.change is not IncidentChange.CLOSED
    return IncidentWord(body.severity, body.title, opened, who)


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
        raise Void(ErrorName.MISMATCH, "the statement says something else of the incident")
    check_first_use(state, word)
    return said


RULE = KindRule(Incident, by=frozenset({"broker"}), judge=judge)
