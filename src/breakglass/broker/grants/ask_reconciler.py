"""Granting what has its answers and no intent, and writing down that nobody answered.

A reconciler over the folded state, as the reaper is: it keeps nothing, so a restart goes on where
another stopped, and two replicas that grant the same ask are a quiet lost race.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from breakglass.broker.grants.ask_history import AskHistory
from breakglass.broker.grants.decided_ask import decide_ask
from breakglass.broker.grants.granting import At, Granting
from breakglass.broker.grants.wish import Wish
from breakglass.broker.policies import Policies
from breakglass.clock import Clock, to_milliseconds
from breakglass.errors import BreakglassError
from breakglass.node.catch_up import CatchingUp
from breakglass.node.grant_locks import GrantLocks
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.policy.decide import Allowed
from breakglass.process.periodic import PeriodicTask
from breakglass.records.fold.forgetting import waiting_ask
from breakglass.records.fold.slices.grants import AskedState
from breakglass.records.fold.state import State
from breakglass.records.kinds.answered import Answered, Reply

log = logging.getLogger("breakglass.broker")
_LOOK_EVERY = timedelta(seconds=1)
_AGAIN_AFTER = 20.0  # seconds, behind a grant that did not hold
_PAGES_CITED = 64  # as many as the record takes
_ROUNDING = timedelta(seconds=1)  # witnesses tell their time in whole seconds


class AskReconciler:
    """See the module; ``start`` begins.

    Args:
        tick: a monotonic clock in seconds.
    """

    def __init__(
        self,
        recording: Recorder,
        history: AskHistory,
        policies: Policies,
        granting: Granting,
        clock: Clock,
        locks: GrantLocks,
        catching_up: CatchingUp,
        at: At,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recording = recording
        self._history = history
        self._policies = policies
        self._granting = granting
        self._clock = clock
        self._locks = locks
        self._catching_up = catching_up
        self._at = at
        self._tick = tick
        self._seen: dict[str, float] = {}
        self._tried: dict[str, float] = {}
        self._task = PeriodicTask("asks", _LOOK_EVERY, self._look_if_current)

    def start(self) -> None:
        """Begin to look."""
        self._task.start()

    def close(self) -> None:
        """Stop; what waits still waits at the next start."""
        self._task.close()

    def look(self) -> None:
        """Look once at every ask that waits."""
        names = self._history.open(self._clock.now())
        self._seen = {name: self._seen.get(name, self._tick()) for name in names}
        self._tried = {name: self._tried[name] for name in names if name in self._tried}
        for name in names:
            if self._task.closing:
                return
            # Whoever answers it just now goes on by themselves.
            with self._locks.free(name) as ours:
                if ours:
                    self._look_at(name)

    def _look_at(self, grant: str) -> None:
        now = to_milliseconds(self._clock.now())
        with self._recording.view.reading() as state:
            ask = waiting_ask(state, grant)
            if ask is None or now > ask.until:
                return
            wish = self._wish(grant, ask, state, now)
            silent = self._silent(grant, ask, state)
        if not self._may_try(grant):
            return
        if wish is not None:
            # (1) The intent alone; its answers stand in the log. A crash before it, and we or
            #     another broker look again; behind it, the asker's own statement finds the grant.
            self._at("found_approved")
            self._try(grant, partial(self._granting.record, wish))
        elif silent:
            # (2) That nobody answered. It ends nothing: a crash on either side costs a word.
            pages = tuple(sorted(ask.pages))[:_PAGES_CITED]
            fact = Fact(f"{grant}/nobody", Answered(grant, Reply.NOBODY, None, pages))
            self._try(grant, partial(self._recording.record, [fact]))

    def _wish(self, grant: str, ask: AskedState, state: State, now: datetime) -> Wish | None:
        if not ask.answers:
            return None
        decided = decide_ask(grant, ask, state, self._policies.in_force(state), now)
        return decided.wish() if isinstance(decided.decision, Allowed) else None

    def _silent(self, grant: str, ask: AskedState, state: State) -> bool:
        """Say whether the card's silence has passed by the witnesses' time.

        Their time is known here only as of the newest entry; behind that counts how long this
        process has known the ask, which is no longer than it stands. No clock of ours is believed.
        """
        active = state.governance.cards.get(ask.glass)
        if ask.silent or ask.answers or not ask.pages or active is None:
            return False
        silence = timedelta(seconds=active.card.silence_s)
        known = timedelta(seconds=self._tick() - self._seen[grant])
        witnessed = (state.witnessed or ask.seen) - ask.seen
        return witnessed >= silence or known >= silence + _ROUNDING

    def _may_try(self, grant: str) -> bool:
        last = self._tried.get(grant)
        return last is None or self._tick() - last >= _AGAIN_AFTER

    def _try(self, grant: str, act: Callable[[], object]) -> None:
        self._tried[grant] = self._tick()
        try:
            act()
        except BreakglassError as error:
            log.info("request %s waits on: %s", grant, error)

    def _look_if_current(self) -> None:
        if self._catching_up.current:
            self.look()
