"""Breaking a glass: one request drives asking and granting, and waits for both."""

from __future__ import annotations

import time
from dataclasses import dataclass

from breakglass.broker.grants.ask_history import AskHistory
from breakglass.broker.grants.asking import Asking
from breakglass.broker.grants.granting import At, Granting, HandedOut
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.grants.wish import Wish
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.node.grant_locks import GrantLocks
from breakglass.records.fold.slices.grants import GrantState

_LAG = 1.0  # seconds by which our view may follow behind another broker's


@dataclass(frozen=True)
class Granted:
    """A glass is broken. ``labels``: what the asker must be told, once."""

    handed: HandedOut
    since_asked_ms: int
    labels: tuple[str, ...] = ()


class Breaking:
    """See the module; safe under threads."""

    def __init__(
        self,
        asking: Asking,
        granting: Granting,
        history: AskHistory,
        locks: GrantLocks,
        at: At,
    ) -> None:
        self._asking = asking
        self._granting = granting
        self._history = history
        self._locks = locks
        self._at = at

    def break_glass(self, request: BreakRequest) -> Granted:
        """Break a glass; the same statement again is the same grant and the same answer.

        Raises:
            RefusedError: the answer is no; recorded, if a known person asked.
            UnprovenError: a signature or a proof does not hold.
            UnavailableError: a neighbour did not answer; the message says whether something was
                recorded, and nothing was minted unless it says otherwise.
        """
        began = time.monotonic()
        self._at("parsed")
        grant, labels = self._recorded(request)
        handed = self._granting.hand_out(grant, request.presentation, began)
        return Granted(handed, round((time.monotonic() - began) * 1000), labels)

    def _recorded(self, request: BreakRequest) -> tuple[GrantState, tuple[str, ...]]:
        """Return the grant, and what the asker must be told of it."""
        story = self._history.find(request.grant)
        try:
            return self._decided(request)
        except RefusedError as error:
            if error.name != ErrorName.NOT_APPROVED or story is None:
                raise
        # Another broker may have recorded the answer that was missing, and our view not have it
        # yet: its asker was told so there. Nothing is held while this waits.
        self._history.wait(request.grant, story.changed, _LAG)
        return self._decided(request)

    def _decided(self, request: BreakRequest) -> tuple[GrantState, tuple[str, ...]]:
        # One request of a grant at a time, so that a double click is one grant and no error.
        with self._locks.of(request.grant):
            grant = self._asking.ask(request)
            if isinstance(grant, Wish):
                return self._granting.record(grant), grant.labels
            return grant, ()
