"""Asks for whoever reads them, now or when something changes."""

from __future__ import annotations

import threading
import time

from breakglass.broker.grants.ask_history import AskHistory
from breakglass.broker.grants.ask_views import AskView, AskViews, RequestsView
from breakglass.errors import MalformedError
from breakglass.http.routes import Request
from breakglass.node.readers import AskReader, PersonReading, refused

WAIT_AT_MOST = 20  # seconds
WAITERS_AT_MOST = 64  # each holds a thread of 256; beyond them nobody is kept waiting


class Requests:
    """See the module; safe under threads."""

    def __init__(self, views: AskViews, history: AskHistory) -> None:
        self._views = views
        self._history = history
        self._places = threading.BoundedSemaphore(WAITERS_AT_MOST)

    def show(self, grant: str) -> AskView:
        """Show one ask to whoever handed something in for it.

        Raises:
            RefusedError: ``no_grant``.
        """
        return self._views.show(grant)

    def of_person(self, who: PersonReading, asked: Request[None]) -> RequestsView:
        """Show somebody's own asks, and those that wait for their answer."""
        return self._views.of_person(who.who)

    def of_grant(self, who: AskReader, asked: Request[None]) -> AskView:
        """Show one ask: at once, or with ``wait`` when its version is past ``after``.

        No lock is held while somebody waits; where too many wait already the answer comes at once.

        Raises:
            MalformedError: a ``wait`` beyond 20 s.
            RefusedError: ``no_grant``, or not shown to this caller.
        """
        grant = asked.path["grant"]
        after, wait = asked.number("after", 0), asked.number("wait", 0)
        if wait > WAIT_AT_MOST:
            raise MalformedError(f"'wait' is {wait}, wanted {WAIT_AT_MOST} s at most")
        found = self._shown(who, grant)
        if wait and found.version <= after and self._places.acquire(blocking=False):
            try:
                found = self._waited(who, grant, after, time.monotonic() + wait)
            finally:
                self._places.release()
        return found

    def _waited(self, who: AskReader, grant: str, after: int, until: float) -> AskView:
        while True:
            found = self._shown(who, grant)
            left = min(until - time.monotonic(), self._views.until_time_tells(found))
            if found.version > after or until <= time.monotonic() or self._history.released:
                return found
            # The version is twice the entry, or one more: see ``AskViews``.
            self._history.wait(grant, found.version // 2, max(left, 0.01))

    def _shown(self, who: AskReader, grant: str) -> AskView:
        """Show it to who may see it; asked again each time, since rights end while one waits."""
        if not self._views.may_read(who, grant):
            raise refused(f"request {grant[:40]!r}")
        return self._views.show(grant)
