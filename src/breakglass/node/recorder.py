"""Writing facts down: tried on the fold, appended, proven, and judged where they came to stand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from breakglass.clock import Clock, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.node.dry_run import rehearse
from breakglass.node.replica import Replica
from breakglass.node.submitter import Fact, Submitter
from breakglass.records.fold.fold import Judged
from breakglass.submit.outbox import Receipt
from breakglass.tlog.note import Signer


@dataclass(frozen=True)
class Recorder:
    """The broker's one way to the ledger; safe under threads."""

    view: Replica
    stating: Submitter
    key: Signer
    clock: Clock
    receipt_within: timedelta
    follow_within: timedelta

    def append(self, facts: Sequence[Fact]) -> list[Receipt]:
        """Append facts that the fold would take now, and return their receipts.

        Raises:
            RefusedError: the fold would not take one (nothing was recorded), or the ledger did
                not (``id_taken``: an earlier try of ours was recorded after all).
            UnavailableError: ``not_sent`` (nothing will be recorded) or ``unanswered`` (it may
                be; the same request again finds out).
        """
        with self.view.reading() as state:
            rehearse(state, facts, self.key, to_milliseconds(self.clock.now()))
        receipts = self.stating.append(facts, self.receipt_within)
        commit = receipts[-1].commit
        if commit is not None:
            # Our view need not ask for what we hold; it believes it no more than what it asks for.
            self.view.offer(commit)
        return receipts

    def settled(self, index: int, within: timedelta | None = None) -> Judged:
        """Follow the ledger to entry ``index`` and return how it was judged there.

        Raises:
            UnavailableError: our view did not get there in time.
        """
        return self.view.wait_for(index, within or self.follow_within)

    def record(self, facts: Sequence[Fact], within: timedelta | None = None) -> list[Receipt]:
        """Append facts, wait until they are folded, and be sure that each holds.

        Args:
            facts: in this order.
            within: how long our view may take to fold them; ``follow_within`` if not given.

        Raises:
            RefusedError: as ``append``; or another was first (``lost_race``).
            UnavailableError: as ``append``; or it is recorded and not yet folded here.
        """
        receipts = self.append(facts)
        for receipt in receipts:
            judged = self.settled(receipt.index, within)
            if judged.void:
                raise RefusedError(
                    f"entry {receipt.index} does not hold: {judged.why or judged.void}",
                    name=judged.void,
                )
        return receipts

    def wait_for_trust(self, within: timedelta) -> None:
        """Wait until the first trust file is in force, as it is soon after the first start.

        Raises:
            UnavailableError: not within that time.
        """
        until = time.monotonic() + within.total_seconds()
        while True:
            with self.view.reading() as state:
                if state.governance.trust is not None:
                    return
            if time.monotonic() > until:
                raise UnavailableError("no trust file is in force yet", name=ErrorName.NO_TRUST)
            time.sleep(0.02)
