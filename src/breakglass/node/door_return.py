"""When the ledger is back: the doors kept here go into the log before anything else from here.

Whoever holds a door intent may bring it in: it carries its broker's own number and signature, and
the custodians' words inside. So a gate needs no broker to get its proof.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError, UnprovenError
from breakglass.http.client import Peer
from breakglass.node.door_store import DoorStore, KeptDoor
from breakglass.records.kinds.intent import Intent
from breakglass.records.proven import Proven, prove_door
from breakglass.records.trust import Trust
from breakglass.submit.record_header import text_digest
from breakglass.tlog.checkpoint import parse_checkpoint
from breakglass.tlog.hashing import HASH_BYTES, leaf_hash
from breakglass.tlog.note import Note
from breakglass.tlog.tiles import TILE_WIDTH, encode_bundle, tile_path

log = logging.getLogger("breakglass.doors")
RING_AGAIN = timedelta(hours=1)
_LOOKED_BACK = 4096  # entries: the ledger has just come back
_WITHIN = timedelta(seconds=3)

Evidence = Callable[[KeptDoor, Peer, BreakglassError], int | None]
"""Where an intent stands in the log though its append was answered like this; ``None``: nowhere.

It raises when it cannot know. What it returns is proven.
"""
Late = Callable[[KeptDoor, datetime], bool]
"""Whether a door that the ledger does not take has to be told of, and holds up nothing more."""


def settle_by_proof(doors: DoorStore, note: bytes, proof: bytes, trust: Trust) -> Proven[Intent]:
    """Take the proof that a door's intent is in the log, and let the next door come.

    Raises:
        MalformedError, UnprovenError: see ``prove_door``; nothing has changed.
    """
    proven = prove_door(note, proof, trust)
    doors.settle(text_digest(Note.parse(note).text), proven.index)
    return proven


class DoorReturn:
    """The one walk of doors into the log; safe under threads.

    Args:
        doors: what stands here.
        evidence: where else to look for an intent that an append did not show.
        trust: the trust file in force.
        clock: for what is late.
        ring: told of a door that is late, again every hour.
        late: see ``Late``.
        at: told each step; for tests alone.
    """

    def __init__(
        self,
        doors: DoorStore,
        evidence: Evidence,
        trust: Callable[[], Trust],
        clock: Clock,
        ring: Callable[[KeptDoor, str], None],
        late: Late,
        at: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._doors = doors
        self._evidence = evidence
        self._trust = trust
        self._clock = clock
        self._ring = ring
        self._late = late
        self._at = at
        self._lock = threading.Lock()

    def before_sending(self, ledger: Peer) -> None:
        """Bring in every door that stands here; returns if what follows may be sent.

        What is told of a grant whose intent is not in the log would be void. So it waits, as if
        the ledger were away, until the intents are in, or the first that is not is late: then
        what else happened must not be held back.

        Raises:
            UnavailableError: nothing may be sent yet. ``door_unappended``: the ledger answered,
                and does not hold one.
        """
        with self._lock:
            for door in self._doors.standing():
                self._bring_in(door, ledger)

    def try_now(self, ledger: Peer) -> None:
        """Bring in what can go in, also while nothing else waits to be sent; never raises."""
        try:
            self.before_sending(ledger)
        except UnavailableError as error:
            log.info("doors wait: %s", error)

    def _bring_in(self, door: KeptDoor, ledger: Peer) -> None:
        try:
            index = self._index(door, ledger)
        except UnavailableError:
            raise
        except BreakglassError as error:
            says = f"the door intent of {door.grant!r} is not in the log: {error}"
            if not self._is_late(door, says):
                raise UnavailableError(says, name=ErrorName.DOOR_UNAPPENDED) from error
            return
        # (2) Remember it. A crash before this finds it again, by the same append or elsewhere.
        self._doors.settle(door.digest, index)

    def _index(self, door: KeptDoor, ledger: Peer) -> int:
        try:
            # (1) Append. A lost answer, or a crash behind it: the same bytes get the same answer.
            reply = ledger.send("POST", "/append", encode_bundle([door.note]), within=_WITHIN)
            self._at("door_appended")
            proof = _first(reply.checked().json().get("proofs"))
            return prove_door(door.note, proof, self._trust()).index
        except BreakglassError as refusal:
            # Others may have brought it in before us: a broker, a gate, or we in another life.
            index = self._evidence(door, ledger, refusal)
            if index is None:
                raise
            return index

    def _is_late(self, door: KeptDoor, why: str) -> bool:
        now = self._clock.now()
        if door.answered is None:
            self._doors.answered(door.digest, now)
        if not self._late(door, now):
            return False
        if door.rang is None or now - door.rang > RING_AGAIN:
            self._ring(door, why)
            self._doors.rang(door.digest, now)
        return True


def waited(patience: timedelta) -> Late:
    """Return what a taker waits for: until then a broker may bring in earlier doors of its own."""

    def late(door: KeptDoor, now: datetime) -> bool:
        return door.answered is not None and now - door.answered > patience

    return late


def by_leaf_hash(trust: Callable[[], Trust]) -> Evidence:
    """Look the intent up by its leaf hash: the tiles of hashes are open, and a gate reads no more.

    The ledger takes a note in one spelling and with one line, so whoever brought it in: one hash.
    """

    def found(door: KeptDoor, ledger: Peer, refusal: BreakglassError) -> int | None:
        if isinstance(refusal, UnavailableError | UnprovenError):
            return None  # no answer yet, or one that this ledger's log does not bear out
        index = _found(door.note, ledger)
        if index is None:
            return None
        proof = ledger.get(f"/proof/{index}", within=_WITHIN).body
        return prove_door(door.note, proof, trust()).index

    return found


def _found(note: bytes, ledger: Peer) -> int | None:
    size = parse_checkpoint(ledger.get("/checkpoint", within=_WITHIN).body)[0].size
    wanted = leaf_hash(note)
    for n in range(max(0, size - _LOOKED_BACK) // TILE_WIDTH, -(-size // TILE_WIDTH)):
        path = tile_path(0, n, min(TILE_WIDTH, size - n * TILE_WIDTH))
        row = ledger.get(f"/{path}", within=_WITHIN).body
        for at in range(0, len(row), HASH_BYTES):
            if row[at : at + HASH_BYTES] == wanted:
                return n * TILE_WIDTH + at // HASH_BYTES
    return None


def _first(proofs: Any) -> bytes:
    if not isinstance(proofs, list) or not proofs or not isinstance(proofs[0], str):
        raise UnavailableError(
            "ledger's answer to a door intent makes no sense", name=ErrorName.NONSENSE
        )
    return proofs[0].encode()
