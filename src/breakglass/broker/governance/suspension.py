"""Kills, and their lifting: by somebody whom the policy names for it, in their signed word.

Everything is stopped, and let go again, by two of them.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from breakglass.broker.grants.early_end import EndingEarly
from breakglass.broker.incidents.declarations import StatementBody
from breakglass.clock import Clock, format_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError, UnavailableError
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.records.fold.fold import kinds_in_force
from breakglass.records.fold.forgetting import used_by
from breakglass.records.fold.slices.governance import ALL
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kind_sets import SET_2
from breakglass.records.kinds.all_suspended import RULE, SECOND_WITHIN, AllSuspended
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.kinds.suspended import Suspended
from breakglass.records.signing.signature import STATEMENT_NAMESPACE, Signature, verify_signature
from breakglass.records.statement import (
    Do,
    Kill,
    KillAll,
    Target,
    digest_of,
    parse_as,
    parse_statement,
)
from breakglass.strict_json import MaybeTime

log = logging.getLogger("breakglass.broker")


@dataclass(frozen=True)
class Stopped:
    """What was stopped or let go, and where that was recorded.

    ``target`` is ``grant``, ``person``, ``glass`` or ``all``. ``grants`` are the live grants that
    it ends; of them nothing was minted for ``unminted``, and nothing will be. ``asks`` wait no
    more. ``waits_until`` is empty, or until when a second person is waited for: till then nothing
    is stopped, or let go.
    """

    target: str
    name: str
    index: int | None
    grants: tuple[str, ...] = ()
    unminted: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    waits_until: MaybeTime = ""


@dataclass(frozen=True)
class Suspending:
    """See the module."""

    recording: Recorder
    ending: EndingEarly
    clock: Clock

    def kill(self, body: StatementBody) -> Stopped:
        """Stop a grant, a person, a glass or everything, or let it go; again is harmless.

        A grant never goes on. Everything takes two people: the first one's word waits.

        Raises:
            RefusedError: this person may not kill, or there is no such grant, person or glass.
            UnprovenError: the signature does not hold.
            UnavailableError: the ledger did not take it; nothing is stopped yet.
        """
        signed = body.statement
        if isinstance(parse_statement(signed.text), KillAll):
            return self._kill_all(signed)
        said = parse_as(Kill, signed.text)
        record_id = f"suspended/{digest_of(signed.text)[:24]}"
        with self.recording.view.reading() as state:
            grant = state.grants.by_id.get(said.name) if said.target is Target.GRANT else None
            stopped = state.governance.suspended.get((said.target.value, said.name))
            index = stopped.index if stopped is not None else None
            stated = used_by(state, said) == digest_of(signed.text)
            live, known = _live(state, said.target, said.name), _known(state, said.target)
            ends = kinds_in_force(state) >= SET_2 and said.target is not Target.GRANT
            asks = _asks(state, said.target, said.name, self.clock.now()) if ends else ()
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
        found = Stopped(said.target.value, said.name, index)
        return _ends(found, live, asks) if active else found

    def _kill_all(self, signed: Signature) -> Stopped:
        said = parse_as(KillAll, signed.text)
        active = said.do is Do.KILL_ALL
        with self.recording.view.reading() as state:
            kinds = kinds_in_force(state)
            live, asks = _live(state), _asks(state, None, "", self.clock.now())
            stated = used_by(state, said) == digest_of(signed.text)
        if kinds < RULE.since:
            raise RefusedError(
                f"everything can be stopped under kinds {RULE.since}, and kinds {kinds} are in"
                " force; nothing was stopped",
                name=ErrorName.NOT_OFFERED,
                hint="stop each person or glass; maintainers: breakglass trust next --kinds 2",
            )
        # The record alone: a crash behind it is a first word that waits, or everything stopped;
        # every minter that follows the ledger acts on that by itself.
        if not stated:
            fact = Fact(
                f"all_suspended/{digest_of(signed.text)[:24]}", AllSuspended(active, signed)
            )
            try:
                self.recording.record([fact])
            except RefusedError as error:
                if error.name != ErrorName.LOST_RACE:  # so already, or their word waits already
                    raise
        with self.recording.view.reading() as state:
            first, done = state.governance.first_word, ALL in state.governance.suspended
            index = state.governance.suspended[ALL].index if done else None
        if first is not None and first.active != done:
            until = first.seen + SECOND_WITHIN
            if self.clock.now() <= until and first.active == active:
                return Stopped(*ALL, first.index, waits_until=format_time(until))
            if self.clock.now() <= until and first.active:
                raise RefusedError(
                    f"nothing is stopped: the word of {first.who!r} to stop everything waits for a"
                    f" second person until {format_time(until)}, and is worth nothing after that",
                    name=ErrorName.TOO_EARLY,
                )
        if done != active:
            raise UnavailableError(
                "the word stands in the ledger, and what it did is not seen here yet",
                name=ErrorName.BEHIND,
                hint="type the same again",
            )
        found = Stopped(*ALL, index)
        return _ends(found, live, asks) if active else found


def _ends(found: Stopped, live: Sequence[GrantState], asks: tuple[str, ...]) -> Stopped:
    return replace(
        found,
        grants=tuple(each.grant for each in live),
        unminted=tuple(each.grant for each in live if each.minter and each.minted_at is None),
        asks=asks,
    )


_ABOUT = {Target.GRANT: "grant", Target.PERSON: "who", Target.GLASS: "glass"}


def _live(state: State, target: Target | None = None, name: str = "") -> tuple[GrantState, ...]:
    """Return the grants that are not over: of a target, or all of them."""
    return tuple(
        each
        for each in state.grants.by_id.values()
        if (target is None or getattr(each, _ABOUT[target]) == name)
        and each.ended is None
        and each.dead_at is None
    )


def _asks(state: State, target: Target | None, name: str, now: datetime) -> tuple[str, ...]:
    """Return the asks that wait and will be granted by nobody once this is stopped."""
    return tuple(
        grant
        for grant, each in state.grants.asked.items()
        if (target is None or getattr(each, _ABOUT[target]) == name) and now <= each.until
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
