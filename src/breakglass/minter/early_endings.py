"""What ends before its time without anybody asking this minter: by the ledger and the policy.

Everything follows from what is folded, from the policy in force and from the witnesses' time. So a
restart in the middle comes to the same end, and a clock of ours that runs ahead ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from breakglass.minter.grant_store import Claim, GrantStore, Stage
from breakglass.minter.policy_lives import PolicyLives
from breakglass.minter.suspensions import Suspensions, claim_of
from breakglass.node.replica import Replica
from breakglass.records.encoding.text_types import one_line
from breakglass.records.fold.scheduled_start import JUSTIFIED_LATE, right_lost, start_refused
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kinds.ended import Ended, EndedWhy


@dataclass(frozen=True)
class EarlyEnding:
    """A grant that is over, why, and since when."""

    claim: Claim
    ended: Ended
    over_at: datetime


class EarlyEndings:
    """See the module. ``due`` belongs to one thread."""

    def __init__(
        self, view: Replica, watch: Suspensions, table: GrantStore, lives: PolicyLives
    ) -> None:
        self._view = view
        self._watch = watch
        self._table = table
        self._lives = lives
        self._looked: dict[str, tuple[int, bool, str]] = {}

    def due(self) -> list[EarlyEnding]:
        """Return what is over now, by the witnesses' time; nothing before there is one."""
        now = self._watch.passed
        if now is None:
            return []
        return [*self._closed(now), *self._not_started(now)]

    def _closed(self, now: datetime) -> Iterator[EarlyEnding]:
        living = [each for each in self._table.living(now) if each.incident]
        for claim in living:
            with self._view.reading() as state:
                grant = state.grants.by_id.get(claim.grant)
                incident = state.incidents.by_id.get(claim.incident)
            if grant is None or grant.ended is not None or incident is None or incident.open:
                continue
            ends = self._lives.ends(grant, incident)
            if ends is not None and ends <= now:
                why = f"{incident.word.who if incident.word else ''} closed {claim.incident}"
                ended = Ended(claim.grant, EndedWhy.INCIDENT_CLOSED, one_line(why), None)
                yield EarlyEnding(claim, ended, ends)

    def _not_started(self, now: datetime) -> Iterator[EarlyEnding]:
        waiting = self._watch.scheduled()
        self._looked = {name: each for name, each in self._looked.items() if name in waiting}
        for name in waiting:
            row = self._table.find(name)
            if row is not None and row.stage is not Stage.CLAIMED:
                continue
            with self._view.reading() as state:
                grant = state.grants.by_id.get(name)
                if grant is None or grant.ended is not None or grant.minted_at is not None:
                    continue
                claim = claim_of(grant)
                why = self._start_refused(state, grant, now)
            stop = self._watch.stop_of(claim)
            if stop is not None:
                killed = Ended(name, EndedWhy.KILLED, "suspended", stop.statement)
                yield EarlyEnding(claim, killed, now)
            elif why:
                ended = Ended(name, EndedWhy.NOT_MINTED, one_line(why), None)
                yield EarlyEnding(claim, ended, min(now, grant.not_after))

    def _start_refused(self, state: State, grant: GrantState, now: datetime) -> str:
        """Ask what can be asked by now; the signatures again only where the ledger has grown."""
        if now > grant.not_after:
            return "its holder did not fetch it"
        asked = (state.size, now >= grant.not_before + JUSTIFIED_LATE)
        looked = self._looked.get(grant.grant)
        if looked is not None and looked[:2] == asked:
            return looked[2]
        why = start_refused(state, grant) if asked[1] else right_lost(state, grant)
        self._looked[grant.grant] = (*asked, why)
        return why
