"""Ending what nobody uses: by what the target says of an account's sessions.

Use is watched and never guessed: what this process did not see (it was down, the target was away)
counts as used. So a restart lets an idle grant live longer, by no more than its ``idle``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from breakglass.clock import Clock, to_milliseconds
from breakglass.errors import BreakglassError
from breakglass.minter.grant_store import Claim, GrantStore, Stage
from breakglass.minter.platforms.platform import Platform
from breakglass.minter.policy_lives import PolicyLives
from breakglass.records.kinds.ended import Ended, EndedWhy

log = logging.getLogger("breakglass.minter")
_MARGIN = timedelta(seconds=1)  # between two looks; counted as used rather than missed


class IdleWatch:
    """See the module; ``look`` belongs to one thread.

    Args:
        table: ours.
        platform: what is asked about use.
        lives: how long a grant of a glass may lie idle.
        clock: for how long that is; no target's time is compared with it.
        wake: makes the reconciler look at once.
    """

    def __init__(
        self,
        table: GrantStore,
        platform: Platform,
        lives: PolicyLives,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._table = table
        self._platform = platform
        self._lives = lives
        self._clock = clock
        self._wake = wake
        self._looked: dict[str, datetime] = {}
        self._used: dict[str, datetime] = {}

    def look(self) -> None:
        """Ask about every grant that may lie idle, and end those that did for long enough."""
        now = self._clock.now()
        most_of = self._lives.idle()
        idle = {
            claim.grant: (claim, most_of[claim.glass])
            for claim in self._table.living(now)
            if claim.glass in most_of
        }
        # Both together: of what is watched no more, because the policy changed, nothing is known.
        self._used = {grant: at for grant, at in self._used.items() if grant in idle}
        self._looked = {grant: at for grant, at in self._looked.items() if grant in idle}
        for claim, most in idle.values():
            row = self._table.find(claim.grant)
            if row is None or row.stage is not Stage.MINTED:
                continue
            self._see_use(claim, now)
            lies = now - self._used[claim.grant]
            if lies >= most:
                # Promised on disk like every end; the cut that follows lets a statement that came
                # in between finish. A crash before this watches anew.
                why = f"not used for {lies.total_seconds():.0f} s"
                ended = Ended(claim.grant, EndedWhy.IDLE, why, None)
                self._table.end(to_milliseconds(now), (ended, to_milliseconds(now)))
                self._wake()

    def _see_use(self, claim: Claim, now: datetime) -> None:
        before = self._looked.pop(claim.grant, None)
        try:
            used = before is None or self._platform.used_within(
                claim.handle, max(now - before, timedelta(0)) + _MARGIN
            )
        except BreakglassError as error:
            log.info("use of %s cannot be told: %s", claim.handle, error)
            self._used[claim.grant] = now
            return
        self._looked[claim.grant] = now
        if used:
            self._used[claim.grant] = now
