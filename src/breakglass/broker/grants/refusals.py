"""Refusals are written too: the record of a no, as often as one person may have it written."""

from __future__ import annotations

import logging

from breakglass.broker.grants import authorization
from breakglass.broker.grants.authorization import Known, Moment
from breakglass.broker.grants.granting import At
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.rate_limit import RateLimit
from breakglass.errors import BreakglassError, RefusedError
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.policy.decide import Refused
from breakglass.records.grant import path_of
from breakglass.records.kinds.refused import Refused as RefusedRecord

log = logging.getLogger("breakglass.broker")


class Refusals:
    """See the module; safe under threads."""

    def __init__(self, recording: Recorder, allowance: RateLimit, at: At) -> None:
        self._recording = recording
        self._allowance = allowance
        self._at = at

    def refuse(
        self, request: BreakRequest, who: Known, moment: Moment, decision: Refused
    ) -> RefusedError:
        """Record a refusal of a known person, and return the error that says it.

        What was refused before, or waits for approvers, is not recorded again: a ``refused`` would
        end it, and what stands against it now may be gone in a minute.
        """
        error = RefusedError(
            f"{request.said.who!r} may not: {'; '.join(decision.why)}", name=decision.name
        )
        if moment.refused is not None or moment.ask is not None:
            return error
        if not self._allowance.take(request.said.who):
            log.warning("refusals of %r are too many to record", request.said.who)
            return error
        body = RefusedRecord(
            request.grant,
            path_of(request.said),
            request.signed,
            who.factors,
            authorization.written(decision),
            decision.name,
        )
        try:
            self._recording.append([Fact(f"{request.grant}/refused", body)])
        except BreakglassError as trouble:
            # The answer is no in any case; only its record is missing.
            log.warning("refusal of %s not recorded: %s", request.grant, trouble)
        self._at("refused")
        return error
