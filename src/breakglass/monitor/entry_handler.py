"""What the monitor does with each entry: remember it, ring what is news, decide intents again.

While an old log is read at the start nothing is done yet: an ``alert`` or ``justified`` record
further on may say that it was done already. Once the present is reached, what is left is done.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from breakglass.errors import UnavailableError
from breakglass.monitor.alert_rules import alert_for, unjustified
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.decision_replay import Case, Unjustified, case_of, replay_decision
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.monitor.root_history import RootHistory
from breakglass.monitor.witnessed_time import WitnessedTime
from breakglass.node.submitter import Fact, Submitter
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State
from breakglass.records.kinds.intent import Intent
from breakglass.tlog.merkle import leaf_hash

log = logging.getLogger("breakglass.monitor")


@dataclass
class Found:
    """What was wrong with single records, for the status page; made again from the log."""

    forbidden: deque[str] = field(default_factory=lambda: deque(maxlen=100))  # the newest
    unjustified: dict[str, str] = field(default_factory=dict)


class EntryHandler:
    """Takes every entry on the follower's thread; ``taking`` is what a ``Replica`` calls.

    Args:
        ringing: where news goes.
        stating: where ``justified`` records go.
        time: told of every fresh head.
        ring_back: news older than this, by the witnesses' time, is history and does not ring
            when an outbox was lost.
        broken: why the ledger is not believed any more, or empty; then nothing is taken.
    """

    def __init__(
        self,
        ringing: Dispatch,
        stating: Submitter,
        time: WitnessedTime,
        ring_back: timedelta,
        broken: Callable[[], str],
    ) -> None:
        self.chronicle = HistoryProjection()
        self.roots = RootHistory()
        self.found = Found()
        self._ringing = ringing
        self._stating = stating
        self._time = time
        self._ring_back = ring_back
        self._broken = broken
        self._live = False
        self._held_news: list[Alert] = []
        self._held_cases: dict[str, Case] = {}

    @property
    def live(self) -> bool:
        """Whether the past is read and what happens now rings at once."""
        return self._live

    def taking(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take one entry that was just folded. Never raises: a fold must not stop for a bell."""
        try:
            self._take(judged, entry, state)
        except Exception:
            # Stays shut: the record is folded, and what could not be said of it is shouted.
            log.exception("entry %d: an error inside", judged.index)
            self._ringing.ring([_error_inside(judged, self._time.now())])

    def go_live(self, state: State) -> None:
        """Do what the past left undone; from here news rings as it comes. Under the view's lock."""
        if self._live:
            return
        self._live = True
        news, self._held_news = self._held_news, []
        self._ringing.ring(news, self.chronicle.heard)
        cases, self._held_cases = self._held_cases, {}
        for grant, case in cases.items():
            if not state.grants.by_id[grant].justified:
                self._decide(grant, case, state)

    def _take(self, judged: Judged, entry: Entry, state: State) -> None:
        self.roots.append(leaf_hash(entry.note))
        if self._broken():
            return
        # (1) Remember. Nothing here is on disk: a restart reads the log again.
        self.chronicle.take(judged, state, max(entry.cosigned.values(), default=None))
        if judged.void and not judged.quiet:
            self.found.forbidden.append(f"{judged.index} {judged.void}: {judged.why}")
        # (2) Ring, before anything slower.
        news = alert_for(judged, entry, state, self.chronicle)
        if self._live:
            self._time.saw(entry.cosigned.values())
            self._ringing.ring(news, self.chronicle.heard)
        elif _witnessed(entry, self._time.now()) > self._time.now() - self._ring_back:
            self._held_news.extend(news)
        # (3) Decide intents again.
        if judged.holds and judged.record is not None and isinstance(judged.record.body, Intent):
            grant = judged.record.body.grant
            case = case_of(grant, state, self.chronicle)
            if self._live:
                self._decide(grant, case, state)
            else:
                self._held_cases[grant] = case

    def _decide(self, grant: str, case: Case, state: State) -> None:
        verdict = replay_decision(case)
        if isinstance(verdict, Unjustified):
            self.found.unjustified[grant] = f"{verdict.name}: {verdict.why}"
            news = unjustified(verdict, case.grant.index, grant, state)
            self._ringing.ring([news], self.chronicle.heard)
            return
        try:
            # A restart decides again and states again, under the same id, which counts once.
            self._stating.post(Fact(f"{grant}/justified", verdict))
        except UnavailableError as error:
            log.error("grant %s: 'justified' is not stated: %s", grant, error)


def _witnessed(entry: Entry, otherwise: datetime) -> datetime:
    return max(entry.cosigned.values(), default=otherwise)


def _error_inside(judged: Judged, now: datetime) -> Alert:
    text = (
        f"THE MONITOR FAILED at entry {judged.index} of the ledger: an internal error. That entry"
        " raised no alert: look at it by hand, and at the monitor's log."
    )
    about = f"entry/{judged.index}"
    return Alert("monitor_error", about, judged.index, about, now, text)
