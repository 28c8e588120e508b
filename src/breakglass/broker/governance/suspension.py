"""Kills, and their lifting: by somebody whom the policy names for it, in their signed word."""

from __future__ import annotations

import difflib
import logging
from dataclasses import dataclass

from breakglass.broker.grants.early_end import EndingEarly
from breakglass.broker.incidents.declarations import StatementBody
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.records.fold.forgetting import used_by
from breakglass.records.fold.state import State
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.kinds.suspended import Suspended
from breakglass.records.signing.signature import STATEMENT_NAMESPACE, verify_signature
from breakglass.records.statement import Do, Kill, Target, digest_of, parse_as

log = logging.getLogger("breakglass.broker")


@dataclass(frozen=True)
class Stopped:
    """What was stopped or let go, where that was recorded, and the live grants that it ends."""

    target: Target
    name: str
    index: int | None
    grants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suspending:
    """See the module."""

    recording: Recorder
    ending: EndingEarly

    def kill(self, body: StatementBody) -> Stopped:
        """Stop a grant, a person or a glass, or let one of the last two go; again is harmless.

        Raises:
            RefusedError: this person may not kill, or there is no such grant, person or glass.
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
            live, known = _live(state, said), _known(state, said.target)
            keys, may = state.governance.keys_of(said.who), state.governance.may_kill(said.who)
        if said.target is Target.GRANT and grant is None:
            raise RefusedError(f"there is no grant {said.name!r}", name=ErrorName.NO_GRANT)
        if may and said.target is not Target.GRANT and stopped is None and said.name not in known:
            # A typing mistake that is told as a success leaves the thief at work. Names are told
            # to nobody but who may kill.
            verify_signature(signed, keys, STATEMENT_NAMESPACE)
            near = difflib.get_close_matches(said.name, known, n=3, cutoff=0.5)
            raise RefusedError(
                f"there is no {said.target.value} {said.name!r}, in the policy or with a live"
                " grant; nothing was stopped",
                name=ErrorName.NO_TARGET,
                hint=f"near it: {', '.join(near)}" if near else "",
            )
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
        return Stopped(said.target, said.name, index, live if active else ())


def _live(state: State, said: Kill) -> tuple[str, ...]:
    """Return the grants that are not over and that ``said`` is about."""
    wanted = {Target.GRANT: "grant", Target.PERSON: "who", Target.GLASS: "glass"}[said.target]
    return tuple(
        each.grant
        for each in state.grants.by_id.values()
        if getattr(each, wanted) == said.name and each.ended is None and each.dead_at is None
    )


def _known(state: State, target: Target) -> set[str]:
    """Return the names that can be stopped: the policy's, and those of live grants."""
    governance, grants = state.governance, state.grants.by_id.values()
    if target is Target.GLASS:
        return {*governance.cards, *(each.glass for each in grants if each.ended is None)}
    machines = {name for each in governance.cards.values() for name in each.card.machines}
    return {
        *governance.people.by_name,
        *machines,
        *(each.who for each in grants if each.ended is None),
    }
