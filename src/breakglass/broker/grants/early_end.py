"""Grants that people end before their time: *done* by the holder, *kill* by security.

Where there is a credential its minter judges the person's word and ends it; we hand it on. Where
there is none we judge it by trying the record on the fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from breakglass.broker.grants.tokens import standing
from breakglass.broker.minters import Minters
from breakglass.clock import Clock, format_time
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.records.encoding.text_types import GrantId
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.kinds.ended import Ended, EndedWhy
from breakglass.records.signing.signature import Signature, Signed, SignedByPasskey
from breakglass.records.statement import Answer, Do, parse_as


@dataclass(frozen=True)
class DoneBody:
    """``POST /done``."""

    grant: GrantId
    statement: Signed | SignedByPasskey


@dataclass(frozen=True)
class EndingEarly:
    """See the module."""

    recording: Recorder
    minters: Minters
    clock: Clock

    def done(self, body: DoneBody) -> dict[str, Any]:
        """Hand a grant back; again is harmless.

        Raises:
            RefusedError: no such grant, or not this person's.
            UnavailableError: minter or ledger did not answer; the grant ends by itself in time.
        """
        said = parse_as(Answer, body.statement.text)
        if said.do is not Do.DONE:
            raise MalformedError(
                f"statement.do: {said.do.value!r} is not 'done'", name=ErrorName.WRONG_DO
            )
        with self.recording.view.reading() as state:
            grant = standing(state.grants.by_id, body.grant)
        return self.end(grant, EndedWhy.DONE, said.reason.text, body.statement)

    def end(
        self, grant: GrantState, why: EndedWhy, detail: str, signed: Signature
    ) -> dict[str, Any]:
        """End a grant on somebody's signed word.

        Raises:
            BreakglassError: as ``done``.
        """
        name = grant.grant
        if grant.ended is not None:
            return _told(name, grant.ended_at or self.clock.now())
        if grant.minter:
            return self.minters.end(grant.minter, name, signed)
        try:
            self.recording.record([Fact(f"{name}/ended", Ended(name, why, detail, signed))])
        except RefusedError as error:
            if error.name not in (ErrorName.LOST_RACE, ErrorName.ID_TAKEN):
                raise
        return _told(name, self.clock.now())


def _told(grant: str, at: datetime) -> dict[str, Any]:
    return {"grant": grant, "ended": format_time(at)}
