"""What the monitor does with each entry: ring what is news, decide intents again.

While an old log is read at the start nothing is done yet: an ``alert`` or ``justified`` record
further on may say that it was done already. Once the present is reached, the backlog is done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from breakglass.errors import UnavailableError
from breakglass.monitor.alert_rules import unjustified
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.backlog import Backlog, error_inside
from breakglass.monitor.decision_replay import Case, Unjustified, replay_decision
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.monitor.root_history import RootHistory
from breakglass.monitor.witnessed_time import WitnessedTime
from breakglass.node.projection import Projection
from breakglass.node.submitter import Fact, Submitter
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.policy import Policy

log = logging.getLogger("breakglass.monitor")


class EntryHandler:
    """Acts on every entry on the follower's thread; ``taking`` is what a ``Replica`` calls.

    Attributes:
        projections: what it acts on, in the order in which they take an entry.
        unjustified: why an intent should not stand, by grant, for the status page.

    Args:
        ringing: where news goes.
        stating: where ``justified`` records go.
        time: told of every fresh head.
        ring_back: news older than this, by the witnesses' time, is history and does not ring
            when an outbox was lost.
        broken: why the ledger is not believed any more, or empty; then nothing is done.
        policy_came: told of the bundle's digest when another policy is in force.
        addressed: says whom news is for; see ``Paging``.
    """

    def __init__(
        self,
        ringing: Dispatch,
        stating: Submitter,
        time: WitnessedTime,
        ring_back: timedelta,
        broken: Callable[[], str],
        policy_came: Callable[[str], None] = lambda digest: None,
        addressed: Callable[[Sequence[Alert], State], Sequence[Alert]] = lambda news, state: news,
    ) -> None:
        self.roots = RootHistory()
        self.chronicle = HistoryProjection()
        self.backlog = Backlog(self.chronicle)
        self.projections: tuple[Projection, ...] = (self.roots, self.chronicle, self.backlog)
        self.unjustified: dict[str, str] = {}
        self._ringing = ringing
        self._stating = stating
        self._time = time
        self._ring_back = ring_back
        self._broken = broken
        self._policy_came = policy_came
        self._addressed = addressed
        self._live = False

    @property
    def live(self) -> bool:
        """Whether the past is read and what happens now rings at once."""
        return self._live

    def taking(self, judged: Judged, entry: Entry, state: State) -> None:
        """Act on an entry that was just taken. Never raises: a fold must not stop for a bell."""
        if not self._live or self._broken():
            return
        try:
            self._act(judged, entry, state)
        except Exception:
            log.exception("entry %d: an error inside", judged.index)
            self._ringing.ring([error_inside(judged, self._time.now())])

    def go_live(self, state: State) -> None:
        """Do what the past left undone; from here news rings as it comes. Under the view's lock."""
        if self._live:
            return
        self._live = True
        if self._broken():
            return
        now = self._time.now()
        self._policy_came(state.governance.policy.bundle if state.governance.policy else "")
        news = list(self.backlog.since(now - self._ring_back, now))
        self._ringing.ring(self._addressed(news, state), self.chronicle.kept.heard)
        for grant, case in self.backlog.kept.cases.items():
            if grant in state.grants.by_id:
                self._decide(grant, case, state)

    def _act(self, judged: Judged, entry: Entry, state: State) -> None:
        # (1) Ring, before anything slower. On every channel's disk when this returns.
        self._time.saw(entry.cosigned.values())
        if judged.holds and judged.record is not None and isinstance(judged.record.body, Policy):
            self._policy_came(judged.record.body.bundle)
        # A crash before this, or within it, finds the news again at the next start, since the
        # ledger does not show it as delivered; what is in an outbox already is left out.
        news = self._addressed(self.backlog.latest, state)
        self._ringing.ring(news, self.chronicle.kept.heard)
        # (2) Decide an intent again. A crash before this decides it at the next start.
        if judged.holds and judged.record is not None and isinstance(judged.record.body, Intent):
            grant = judged.record.body.grant
            self._decide(grant, self.backlog.kept.cases[grant], state)

    def _decide(self, grant: str, case: Case, state: State) -> None:
        verdict = replay_decision(case)
        if isinstance(verdict, Unjustified):
            here = state.grants.by_id
            self.unjustified = {each: why for each, why in self.unjustified.items() if each in here}
            self.unjustified[grant] = f"{verdict.name}: {verdict.why}"
            news = unjustified(verdict, case.grant.index, grant, state)
            self._ringing.ring([news], self.chronicle.kept.heard)
            return
        try:
            # A restart decides again and states again, under the same id, which counts once.
            self._stating.post(Fact(f"{grant}/justified", verdict))
        except UnavailableError as error:
            log.error("grant %s: 'justified' is not stated: %s", grant, error)
