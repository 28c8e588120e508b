"""Breaking a glass: one request drives asking and granting, and waits for both."""

from __future__ import annotations

import time
from dataclasses import dataclass

from breakglass.broker.grants.asking import Asking
from breakglass.broker.grants.granting import At, Granting, HandedOut
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.grants.wish import Wish
from breakglass.node.grant_locks import GrantLocks


@dataclass(frozen=True)
class Granted:
    """A glass is broken. ``labels``: what the asker must be told, once."""

    handed: HandedOut
    since_asked_ms: int
    labels: tuple[str, ...] = ()


class Breaking:
    """See the module; safe under threads."""

    def __init__(self, asking: Asking, granting: Granting, locks: GrantLocks, at: At) -> None:
        self._asking = asking
        self._granting = granting
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
        labels: tuple[str, ...] = ()
        # One request of a grant at a time, so that a double click is one grant and no error.
        with self._locks.of(request.grant):
            grant = self._asking.ask(request)
            if isinstance(grant, Wish):
                labels = grant.labels
                grant = self._granting.record(grant)
        handed = self._granting.hand_out(grant, request.presentation, began)
        return Granted(handed, round((time.monotonic() - began) * 1000), labels)
