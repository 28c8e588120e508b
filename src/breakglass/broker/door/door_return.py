"""When the ledger is back: the doors go in before anything else of this broker does."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

from breakglass.broker.door.door_chain import DoorChain, KeptDoor
from breakglass.broker.grants.granting import At
from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Peer
from breakglass.node.replica import Replica
from breakglass.process.alert_channel import AlertChannel
from breakglass.process.periodic import PeriodicTask
from breakglass.records.fold.slices.submitters import SubmitterState
from breakglass.tlog.note import SignerKey
from breakglass.tlog.tiles import encode_bundle

log = logging.getLogger("breakglass.broker")
_LOOK_EVERY = timedelta(seconds=1)
_WITHIN = timedelta(seconds=3)


class DoorReturn:
    """A reconciler over the chain's file and the folded state; ``start`` begins."""

    def __init__(
        self,
        view: Replica,
        ledger: Peer,
        key: SignerKey | None,
        chain: DoorChain,
        bell: AlertChannel,
        clock: Clock,
        at: At,
    ) -> None:
        self._view = view
        self._ledger = ledger
        self._key = key
        self._chain = chain
        self._bell = bell
        self._clock = clock
        self._at = at
        self._lock = threading.Lock()
        self._said: set[str] = set()
        self._task = PeriodicTask("doors", _LOOK_EVERY, self._look_if_any)

    def start(self) -> None:
        """Begin to look."""
        if self._key is not None:
            self._task.start()

    def close(self) -> None:
        """Stop; what stands here stands here at the next start."""
        self._task.close()

    def first(self) -> None:
        """Bring the doors in before another record of ours, if any wait and the ledger takes them.

        Never raises for the ledger: what comes behind will find out for itself.
        """
        if self._key is None or not self._chain.standing():
            return
        try:
            self.look()
        except BreakglassError as error:
            log.info("doors wait: %s", error)

    def look(self) -> None:
        """Bring in what can go in, in the chain's order.

        Raises:
            UnavailableError: the ledger is away.
        """
        with self._lock:
            for kept in self._chain.standing():
                if not self._found(kept):
                    self._append(kept)

    def _found(self, kept: KeptDoor) -> bool:
        assert self._key is not None
        with self._view.reading() as state:
            chain = state.submitters.by_key.get(self._key.verifier.label, SubmitterState())
            grant = state.grants.by_id.get(kept.grant)
            index = grant.index if grant is not None else state.size - 1
        if chain.next_seq <= kept.seq:
            return False
        # Somebody brought it in before us: a gate, a minter, or we in another life.
        self._chain.settle(kept.grant, index)
        return True

    def _append(self, kept: KeptDoor) -> None:
        # (1) Append. A lost answer, or a crash behind it: the same bytes get the same answer.
        body = encode_bundle([kept.note.encoded()])
        reply = self._ledger.send("POST", "/append", body, within=_WITHIN)
        self._at("door_appended")
        if reply.status == 200:
            # (2) Remember it. A crash before this finds it in the folded state.
            self._chain.settle(kept.grant, _index(reply.json()))
            return
        try:
            reply.checked()
        except UnavailableError:
            raise
        except BreakglassError as error:
            # Another version of it may be there already; then our view is about to say so.
            self._say(kept, error, self._clock.now())
            raise UnavailableError(str(error), name=error.name) from error

    def _say(self, kept: KeptDoor, error: BreakglassError, now: datetime) -> None:
        if kept.grant in self._said or now < kept.not_after:
            return
        self._said.add(kept.grant)
        self._bell.ring(
            "door_unappended",
            kept.grant,
            f"the ledger refuses the record of a grant by the custodians' door: {error}",
        )

    def _look_if_any(self) -> None:
        # Our view may take a poll's time to notice that the ledger is back: just try.
        if self._chain.standing():
            self.look()


def _index(answer: dict[str, object]) -> int:
    first = answer.get("first")
    if not isinstance(first, int):
        raise UnavailableError(
            "ledger's answer to a door intent makes no sense", name=ErrorName.NONSENSE
        )
    return first
