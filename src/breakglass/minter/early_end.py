"""Ends before their time, as the minter is asked for them: *done*, *kill*, and giving up."""

from __future__ import annotations

from datetime import timedelta

from breakglass.clock import Clock, Deadline, format_time
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.minter.door import MinterDoor
from breakglass.minter.grant_store import GrantStore, Row, Stage
from breakglass.minter.platforms.platform import Account, Platform
from breakglass.minter.reconciler import Reconciler
from breakglass.minter.revocation_rules import ended_by_word
from breakglass.minter.suspensions import claim_of
from breakglass.node.catch_up import CatchingUp
from breakglass.node.grant_locks import GrantLocks
from breakglass.node.replica import Replica
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kinds.ended import Ended, EndedWhy
from breakglass.records.signing.signature import Signature


class EarlyEnd:
    """Writes the end down, fsynced, before anything at the platform is touched."""

    def __init__(
        self,
        name: str,
        view: Replica,
        catching_up: CatchingUp,
        table: GrantStore,
        platform: Platform,
        locks: GrantLocks,
        ending: Reconciler,
        clock: Clock,
        view_within: timedelta,
        forgo_after: timedelta,
        doors: MinterDoor,
    ) -> None:
        self._name = name
        self._view = view
        self._catching_up = catching_up
        self._table = table
        self._platform = platform
        self._locks = locks
        self._ending = ending
        self._clock = clock
        self._view_within = view_within
        self._forgo_after = forgo_after
        self._doors = doors

    def end(self, grant: str, signed: Signature) -> Row:
        """End a grant on its holder's or a killer's signed word; again is harmless.

        Returns the row: ``dead`` if access is proven gone, ``ended`` if that still goes on.

        Raises:
            RefusedError: ``no_grant``, or that person may not end it.
            UnprovenError: the statement does not hold.
        """
        self._wait_for(grant)
        with self._view.reading() as state:
            found = self._ours(state, grant)
            ended = ended_by_word(state, found, signed)
            claim = claim_of(found)
        now = self._clock.now()
        # (1) A row, also for what was never minted: it must not be minted from here on.
        self._table.claim(claim, now)
        # (2) Told to end, on disk. A mint under way finds that and hands nothing out.
        self._table.end(now, (ended, now))
        # (3) Cut and probe; the reconciler goes on if this does not finish.
        row = self._ending.end_now(grant)
        assert row is not None
        return row

    def forgo(self, grant: str, intent: str) -> bool:
        """Promise never to mint a grant, and say whether it ever was minted.

        A broker asks this of an intent that a crash left behind, before it writes that nothing
        was minted. ``intent`` is the SHA-256 of its text.

        Raises:
            RefusedError: ``no_grant``; ``wrong_intent`` if another one has this id here;
                ``too_early``: its asker may still be waiting.
            UnavailableError: what a crash left at the target cannot be taken away now.
        """
        self._wait_for(grant)
        with self._view.reading() as state:
            found = self._ours(state, grant)
            if found.text_digest != intent:
                raise RefusedError(
                    f"grant {grant!r} has intent {found.text_digest[:16]}… here, and not"
                    f" {intent[:16]}…; nothing was given up",
                    name=ErrorName.WRONG_INTENT,
                )
            claim, minted = claim_of(found), found.minted_at is not None
            at, put_off = found.at, found.not_after if found.scheduled else None
        now = self._clock.now()
        with self._locks.of(grant):
            row = self._table.find(grant)
            if minted or (row is not None and row.made is not None):
                return True
            if row is None or row.stage is Stage.CLAIMED:
                if put_off is not None and now <= put_off:
                    # What was put off is fetched at any time between its start and its end.
                    raise RefusedError(
                        f"grant {grant!r} was put off; it is given up behind its end,"
                        f" {format_time(put_off)}",
                        name=ErrorName.TOO_EARLY,
                    )
                if now - at < self._forgo_after:
                    raise RefusedError(
                        f"grant {grant!r} is {(now - at).total_seconds():.0f} s old; it is given"
                        f" up after {self._forgo_after.total_seconds():.0f} s",
                        name=ErrorName.TOO_EARLY,
                    )
                self._platform.cut(Account(claim.handle))
                self._table.claim(claim, now)
                self._table.end(now, (Ended(grant, EndedWhy.NOT_MINTED, "", None), now))
        self._ending.wake()
        return False

    def _wait_for(self, grant: str) -> None:
        """Wait, bounded, until our view knows the grant: it may be of a moment ago."""
        deadline = Deadline(self._view_within)
        if not self._catching_up.current and self._view.away is None:
            self._catching_up.require(self._view_within)
        for _ in deadline.tries():
            with self._view.reading() as state:
                if grant in state.grants.by_id or self._doors.grant(state, grant) is not None:
                    return

    def _ours(self, state: State, grant: str) -> GrantState:
        found = state.grants.by_id.get(grant) or self._doors.grant(state, grant)
        if found is None or found.minter != self._name:
            raise RefusedError(
                f"the ledger, as far as this minter has read it, has no grant {grant!r} for minter"
                f" {self._name!r}",
                name=ErrorName.NO_GRANT,
            )
        return found
