"""The one story: look at the target when it is time, compare, keep the names, tell the counts."""

from __future__ import annotations

import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.clock import Clock, Deadline, format_time, to_milliseconds
from breakglass.errors import (
    BreakglassError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
)
from breakglass.node.catch_up import CatchingUp
from breakglass.node.process import At, go_on
from breakglass.node.replica import Replica
from breakglass.node.submitter import Fact, Submitter
from breakglass.process.alert_channel import AlertChannel
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.fold.slices.surveys import SurveyState
from breakglass.records.fold.state import State
from breakglass.records.kind_sets import SET_3
from breakglass.records.kinds.standing import Occasion, Standing
from breakglass.surveyor.inventory_record import Look, recorded, tallies
from breakglass.surveyor.inventory_store import InventoryStore
from breakglass.surveyor.occasions import Occasions
from breakglass.surveyor.survey import Inventory, Survey

log = logging.getLogger("breakglass.surveyor")
_RECORDED_WITHIN = timedelta(seconds=10)
_MINTED_WITHIN = timedelta(seconds=10)  # an account may stand a moment before its record does
_WHERE = {"databases", "may"}  # all other dimensions of a scope name what is granted
_GRANTS_AT_MOST = 500  # as the record takes


@dataclass(frozen=True)
class Moment:
    """What our view says, taken while it was held still: ``running`` gives grants by handle.

    ``coming`` are handles whose intent stands and whose credential no record tells of yet.
    """

    running: Mapping[str, str]
    coming: frozenset[str]
    newest: SurveyState | None
    glasses: Mapping[tuple[str, str], tuple[str, ...]]
    minted_at: datetime | None
    kinds: int

    @classmethod
    def of(cls, state: State, target: str, grant: str) -> Moment:
        """Read it off the fold."""
        table = state.grants.by_id
        ours = [each for each in table.running.values() if each.minter == target]
        ours = [each for each in ours if each.dead_at is None and each.finished_at is None]
        glasses: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name, active in sorted(state.governance.cards.items()):
            mint = active.card.mint(target)
            scope = mint.scope if mint is not None else {}
            for template in sorted({each for key in scope.keys() - _WHERE for each in scope[key]}):
                for database in scope.get("databases", ("",)):
                    glasses[template, database].append(name)
        found = table.get(grant) if grant else None
        return cls(
            {each.handle: each.grant for each in ours if each.minted_at is not None},
            frozenset(each.handle for each in ours if each.minted_at is None),
            state.surveys.newest.get(target),
            {key: tuple(names) for key, names in glasses.items()},
            found.minted_at if found is not None else None,
            state.governance.trust.kinds if state.governance.trust is not None else 1,
        )


class Surveying:
    """Looks when it is time; ``look`` belongs to one thread.

    Args:
        target: the minter's name at whose target we look.
        platform: the look itself.
        view, catching_up: the followed log; nothing is surveyed in mid-past.
        occasions: which grants are still to be looked at.
        store: where names stay.
        stating: where counts go.
        bell: rung where a look cannot be made.
        clock: for the time of a survey.
        every: the longest time between two.
        retry: how long after one that failed.
        at: told each numbered step; for tests alone.
    """

    def __init__(
        self,
        target: str,
        platform: Survey,
        view: Replica,
        catching_up: CatchingUp,
        occasions: Occasions,
        store: InventoryStore,
        stating: Submitter,
        bell: AlertChannel,
        clock: Clock,
        every: timedelta,
        retry: timedelta,
        at: At = go_on,
    ) -> None:
        self._target = target
        self._platform = platform
        self._view = view
        self._catching_up = catching_up
        self._occasions = occasions
        self._store = store
        self._stating = stating
        self._bell = bell
        self._clock = clock
        self._every = every
        self._retry = retry.total_seconds()
        self._at = at
        self._not_before = 0.0  # monotonic
        self.trouble = ""

    def look(self) -> None:
        """Survey once if it is time; what failed is tried again after ``retry``."""
        if not self._catching_up.current or time.monotonic() < self._not_before:
            return
        due = self._due()
        if due is None:
            return
        try:
            self._survey(*due)
            self.trouble = ""
        except BreakglassError as error:
            self._not_before = time.monotonic() + self._retry
            self._failed(error)

    def _due(self) -> tuple[Occasion, str] | None:
        while (of_a_grant := self._occasions.due()) is not None:
            with self._view.reading() as state:
                if of_a_grant[1] in state.grants.by_id:
                    return of_a_grant
            # Over for a month: no record may name it any more.
            self._occasions.drop(of_a_grant[1])
        if self._store.asked() is not None:
            return Occasion.ASKED, ""
        with self._view.reading() as state:
            newest = state.surveys.newest.get(self._target)
        if newest is None or self._clock.now() - newest.taken_at >= self._every:
            return Occasion.DAILY, ""
        return None

    def _survey(self, occasion: Occasion, grant: str) -> None:
        then = self._moment(grant)
        if then.kinds < SET_3:
            raise MisconfiguredError(
                "surveys need kinds 3; nothing was surveyed",
                hint="breakglass trust next --kinds 3",
            )
        # (1) Look. A crash before or within leaves nothing anywhere: the target is only read.
        taken_at = to_milliseconds(self._clock.now())
        found = self._platform.survey(sorted({template for template, _ in then.glasses}))
        now = self._explained(found, grant)
        running = {**then.running, **now.running}
        before = self._store.find(now.newest.digest) if now.newest is not None else None
        baseline = self._store.before(then.minted_at) if then.minted_at is not None else None
        look = Look(
            before,
            baseline,
            grant if occasion is Occasion.ENDED else "",
            frozenset(running),
            now.glasses,
        )
        survey = recorded(self._target, taken_at, secrets.token_hex(32), found, look)
        counts = tallies(survey, before)
        self._at("surveyed")
        # (2) The names, on our own disk. A crash from here leaves a survey that no record tells
        #     of: it is compared with nothing and counted nowhere; the next look is a new one.
        new = sum(each.new for each in counts.values())
        self._store.keep(survey, occasion.value, new, now.newest.digest if now.newest else "")
        self._at("kept")
        holders = {each.holder for each in found.things}
        body = Standing(
            self._target,
            occasion,
            (grant,) if grant else (),
            tuple(sorted(running[each] for each in holders & running.keys()))[:_GRANTS_AT_MOST],
            counts,
            survey.unknown,
            survey.digest(),
            before.digest() if before is not None else ZERO_DIGEST,
            taken_at,
        )
        # (3) The counts, into the ledger: now, or not at all. Where the answer is lost it may
        #     stand there all the same: its names are on disk, and the next survey finds them by
        #     the digest that the ledger shows.
        fact = Fact(f"standing/{format_time(taken_at)}", body)
        (receipt,) = self._stating.append([fact], _RECORDED_WITHIN)
        self._at("told")
        # (4) It counts once the fold says so: what is void changed nothing, and is tried again
        #     as what failed, not at once.
        self._check_counts(receipt.index)
        # (5) A crash before this surveys once more for who asked; no more than that.
        self._store.told(survey.digest(), receipt.index, taken_at)
        self._store.answered(taken_at)

    def _check_counts(self, index: int) -> None:
        judged = self._view.wait_for(index, _RECORDED_WITHIN)
        if judged.holds:
            return
        kind = UnavailableError if judged.quiet else RefusedError
        raise kind(
            f"entry {index} holds a survey of {self._target!r} that counts for nothing:"
            f" {judged.why or judged.void}"
        )

    def _moment(self, grant: str) -> Moment:
        with self._view.reading() as state:
            return Moment.of(state, self._target, grant)

    def _explained(self, found: Inventory, grant: str) -> Moment:
        """Return the view behind the look, once it tells of the grants whose accounts were seen."""
        holders = {each.holder for each in found.things}
        for _ in Deadline(_MINTED_WITHIN).tries(0.1):
            now = self._moment(grant)
            if not holders & now.coming:
                break
        return now

    def _failed(self, error: BreakglassError) -> None:
        said = str(error)
        if said == self.trouble:
            return
        self.trouble = said
        log.warning("survey: %s", said)
        if isinstance(error, MisconfiguredError | RefusedError):
            # What the target says may name people and tables: that stays in our own log.
            rung = f"{self._target!r} is not surveyed; the surveyor's own log says why"
            self._bell.ring("not_surveyed", self._target, rung)
