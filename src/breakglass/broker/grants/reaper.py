"""Closing grants that no minter ends: those without a credential, and those never minted.

A reconciler over the folded state: it keeps nothing, so a restart goes on where another stopped,
and two replicas that close the same grant are a quiet lost race. It also listens whether the
monitor has rung for each new grant, and rings itself if not.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from breakglass.broker.grants.open_grants import OpenGrants
from breakglass.broker.incidents.closing_grants import ClosingGrants
from breakglass.broker.minters import Minters
from breakglass.clock import Clock
from breakglass.errors import BreakglassError
from breakglass.node.catch_up import CatchingUp
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.process.alert_channel import AlertChannel
from breakglass.process.periodic import PeriodicTask
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kinds.ended import Ended, EndedWhy
from breakglass.tlog.note import Note

log = logging.getLogger("breakglass.broker")
_LOOK_EVERY = timedelta(seconds=1)
_OTHERS_AFTER = timedelta(minutes=2)  # another replica's grants are its own to close first
ALARM_WITHIN = timedelta(seconds=30)  # DESIGN.md section 4, «monitor»
_ASK_AGAIN_AFTER = timedelta(seconds=20)


class Reaper:
    """See the module; ``start`` begins."""

    def __init__(
        self,
        recording: Recorder,
        minters: Minters,
        clock: Clock,
        recovery: timedelta,
        catching_up: CatchingUp,
        opened: OpenGrants,
        bell: AlertChannel,
        incidents: ClosingGrants,
        names: frozenset[str] = frozenset(),
    ) -> None:
        self._recording = recording
        self._minters = minters
        self._clock = clock
        self._recovery = recovery
        self._catching_up = catching_up
        self._opened = opened
        self._bell = bell
        self._incidents = incidents
        self._names = names
        self._asked: dict[str, datetime] = {}
        self._told: set[str] = set()  # unheard grants that we have looked at, and rung if need be
        self._task = PeriodicTask("closing", _LOOK_EVERY, self._look_if_current)

    def start(self) -> None:
        """Begin to look."""
        self._task.start()

    def close(self) -> None:
        """Stop; what is open stays open until the next start."""
        self._task.close()

    def look(self) -> None:
        """Look once at every open grant, and at those that nobody was rung for."""
        now = self._clock.now()
        names = self._opened.open()
        with self._recording.view.reading() as state:
            found = [grant for name in names if (grant := state.grants.by_id.get(name))]
            closed = self._closed(found, state)
        for grant in found:
            if self._task.closing:
                return
            self._look_at(grant, now, closed.get(grant.grant, ""))
        self._listen(now)

    def _closed(self, open_grants: list[GrantState], state: State) -> dict[str, str]:
        """Say which grants without a minter are over because their incident was closed."""
        found = {}
        for grant in open_grants:
            incident = state.incidents.by_id.get(grant.incident)
            if grant.minter or incident is None or incident.open or incident.word is None:
                continue
            try:
                ends = self._incidents.end_of(grant, state)
            except BreakglassError as error:
                log.warning("grant %s stays open: %s", grant.grant, error)
                continue
            # By the witnesses' time, as minters do: a clock of ours that runs ahead ends nothing.
            if ends is not None and state.witnessed is not None and state.witnessed >= ends:
                found[grant.grant] = f"{incident.word.who} closed {grant.incident}"
        return found

    def _look_at(self, grant: GrantState, now: datetime, closed: str) -> None:
        grace = timedelta(0) if self._stated_by_us(grant) else _OTHERS_AFTER
        if grant.minter:
            # What was put off is fetched at any time until its end.
            given_up = grant.not_after if grant.scheduled else grant.at + self._recovery
            if now > min(given_up, grant.not_after) + grace:
                self._give_up(grant, now)
            return
        stop = self._opened.stop_of(grant)
        if stop is not None and now > stop.at + grace:
            ended = Ended(grant.grant, EndedWhy.KILLED, "suspended", stop.statement)
            self._end(ended)
        elif closed and now > grant.at + grace:
            self._end(Ended(grant.grant, EndedWhy.INCIDENT_CLOSED, closed, None))
        elif now > grant.not_after + grace:
            self._end(Ended(grant.grant, EndedWhy.EXPIRED, "", None))

    def _listen(self, now: datetime) -> None:
        names = self._opened.unheard()
        self._told &= set(names)
        with self._recording.view.reading() as state:
            found = [grant for name in names if (grant := state.grants.by_id.get(name))]
        for grant in found:
            name = grant.grant
            if name in self._told or grant.rung_at is not None or now - grant.at <= ALARM_WITHIN:
                continue
            self._told.add(name)
            # After a start the long past is only taken note of.
            if now - grant.at < _OTHERS_AFTER:
                within = ALARM_WITHIN.total_seconds()
                self._bell.ring(
                    "unheard",
                    name,
                    f"GLASS BROKEN: {grant.who!r} broke {grant.glass!r}, and no alert"
                    f" was delivered within {within:.0f} s. Stop it: breakglass kill {name}",
                )

    def _give_up(self, grant: GrantState, now: datetime) -> None:
        """Close an intent that nothing came of, once its minter has promised that nothing will."""
        name = grant.grant
        if now - self._asked.get(name, grant.at - _ASK_AGAIN_AFTER) < _ASK_AGAIN_AFTER:
            return
        self._asked[name] = now
        try:
            # (1) The minter's promise, on its disk. A crash behind it: we ask again.
            minted = self._minters.forgo(grant.minter, name, grant.text_digest)
        except BreakglassError as error:
            log.info("grant %s stays open: %s", name, error)
            return
        if not minted:
            # (2) Only then is it written that nothing was minted.
            self._end(Ended(name, EndedWhy.NOT_MINTED, "", None))

    def _end(self, ended: Ended) -> None:
        self._asked.pop(ended.grant, None)
        try:
            self._recording.append([Fact(f"{ended.grant}/ended", ended)])
        except BreakglassError as error:
            log.info("end of %s not recorded yet: %s", ended.grant, error)

    def _stated_by_us(self, grant: GrantState) -> bool:
        lines = Note.parse(grant.note).lines
        return any(line.name in {self._recording.key.name, *self._names} for line in lines)

    def _look_if_current(self) -> None:
        if self._catching_up.current:
            self.look()
