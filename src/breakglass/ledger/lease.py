"""The lease: which of several ledgers may write one journal on PostgreSQL, and since which term.

Three things stand in the database. A session's *advisory lock*: let go by the server when its
holder dies. The row ``lease``, with a *beat* that the holder counts on: it shows a holder that is
frozen and cannot let go. And the *term* in ``writer``, which each takeover raises and each write
compares: whatever the other two have come to, one who holds an old term writes nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, LiteralString

from breakglass.ledger.journal import JournalError
from breakglass.ledger.postgres_calls import PostgresCalls
from breakglass.ledger.postgres_journal import FencedError

if TYPE_CHECKING:
    from breakglass.ledger.postgres_calls import Connection

# The lock's number is that of a table, so that two logs in two schemas do not share it.
_TRY: LiteralString = "select pg_try_advisory_lock('writer'::regclass::oid::bigint)"
_LOCKER: LiteralString = (
    "select pid from pg_locks where locktype = 'advisory' and granted and objsubid = 1"
    " and classid = 0 and objid = 'writer'::regclass::oid"
    " and database = (select oid from pg_database where datname = current_database())"
)
_LOOK: LiteralString = (
    f"select holder, address, beat, term, coalesce(({_LOCKER}), 0) from lease, writer"
)
# All sessions of the last holder by name, and of whoever has the lock: they may be two, if one
# got the lock and froze before it wrote its name. Waits until they are gone, 1 s at most each.
_TERMINATE: LiteralString = (
    "select pg_terminate_backend(pid, 1000) from pg_stat_activity"
    " where pid <> pg_backend_pid() and usename = current_user and application_name <> %s"
    " and (application_name = %s or application_name in"
    f" (select application_name from pg_stat_activity where pid in ({_LOCKER})))"
)


@dataclass(frozen=True)
class Holder:
    """What the database shows of the lease at one moment."""

    name: str  # of the holder's sessions; empty if there never was one
    address: str  # where it serves; empty until it knows
    beat: int
    term: int
    locker: int  # the server's process that has the lock; 0 if nobody


class Lease:
    """One ledger's part in it. Used by one thread, ``check`` by any.

    Args:
        calls: of this ledger; their name is what the lease row says.
        lease_for: how long a holder may be without a beat.
        look_every: how often the owner calls ``beat`` or ``taken``; looks much further apart do
            not count as having watched.
        address: where we serve, told with each beat.
        elapsed: seconds, monotonic.
    """

    def __init__(
        self,
        calls: PostgresCalls,
        *,
        lease_for: timedelta,
        look_every: timedelta,
        address: Callable[[], str] = lambda: "",
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._lease_for = lease_for.total_seconds()
        self._gap_at_most = max(4 * look_every.total_seconds(), 0.5)
        self._address = address
        self._elapsed = elapsed
        self._session: Connection | None = None
        self._seen: Holder | None = None
        self._watched_since = self._looked_at = 0.0
        self._has_lock = False
        self._last_pid = 0
        self.term = 0  # ours, once the lease was taken

    @property
    def holder(self) -> Holder | None:
        """What the last look has shown."""
        return self._seen

    def taken(self) -> bool:
        """Look, and take the lease if its holder is gone or has shown no beat for too long.

        When this returns true, no write of an older term is under way or will ever count, and
        all that counted is on disk: what is read from now on is everything.

        Raises:
            JournalError: PostgreSQL is away; nothing is known, and nothing was taken.
        """
        try:
            session = self._connected()
            seen, before = self._look(session), self._seen
            expired = self._expired(seen)
            # Free at two looks: after a restart of the server the holder comes back first, and
            # nobody need change places.
            free = seen.locker == 0 and before is not None and before.locker == 0
            if not expired and not (free and self._locked(session)):
                return False
            # (1) End the last holder's sessions. A frozen one holds the lock, perhaps a row lock
            #     too, and lets go of neither; a dead one's may still be busy with its last commit.
            #     A crash here costs a living holder one reconnection.
            self._terminate(session, seen.name)
            if not self._locked(session):
                return False  # another one that stands by was faster
            # (2) The next term. Waits for a transaction of the old term that is still under way,
            #     and shuts out all that come later. A crash here, or later, lets go of the lock:
            #     the next one does the same again, in a higher term.
            self.term = self._raised(session)
        except JournalError:
            self._drop()
            raise
        self._seen, self._has_lock = None, True
        return True

    def beat(self) -> None:
        """Show that we live. A lost session is replaced, as long as nobody has taken over.

        Raises:
            FencedError: somebody has; what we hold in memory counts for nothing.
            JournalError: PostgreSQL is away; writes will say so too.
        """
        kept = self._session is not None
        try:
            self._beat()
        except JournalError:
            self._drop()
            if not kept:
                raise
            # At once on a new session: one who looks at us waits for no more than two looks.
            try:
                self._beat()
            except JournalError:
                self._drop()
                raise

    def check(self) -> None:
        """Ask on a fresh session whether the lease is still ours; for a writer that has doubts.

        Raises:
            FencedError: it is not.
            JournalError: PostgreSQL is away, so nobody knows.
        """
        with contextlib.closing(self._calls.connected()) as session:
            self._check(session)

    def close(self) -> None:
        """Let go of the lease, if it is ours: the next look of another one gets it."""
        self._drop()

    def _beat(self) -> None:
        session = self._connected()
        regained = not self._has_lock
        if regained:
            # Our own last session may still hold it: the server does not know it is dead.
            self._end(session, self._last_pid)
            self._has_lock = self._locked(session)
        query = "update lease set beat = beat + 1, address = %s where holder = %s"
        with self._calls.errors("written"):
            done = session.execute(query, (self._address(), self._calls.name))
        if done.rowcount != 1 or regained:
            self._check(session)

    def _connected(self) -> Connection:
        if self._session is None:
            session = self._calls.connected()
            with self._calls.errors("reached"):
                # A beat need not survive a crash of the server, nor wait for its disk.
                session.execute("set synchronous_commit = off")
            self._session = session
        return self._session

    def _drop(self) -> None:
        if self._session is not None:
            self._last_pid = self._session.info.backend_pid
            self._session.close()
            self._session, self._has_lock = None, False

    def _locked(self, session: Connection) -> bool:
        with self._calls.errors("locked"):
            return session.execute(_TRY).fetchone() == (True,)

    def _look(self, session: Connection) -> Holder:
        with self._calls.errors("read"):
            row = session.execute(_LOOK).fetchone()
        if row is None:
            raise JournalError("journal has no lease: its tables are damaged")
        return Holder(*row)

    def _expired(self, seen: Holder) -> bool:
        """Say whether the same beat was seen for too long, by looks close to one another.

        Measured by our own clock. A look that comes late (we, or PostgreSQL, stood still) starts
        anew: the holder's beats may have been held up as well.
        """
        now = self._elapsed()
        changed = self._seen is None or (seen.beat, seen.locker, seen.term) != (
            self._seen.beat,
            self._seen.locker,
            self._seen.term,
        )
        if changed or now - self._looked_at > self._gap_at_most:
            self._watched_since = now
        self._seen, self._looked_at = seen, now
        return now - self._watched_since > self._lease_for

    def _terminate(self, session: Connection, last: str) -> None:
        with self._calls.errors("cleared"):
            session.execute(_TERMINATE, (self._calls.name, last))

    def _end(self, session: Connection, pid: int) -> None:
        query: LiteralString = (
            "select pg_terminate_backend(pid, 1000) from pg_stat_activity"
            " where pid = %s and pid <> pg_backend_pid() and application_name = %s"
        )
        with self._calls.errors("cleared"):
            session.execute(query, (pid, self._calls.name))

    def _raised(self, session: Connection) -> int:
        with self._calls.errors("taken over"), session.transaction():
            # On disk, and with it everything that was written before: the log of the server has
            # one order, also on its replicas.
            session.execute("set local synchronous_commit = on")
            row = session.execute("update writer set term = term + 1 returning term").fetchone()
            session.execute(
                "update lease set holder = %s, address = %s, beat = beat + 1",
                (self._calls.name, self._address()),
            )
        if row is None:
            raise JournalError("journal has no writer: its tables are damaged")
        term: int = row[0]
        return term

    def _check(self, session: Connection) -> None:
        seen = self._look(session)
        if (seen.name, seen.term) != (self._calls.name, self.term):
            where = f" at {seen.address}" if seen.address else ""
            raise FencedError(
                f"another ledger{where} has taken over in term {seen.term}, ours was {self.term};"
                " nothing more is written here",
                hint="start this one again: it will stand by",
            )
