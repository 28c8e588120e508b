"""Kills, and their lifting: by somebody whom the policy names for it, in their signed word."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from breakglass.broker.grants.early_end import EndingEarly
from breakglass.broker.incidents.declarations import StatementBody
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.records.fold.forgetting import used_by
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.kinds.suspended import Suspended
from breakglass.records.statement import Do, Kill, Target, digest_of, parse_as

log = logging.getLogger("breakglass.broker")


@dataclass(frozen=True)
class Stopped:
    """What was stopped or let go, and where that was recorded."""

    target: Target
    name: str
    index: int | None


@dataclass(frozen=True)
class Suspending:
    """See the module."""

    recording: Recorder
    ending: EndingEarly

    def kill(self, body: StatementBody) -> Stopped:
        """Stop a grant, a person or a glass, or let one of the last two go; again is harmless.

        Raises:
            RefusedError: this person may not kill, or there is no such grant.
            UnprovenError: the signature does not hold.
            UnavailableError: the ledger did not take it; nothing is stopped yet.
        """
        signed = body.statement
        said = parse_as(Kill, signed.text)
        record_id = f"suspended/{digest_of(signed.text)[:24]}"
        with self.recording.view.reading() as state:
            grant = state.grants.by_id.get(said.name) if said.target is Target.GRANT else None
            stopped = state.governance.suspended.get((said.target.value, said.name))
            index = stopped.index if stopped is not None else None
            stated = used_by(state, said) == digest_of(signed.text)
        if said.target is Target.GRANT and grant is None:
            raise RefusedError(f"there is no grant {said.name!r}", name=ErrorName.NO_GRANT)
        # (1) The record first: every minter that follows the ledger acts on it by itself, and no
        #     token of what is stopped is minted from here on.
        active = said.do is Do.KILL
        if not stated:
            fact = Fact(record_id, Suspended(said.target, said.name, active, signed))
            try:
                index = self.recording.record([fact])[0].index
            except RefusedError as error:
                if error.name != ErrorName.LOST_RACE:  # it is so already, by another's word
                    raise
        # (2) For a grant the minter is told at once as well. If that fails, (1) does it.
        if grant is not None:
            try:
                self.ending.end(grant, EndedWhy.KILLED, said.reason.text, signed)
            except BreakglassError as error:
                log.warning("kill of %s: its minter was not reached: %s", said.name, error)
        return Stopped(said.target, said.name, index)
