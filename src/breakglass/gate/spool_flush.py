"""Hand a gate's spool to the ledger: bounded, and it may fail as often as it likes.

Nothing here is imported before the gate has answered: HTTP would double its cold start.
"""

from __future__ import annotations

from datetime import timedelta

from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.gate.door import place_doors, ring_unappended
from breakglass.gate.gate_config import GateConfig
from breakglass.http.client import Peer
from breakglass.node.door_return import DoorReturn, by_leaf_hash, waited
from breakglass.node.door_store import KeptDoor
from breakglass.node.submitter import gap_draft
from breakglass.process.folder import held
from breakglass.process.key_store import read_key
from breakglass.process.settings import neighbour_at
from breakglass.submit.outbox import Outbox


def send(place: GateConfig, clock: Clock, within: timedelta) -> bool:
    """Hand the spool to the ledger, for so long at most; say whether nothing is left.

    One process at a time sends; another one that finds it sending leaves it to that one.

    Raises:
        MisconfiguredError: the key or the spool cannot be used.
    """
    data = place.folder / "data"

    def ring(door: KeptDoor, why: str) -> None:
        ring_unappended(place, clock, door, why)

    try:
        with held(data):
            doors = DoorReturn(
                place_doors(place),
                by_leaf_hash(place.trust),
                place.trust,
                clock,
                ring,
                waited(place.settings.door_within),
            )
            where = neighbour_at(place.folder, place.settings.ledger)
            ledger = Peer(where, name="ledger", within=within)
            outbox = Outbox(
                ledger,
                read_key(place.folder),
                data,
                clock,
                gap=gap_draft(place.settings.log),
                before_sending=doors.before_sending,
            )
            try:
                doors.try_now(ledger)
                return outbox.flush(within)
            finally:
                outbox.close()
    except MisconfiguredError as error:
        if error.name == ErrorName.FOLDER_IN_USE:
            return False
        raise
