"""Rings where a survey is missing: of a target for a day, or of a grant behind its end.

Whoever stops a surveyor, takes its right to read or its way to the ledger is heard within 26 h, and
where a grant was used there, within half an hour of its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from breakglass.clock import format_time
from breakglass.monitor.alert_texts import span
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.entry_handler import EntryHandler
from breakglass.monitor.witnessed_time import WitnessedTime
from breakglass.node.replica import Replica
from breakglass.records.fold.state import State
from breakglass.records.kind_sets import SET_3
from breakglass.records.kinds.standing import target_of


class SurveySilence:
    """Looks once when called; ``look`` belongs to one thread.

    Args:
        view: the followed log: its trust file names the surveyors.
        following: whose history knows the grants that are to be surveyed.
        ringing: told what is not there; each once.
        now: the time that the witnesses agree on.
        within: how old the newest survey of a target may be.
        behind_end: how long after a grant is dead its survey may come.
    """

    def __init__(
        self,
        view: Replica,
        following: EntryHandler,
        ringing: Dispatch,
        now: WitnessedTime,
        within: timedelta,
        behind_end: timedelta,
    ) -> None:
        self._view = view
        self._following = following
        self._ringing = ringing
        self._now = now
        self._within = within
        self._behind_end = behind_end
        self._since: datetime | None = None  # when we began to look, for one that never surveyed

    def look(self) -> None:
        """Ring each silence once."""
        now = self._now.now()
        self._since = self._since or now
        with self._view.reading() as state:
            news = [*self._targets(state, now), *self._grants(state, now)]
        self._ringing.ring(news, self._following.chronicle.kept.heard)

    def _targets(self, state: State, now: datetime) -> Iterator[Alert]:
        trust = state.governance.trust
        if trust is None or trust.kinds < SET_3:
            return
        roles = (each.name for each in trust.submitters.values() if each.kind == "minter")
        for target in sorted({target_of(name) for name in roles} - {""}):
            last = state.surveys.newest.get(target)
            since = last.seen if last is not None else self._since
            assert since is not None
            if now - since <= self._within:
                continue
            text = (
                f"NO SURVEY of {target!r} since {format_time(since)}: what privileged access stands"
                " there is unknown. On the surveyor's host: "
                f"breakglass standing scan {target}"
            )
            # One message for each survey that none followed: its entry names it.
            index = last.index if last is not None else 0
            once = f"{target}/{index}"
            thread = f"standing/{target}"
            yield Alert("standing_silent", target, index, thread, now, text, once=once)

    def _grants(self, state: State, now: datetime) -> Iterator[Alert]:
        for grant, over in self._following.chronicle.kept.surveyed.items():
            found = state.grants.by_id.get(grant)
            if over is None or found is None or now - over <= self._behind_end:
                continue
            text = (
                f"NOT SURVEYED: {span(self._behind_end)} after the end of {found.glass!r} of"
                f" {found.who} nobody has looked what it left at {found.minter!r}. On the"
                f" surveyor's host: breakglass standing scan {found.minter}"
            )
            fields = {"who": found.who, "glass": found.glass, "incident": found.incident}
            yield Alert("standing_missed", grant, found.index, grant, over, text, fields)
