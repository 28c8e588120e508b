"""A gate at the custodians' door: tried, remembered, rung and written down before it opens."""

from __future__ import annotations

from breakglass.clock import Clock, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import UnavailableError, UnprovenError
from breakglass.gate.gate_config import GateConfig
from breakglass.gate.record_spool import spool_door
from breakglass.http.client import Peer
from breakglass.node.door_return import settle_by_proof
from breakglass.node.door_store import DoorStore, KeptDoor
from breakglass.node.ledger_probe import unreached
from breakglass.process.alert_channel import AlertChannel
from breakglass.process.settings import neighbour_at
from breakglass.token.token import Token, parse_token
from breakglass.token.verify import VerifiedToken


def take_door(place: GateConfig, token: Token, shown: VerifiedToken, clock: Clock) -> None:
    """Let a verified token of the door count here, or refuse it; the gate opens behind this.

    Raises:
        RefusedError: ``ledger_reachable``, or ``second_door``.
        UnavailableError: it could not be remembered, rung or written down; the gate stays shut.
    """
    trust = place.trust()
    # (1) Try the ledger. Nothing was written; nothing has happened.
    where = neighbour_at(place.folder, place.settings.ledger)
    with Peer(where, name="ledger") as ledger:
        tried = unreached(ledger, trust)
    # (2) Remember which door, on disk. A crash from here leaves a door that opened nothing here,
    #     and that a second one has to wait for.
    door = KeptDoor(token.intent, to_milliseconds(clock.now()))
    place_doors(place).take(door)
    # (3) Ring, before it opens. A crash behind it has rung for nothing, which is the better way.
    bell = open_bell(place, clock)
    try:
        intent = shown.intent
        bell.ring_first(
            "door",
            intent.grant,
            f"the custodians' door: {intent.who!r} opens gate {place.settings.gate!r} with"
            f" {intent.glass!r} for run {shown.run!r}; the ledger: {tried}",
        )
    finally:
        bell.close()
    # (4) The record, fsynced in the spool: it goes out when the ledger is back.
    spool_door(place, door.used(shown, tried), clock)


def place_doors(place: GateConfig) -> DoorStore:
    """Return the doors that this gate took; kept beside its memory."""
    return DoorStore(place.folder / "data" / "doors.sqlite")


def settle(place: GateConfig, data: bytes) -> str:
    """Take a token with a proof as the proof that a door's intent is in the log.

    Returns:
        the grant.

    Raises:
        MalformedError, UnprovenError: it proves nothing; nothing has changed.
    """
    token = parse_token(data)
    if token.proof is None:
        raise UnprovenError("this token carries no proof", name=ErrorName.INCLUSION)
    return settle_by_proof(place_doors(place), token.intent, token.proof, place.trust()).body.grant


def ring_unappended(place: GateConfig, clock: Clock, door: KeptDoor, why: str) -> None:
    """Ring that a door was taken here and its intent is still not in the log."""
    bell = open_bell(place, clock)
    try:
        bell.ring_first(
            "door_unappended",
            door.grant,
            f"{door.intent.who!r} opened gate {place.settings.gate!r} by the custodians' door at"
            f" {door.taken:%Y-%m-%d %H:%M} UTC, and the ledger does not have its intent: {why}",
        )
    except UnavailableError:
        return  # it is tried again with the next run
    finally:
        bell.close()


def open_bell(place: GateConfig, clock: Clock) -> AlertChannel:
    """Return the gate's own bell; its owner closes it."""
    return place.settings.ring.channel(place.folder, place.door, clock)
