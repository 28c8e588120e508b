"""Looking at the target before anybody needs it: at the start, each hour, sooner while it is away.

What was found is logged, rung once, and shown by ``GET /state``; it stops nothing by itself, since
a minter that follows the ledger can still end what it has made.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import timedelta

from breakglass.clock import Clock
from breakglass.errors import BreakglassError
from breakglass.minter.platforms.platform import Finding, Platform
from breakglass.node.replica import Replica
from breakglass.process.alert_channel import AlertChannel

log = logging.getLogger("breakglass.minter")
_EVERY = timedelta(hours=1)
_SOON = timedelta(minutes=1)
_REPLAYED_WITHIN = timedelta(seconds=30)  # the cards in force are known behind the replay


class TargetCheck:
    """See the module; safe under threads.

    Args:
        name: of this minter, as cards call it.
        view: whose cards say what must work.
        platform: what is looked at.
        bell: rung for a finding that stops grants, once for each.
        clock: held against the target's.
    """

    def __init__(
        self, name: str, view: Replica, platform: Platform, bell: AlertChannel, clock: Clock
    ) -> None:
        self._name = name
        self._view = view
        self._platform = platform
        self._bell = bell
        self._clock = clock
        self._found: tuple[Finding, ...] = ()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look_for_ever, name="target", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()

    @property
    def found(self) -> tuple[str, ...]:
        """What was wrong when we looked last, in sentences; empty before the first look."""
        return tuple(each.says for each in self._found)

    def look(self) -> None:
        """Look once; say what is new."""
        before, self._found = self._found, self._platform.examine(self._scopes(), self._clock.now())
        for each in self._found:
            if each in before:
                continue
            log.warning("target: %s; %s", each.says, each.hint)
            if each.stops:
                self._bell.ring("target", self._name, f"{each.says}; hint: {each.hint}")

    def _look_for_ever(self) -> None:
        self._view.wait_current(_REPLAYED_WITHIN)
        while not self._closed.is_set():
            try:
                self.look()
            except BreakglassError as error:
                log.warning("target: %s", error)
            except Exception:
                log.exception("target: an error inside; it is looked at again")
            stops = any(each.stops for each in self._found)
            self._closed.wait((_SOON if stops else _EVERY).total_seconds())

    def _scopes(self) -> list[Mapping[str, tuple[str, ...]]]:
        with self._view.reading() as state:
            cards = [each.card for each in state.governance.cards.values()]
        return [
            mint.scope
            for card in cards
            for mint in card.mints
            if mint.minter == self._name and not mint.acts
        ]
