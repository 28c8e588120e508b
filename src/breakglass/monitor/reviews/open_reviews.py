"""Which reviews are open, and one of them whole with its proof checked: what pages and CLI read."""

from __future__ import annotations

from collections.abc import Callable

from breakglass.clock import to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError
from breakglass.monitor.decision_replay import compiled
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.monitor.reviews.inclusion_check import Audit, audit
from breakglass.monitor.reviews.prefill import Sources, fill
from breakglass.monitor.reviews.record import Review
from breakglass.monitor.root_history import RootHistory
from breakglass.monitor.witnessed_time import WitnessedTime
from breakglass.node.replica import Replica
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State


class Reviews:
    """Reads reviews out of the followed log; each call is as of now. Safe under threads."""

    def __init__(
        self,
        view: Replica,
        chronicle: HistoryProjection,
        roots: RootHistory,
        time: WitnessedTime,
        broken: Callable[[], str],
    ) -> None:
        self._view = view
        self._chronicle = chronicle
        self._roots = roots
        self._time = time
        self._broken = broken

    def listed(
        self, shown: Callable[[State, GrantState], bool] = lambda state, grant: True
    ) -> list[Review]:
        """Return the open reviews that are shown, the most overdue first; no proof is checked."""
        with self._view.reading() as state:
            grants = [each for each in state.grants.by_id.values() if shown(state, each)]
        # One lock for each: filling thousands at once would hold the follower up, and the bells.
        found = [self._filled_alone(grant) for grant in grants]
        return sorted(found, key=lambda review: (review.due, review.index))

    def overdue(self) -> int:
        """Count the reviews whose deadline is behind us."""
        now = self._time.now()
        with self._view.reading() as state:
            return sum(now > grant.review_by for grant in state.grants.by_id.values())

    def one(self, grant: str) -> Review:
        """Return one review with its proof checked now.

        Raises:
            RefusedError: ``no_grant``.
        """
        with self._view.reading() as state:
            found = state.grants.by_id.get(grant)
            if found is None:
                raise RefusedError(
                    f"there is no grant {grant[:60]!r}",
                    name=ErrorName.NO_GRANT,
                    hint="list the open reviews: breakglass review list",
                )
            return self._filled(found, self._audited(found, state.log))

    def _filled_alone(self, grant: GrantState) -> Review:
        with self._view.reading():
            return self._filled(grant, None)

    def _filled(self, grant: GrantState, checked: Audit | None) -> Review:
        history = self._chronicle.of(grant.grant)
        now = to_milliseconds(self._time.now())
        reviewers = self._reviewers(history.bundle, grant.glass)
        return fill(Sources(grant, history, self._chronicle.kept.bypasses, reviewers, checked, now))

    def _audited(self, grant: GrantState, log: str) -> Audit:
        trust = self._chronicle.of(grant.grant).trust
        if self._broken():
            return Audit(grant.index, log, problem=f"the ledger is not trusted: {self._broken()}")
        followed = next(iter(self._view.entries(grant.index)), None)
        if followed is None or trust is None:
            return Audit(grant.index, log, problem="the entry is not in the cache any more")
        return audit(grant.index, log, followed.note, followed.head, self._roots, trust)

    def _reviewers(self, bundle: bytes, glass: str) -> tuple[str, ...]:
        try:
            found = compiled(bundle).bundle.glasses.get(glass)
        except BreakglassError:
            return ()  # it rang as unjustified; the review is due all the same
        return found.review.by if found else ()
