"""Follows one ask at any broker, beside whatever the person is doing meanwhile."""

from __future__ import annotations

import queue
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from breakglass.cli.ask_view import AskState, AskView, view_of
from breakglass.cli.client import Client
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from breakglass.cli.held_grants import Held

_WAIT_S = 10  # a broker holds one reading for this long; a new one costs two signatures
_WITHIN = timedelta(seconds=_WAIT_S + 10)
_REST_S = 1.0  # between two readings that came back at once, and after trouble
_MISSING_AT_MOST = 10  # a broker that only now starts may not have read of it yet


class AskWatch:
    """Reads an ask again and again, each time from whichever broker answers first.

    Trouble with brokers ends nothing: the ask stands in the ledger and the next reading tells.
    """

    def __init__(self, client: Client, held: Held, version: int) -> None:
        self._client = client
        self._grant = held.grant
        self._text = held.statement["text"]
        self._heard: queue.SimpleQueue[AskView | BreakglassError] = queue.SimpleQueue()
        self._over = threading.Event()
        self.trouble = False
        threading.Thread(target=self._read_on, args=(version,), daemon=True).start()

    @property
    def waiting(self) -> bool:
        """Say whether ``next`` has something to return at once."""
        return not self._heard.empty()

    def next(self, seconds: float) -> AskView | None:
        """Return the next view of the ask that differs, or ``None`` after so many seconds.

        Raises:
            BreakglassError: it cannot be read any more.
        """
        try:
            found = self._heard.get(timeout=seconds) if seconds > 0 else self._heard.get_nowait()
        except queue.Empty:
            return None
        if isinstance(found, BreakglassError):
            raise found
        return found

    def close(self) -> None:
        """Read no more."""
        self._over.set()

    def _read_on(self, version: int) -> None:
        missing = 0
        while not self._over.is_set():
            began = time.monotonic()
            try:
                found = self._read(version)
            except UnavailableError:
                self.trouble = True
                self._over.wait(_REST_S)
                continue
            except BreakglassError as error:
                missing += 1
                late = isinstance(error, RefusedError) and error.name == ErrorName.NO_GRANT
                if late and missing < _MISSING_AT_MOST:
                    self._over.wait(_REST_S)
                    continue
                self._heard.put(error)
                return
            self.trouble, missing = False, 0
            # A broker that lags rolls nothing back; and what has ended is over whatever its number,
            # or one lie of a high number would make us deaf to every honest broker.
            newer = found.version > version
            version = max(version, found.version)
            if newer or found.state not in (AskState.WAITING, AskState.EXPIRED):
                self._heard.put(found)
            if not newer and time.monotonic() - began < _REST_S:
                self._over.wait(_REST_S)  # it has no place for one more who waits

    def _read(self, version: int) -> AskView:
        path = f"/requests/{self._grant}?after={version}&wait={_WAIT_S}"
        found = self._client.broker("GET", path, within=_WITHIN, patient=True)
        return view_of(found, self._grant, self._text)
