"""Ending grants: a reconciler over our own table and the folded ledger, not a queue.

Whatever is past its end, or told to end, is cut, probed until refused, and told. It never gives
up, and it holds up nobody: few threads, few sessions, small steps. Tidying comes behind, elsewhere.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from breakglass.clock import Clock, to_milliseconds
from breakglass.errors import BreakglassError
from breakglass.minter.early_endings import EarlyEndings
from breakglass.minter.ending_pace import EndingPace
from breakglass.minter.grant_store import Claim, GrantStore, Outcome, Row, Stage
from breakglass.minter.minting import At
from breakglass.minter.outcome_records import OutcomeRecords
from breakglass.minter.platforms.platform import Account, Platform
from breakglass.minter.suspensions import Suspensions
from breakglass.minter.tidying import Tidying
from breakglass.node.grant_locks import GrantLocks
from breakglass.node.replica import Replica
from breakglass.process.alert_channel import AlertChannel
from breakglass.records.encoding.text_types import one_line
from breakglass.records.kinds.ended import Ended, EndedWhy

log = logging.getLogger("breakglass.minter")
_BATCH = 200
_ORPHANS_AT_MOST = 20  # in a sweep: a target that invents accounts takes no more of anybody's time
_REST_AT_LEAST = timedelta(milliseconds=50)  # while thousands wait their turn
_REST_AT_MOST = timedelta(seconds=1)
_TRY_AT_MOST = timedelta(seconds=60)


@dataclass(frozen=True)
class ReconcilerLimits:
    """How often and how hard; see ``MinterSettings``."""

    sweep_every: timedelta
    ring_after: timedelta
    threads: int
    endings_per_second: int


class Reconciler:
    """See the module. ``start`` begins; ``wake`` makes it look at once."""

    def __init__(
        self,
        view: Replica,
        watch: Suspensions,
        table: GrantStore,
        platform: Platform,
        locks: GrantLocks,
        saying: OutcomeRecords,
        bell: AlertChannel,
        clock: Clock,
        limits: ReconcilerLimits,
        at: At,
        tidying: Tidying,
        current: Callable[[], bool],
        early: EarlyEndings,
    ) -> None:
        """Put it together; nothing runs before ``start``.

        Args:
            view, watch, table, platform, locks, saying, bell, clock, limits, at: the minter's.
            tidying: what looks behind a grant that is dead.
            current: whether our view has reached the ledger's size; before, nobody is an orphan.
            early: what is over before its time.
        """
        self._view = view
        self._watch = watch
        self._table = table
        self._platform = platform
        self._locks = locks
        self._saying = saying
        self._bell = bell
        self._clock = clock
        self._limits = limits
        self._at = at
        self._tidying = tidying
        self._current = current
        self._early = early
        self._pace = EndingPace(limits.endings_per_second)
        self._orphans: set[str] = set()  # that were rung
        self._backlog_rang = False
        self._woken = threading.Event()
        self._heard = threading.Event()  # something was said since the last whole look
        self._looked = float("-inf")
        self._closed = threading.Event()
        self._busy: set[str] = set()
        self._turns = 0  # of the workers, that wait or run
        self._busy_lock = threading.Lock()
        self._swept = float("-inf")
        self._said_all = float("-inf")
        self._workers = ThreadPoolExecutor(limits.threads, thread_name_prefix="ending")
        # A thread of its own, and one sweep at a time: a target that is slow, or names thousands,
        # takes no turn of an ending.
        self._sweeper = ThreadPoolExecutor(1, thread_name_prefix="sweep")
        self._sweeping: Future[None] | None = None
        self._thread = threading.Thread(target=self._end_for_ever, name="ending", daemon=True)

    def start(self) -> None:
        """Begin to reconcile."""
        self._thread.start()

    def close(self) -> None:
        """Stop; what is half done goes on at the next start."""
        self._closed.set()
        self._woken.set()
        self._thread.join(2)
        for each in (self._workers, self._sweeper):
            each.shutdown(wait=False, cancel_futures=True)

    def wake(self) -> None:
        """Look at once: something was said."""
        self._heard.set()
        self._woken.set()

    def end_now(self, grant: str) -> Row | None:
        """Try to end a grant that is told to end, here and now; returns how it stands then."""
        self._end_one(grant)
        self._tidying.soon(grant)
        return self._table.find(grant)

    def reconcile(self, whole: bool = True) -> None:
        """Look once at everything that may have to end, and set the workers to it.

        Args:
            whole: whether each grant that lives is looked at too; else only what has expired.
        """
        now = self._now()
        # (1) Past its end: promise it on disk, as many in one commit as may be ended now. The
        #     others wait at their end, which mints nothing either: what is told meanwhile to end
        #     by people does not stand behind thousands.
        self._tell_expired(now, min(self._pace.room(), _BATCH))
        if whole:
            self._looked = time.monotonic()
            # (2) Told to end by others: a person, a glass or the grant was stopped.
            self._tell_stopped(now)
            # (3) Over by the ledger and the policy: its incident was closed, its start refused.
            self._tell_early(now)
        # (4) Cut, probe and tell, by the workers.
        self._hand_out(now)
        # (5) Behind those that are dead already, on other threads.
        self._tidying.hand_out()
        # (6) What a crash kept from the outbox; what the target holds that nobody remembers.
        if time.monotonic() - self._said_all > _REST_AT_MOST.total_seconds() * 5:
            self._said_all = time.monotonic()
            self._say_owed()
            self._ring_backlog(now)
        if time.monotonic() - self._swept > self._limits.sweep_every.total_seconds():
            self._swept = time.monotonic()
            if self._sweeping is None or self._sweeping.done():
                self._sweeping = self._sweeper.submit(self._guarded, self.sweep)

    def sweep(self) -> None:
        """Search the target for accounts that should not stand, and end them.

        Raises:
            UnavailableError: the target did not answer.
        """
        # Before our view has reached the ledger's present size, what we never heard of may be
        # somebody's live emergency.
        current = self._current()
        if current:
            self._remember_unfinished()
        orphans = 0
        for handle in self._platform.handles():
            row = self._table.of_handle(handle)
            orphans += row is None
            if row is not None or orphans <= _ORPHANS_AT_MOST:
                self._guarded(partial(self._sweep_one, handle, row, current))
        if current and orphans > _ORPHANS_AT_MOST:
            log.error("ending: %d accounts belong to no grant; the next sweep goes on", orphans)

    def _sweep_one(self, handle: str, row: Row | None, current: bool) -> None:
        if row is None and current:
            if handle not in self._orphans:
                self._orphans.add(handle)
                self._bell.ring(
                    "orphan",
                    handle,
                    "an account on the target belongs to no grant; it was disabled",
                )
            orphan = Account(handle)
            self._platform.cut(orphan)
            self._platform.probe_dead(orphan)
            self._tidying.again(handle, cut=True)
        elif row is not None and row.stage is Stage.CLAIMED:
            with self._locks.free(row.grant) as held:
                # Somebody has the credential if the ledger says that it was minted: our table was
                # lost, and this row made up from there. Else a crash left it, its secret nobody's.
                if not held or self._minted_by_record(row.grant):
                    return
                self._platform.cut(row.account)
            self._tidying.again(handle, cut=False)  # a token may have it made anew
        elif row is not None and row.stage is Stage.DEAD and row.left_behind is not None:
            self._tidying.again(handle, cut=True)

    def _end_for_ever(self) -> None:
        # What was said before our last breath may still have to be folded.
        self._view.wait_current(timedelta(seconds=60))
        while not self._closed.is_set():
            self._woken.clear()
            # While thousands wait their turn this comes 20 times a second: all that live are read
            # where somebody said something, and once a second, as at rest.
            stale = time.monotonic() - self._looked >= _REST_AT_MOST.total_seconds()
            heard = self._heard.is_set()
            if heard:  # what is said from here on is for the next look
                self._heard.clear()
            self._guarded(partial(self.reconcile, heard or stale))
            self._woken.wait(self._rest())

    def _rest(self) -> float:
        moment = self._table.next_moment()
        if moment is None:
            return _REST_AT_MOST.total_seconds()
        left = (moment - self._now()).total_seconds()
        return min(max(left, _REST_AT_LEAST.total_seconds()), _REST_AT_MOST.total_seconds())

    def _guarded(self, doing: Callable[[], None]) -> None:
        try:
            doing()
        except BreakglassError as error:
            log.warning("ending: %s", error)
        except Exception:
            log.exception("ending: an error inside; it goes on")

    def _tell_expired(self, now: datetime, most: int) -> None:
        ends = []
        for row in self._table.expired(now, most):
            why = EndedWhy.EXPIRED if row.stage is Stage.MINTED else self._unminted(row)
            ends.append((Ended(row.grant, why, "", None), row.claim.expires))
        if ends:
            self._table.end(now, *ends)

    def _ring_backlog(self, now: datetime) -> None:
        """Ring once for all that wait for their turn; each one that fails rings by itself."""
        waiting = self._table.overdue(now - self._limits.ring_after)
        if waiting and not self._backlog_rang:
            self._bell.ring(
                "outlived",
                "backlog",
                f"{waiting} grants are past their end by more than"
                f" {self._limits.ring_after.total_seconds():.0f} s, and their sessions may still be"
                f" live; {self._limits.endings_per_second} are ended in a second",
            )
        self._backlog_rang = waiting > 0

    def _unminted(self, row: Row) -> EndedWhy:
        minted = self._minted_by_record(row.grant)
        return EndedWhy.EXPIRED if minted else EndedWhy.NOT_MINTED

    def _minted_by_record(self, grant: str) -> bool:
        with self._view.reading() as state:
            found = state.grants.by_id.get(grant)
            return found is not None and found.minted_at is not None

    def _now(self) -> datetime:
        """Return our clock's time, or what most witnesses say, if that is later.

        A clock that was set back with its machine must not make a grant live longer. One that runs
        ahead ends grants early, which is the side to be wrong on.
        """
        return max(filter(None, (self._clock.now(), self._watch.passed)))

    def _tell_stopped(self, now: datetime) -> None:
        for claim in self._table.living(now):
            stop = self._watch.stop_of(claim)
            if stop is not None:
                killed = Ended(claim.grant, EndedWhy.KILLED, "suspended", stop.statement)
                self._table.end(now, (killed, now))
                continue
            with self._view.reading() as state:
                found = state.grants.by_id.get(claim.grant)
                ended = found.ended if found is not None else None
            if ended is not None:
                self._table.end(now, (Ended(claim.grant, ended, "", None), now))
                self._table.said(claim.grant, Outcome.ENDED)

    def _tell_early(self, now: datetime) -> None:
        for each in self._early.due():
            # A row also for what was never minted: no token mints it from here on. A crash between
            # the two leaves a claim without an account, and the same end is found again.
            self._table.claim(each.claim, now)
            self._at("early")
            self._table.end(now, (each.ended, each.over_at))

    def _hand_out(self, now: datetime) -> None:
        """Give the workers as many turns as there is to end; whose each is, is asked as it begins.

        So what is killed now stands behind nobody that hangs, but those that are under way.
        """
        room = self._pace.room()
        with self._busy_lock:
            due = self._table.due_count(now, min(room + self._turns, _BATCH))
            more = max(min(due - self._turns, room), 0)
            self._turns += more
        for _ in range(more):
            self._pace.begin()
            self._workers.submit(self._guarded, self._end_next)

    def _end_next(self) -> None:
        grant = ""
        try:
            with self._busy_lock:
                due = self._table.due(self._now(), len(self._busy) + 1)
                grant = next((row.grant for row in due if row.grant not in self._busy), "")
                self._busy.add(grant)
            if grant:
                self._end_one(grant)
                self._tidying.soon(grant)
        finally:
            with self._busy_lock:
                self._turns -= 1
                self._busy.discard(grant)
                idle = not self._turns
            if idle and self._pace.room():
                self._woken.set()  # more of them may be due

    def _end_one(self, grant: str) -> None:
        with self._locks.free(grant, timedelta(seconds=15)) as held:
            row = self._table.find(grant) if held else None
            if row is None or row.stage is not Stage.ENDED:
                return
            # (1) Told to end: that is on disk, so no token mints it again, whatever comes.
            self._at("told")
            try:
                # (2) Cut: no login, no session, no right. A crash from here on comes back to (1).
                #     What lay idle may have been taken up in between: until its own end a statement
                #     that is under way is never cut in its middle, and is tried again.
                idle = row.ended is not None and row.ended.why is EndedWhy.IDLE
                gently = idle and self._now() <= row.claim.expires
                cut = (self._platform.cut_idle if gently else self._platform.cut)(row.account)
                self._at("cut")
                if cut:
                    self._table.add_sessions(grant, cut)
                # (3) Try it: dead is what was tried, not what was asked for.
                evidence = one_line(self._platform.probe_dead(row.account))
                self._at("probed")
            except BreakglassError as error:
                self._later(row, error.message)
            except Exception:
                # Put off as well, and rung for: else it would be the next one for ever.
                log.exception("ending %s: an error inside; it is tried again", grant)
                self._later(row, "an error inside, which our log has")
            else:
                # (4) Gone. From here tidying is left, then the telling; a restart does both.
                over_at = row.over_at or self._now()
                tail = max(self._now() - over_at, timedelta(0))
                self._table.dead(grant, round(tail.total_seconds() * 1000), evidence)
                self._at("dead")
            # (5) Tell ``ended`` at once, also while the target is away. ``dead`` follows when it is
            #     known what is left behind.
            self._saying.say(grant)
            self._at("said")

    def _later(self, row: Row, why: str) -> None:
        now = self._now()
        rest = min(0.2 * 2 ** min(row.tries, 12), _TRY_AT_MOST.total_seconds())
        rest *= random.uniform(0.8, 1.2)  # so that many do not come in step
        self._table.try_again(row.grant, to_milliseconds(now + timedelta(seconds=rest)))
        late = now - (row.over_at or now)
        if late > self._limits.ring_after and not row.rang:
            self._table.rang(row.grant, now)
            self._bell.ring(
                "outlived",
                row.grant,
                f"account {row.claim.handle!r} of {row.claim.who!r} should have ended"
                f" {late.total_seconds():.0f} s ago and may still work: {why}",
            )

    def _say_owed(self) -> None:
        for row in self._table.unsaid(_BATCH):
            with self._locks.free(row.grant) as held:
                if held:
                    self._saying.say(row.grant)

    def _remember_unfinished(self) -> None:
        """Take back what the ledger says of us and our own disk has lost."""
        for claim in self._watch.unfinished():
            if self._table.find(claim.grant) is None:
                self._bell.ring(
                    "forgotten",
                    claim.grant,
                    "the ledger has a grant that this minter's own table lacked; restored",
                )
                self._remember(claim)

    def _remember(self, claim: Claim) -> None:
        now = self._now()
        self._table.claim(claim, now)
        with self._view.reading() as state:
            ended = state.grants.by_id[claim.grant].ended
        if ended is not None:
            self._table.end(now, (Ended(claim.grant, ended, "", None), now))
            self._table.said(claim.grant, Outcome.ENDED)
