"""The custodians' door at a minter: a token without a proof, while no ledger can be reached."""

from __future__ import annotations

from collections.abc import Callable

from breakglass.clock import Clock, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.http.client import Peer
from breakglass.minter.grant_store import Claim
from breakglass.node.door_store import DoorStore, KeptDoor
from breakglass.node.ledger_probe import unreached
from breakglass.node.replica import Replica
from breakglass.node.submitter import Fact, Submitter
from breakglass.process.alert_channel import AlertChannel
from breakglass.records.card import card_digest
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kinds.intent import Intent
from breakglass.tlog.note import Note
from breakglass.token.token import Token
from breakglass.token.verify import VerifiedToken

At = Callable[[str], None]
NOT_YET = -1
"""The index of a grant whose intent has no place in the log yet."""


class MinterDoor:
    """See the module; safe under threads.

    Args:
        name: the minter's.
        view: ours; what it last followed is what stops people, glasses and grants.
        ledger: a connection of our own, to try it.
        doors: on disk, which doors were taken here.
        stating: our outbox, where the ``door`` record waits.
        bell: ours.
        clock: the minter's.
        at: told each step; for tests alone.
    """

    def __init__(
        self,
        name: str,
        view: Replica,
        ledger: Peer,
        doors: DoorStore,
        stating: Submitter,
        bell: AlertChannel,
        clock: Clock,
        at: At,
    ) -> None:
        self._name = name
        self._view = view
        self._ledger = ledger
        self._doors = doors
        self._stating = stating
        self._bell = bell
        self._clock = clock
        self._at = at

    def take(self, shown: VerifiedToken, token: Token) -> Claim:
        """Take a verified token of the door, or refuse it; what is minted is minted behind this.

        Raises:
            RefusedError: ``ledger_reachable``, ``second_door``, ``old_card``, ``suspended`` or
                ``void``; nothing was minted.
            UnavailableError: it could not be remembered, rung or written down.
        """
        intent, trust = shown.intent, self._view.trust()
        # (1) Try the ledger ourselves, and judge on what we followed last. Nothing is written.
        tried = unreached(self._ledger, trust)
        with self._view.reading() as state:
            _check_last_known(intent, token, state)
        # (2) Remember which door, fsynced. A crash from here leaves a door that a second one has
        #     to wait for; the same token starts here again.
        door = KeptDoor(token.intent, to_milliseconds(self._clock.now()))
        self._doors.take(door)
        self._at("door_taken")
        # (3) Ring. A crash behind it has rung for nothing, which is the better way.
        self._bell.ring_first(
            "door",
            intent.grant,
            f"the custodians' door: {intent.who!r} gets a credential of {intent.glass!r} from"
            f" {self._name!r}; the ledger: {tried}",
        )
        self._at("door_rung")
        # (4) The record waits in the spool, fsynced, ahead of all that follows from it.
        self._stating.post(Fact(f"{intent.grant}/door", door.used(shown, tried)))
        self._at("door_spooled")
        return Claim(
            intent.grant,
            intent.handle,
            intent.who,
            intent.glass,
            intent.incident,
            NOT_YET,
            intent.not_after,
        )

    def grant(self, state: State, name: str) -> GrantState | None:
        """Return a grant of the door as the fold will have it, for those who end it before then."""
        door = self._doors.find(name)
        if door is None:
            return None
        active = state.governance.cards.get(door.intent.glass)
        if active is None:
            return None
        return GrantState.of(door.record, NOT_YET, door.note, active)

    def standing(self) -> list[str]:
        """Return the grants of doors taken here whose intents are not shown to be in the log."""
        return [each.grant for each in self._doors.standing()]


def _check_last_known(intent: Intent, token: Token, state: State) -> None:
    grants = state.grants
    if any(intent.grant in each for each in (grants.by_id, grants.refused, grants.closed)):
        raise RefusedError(
            f"grant {intent.grant!r} is in the ledger already; nothing was minted",
            name=ErrorName.VOID,
        )
    stopped = state.governance.suspensions(intent.who, intent.glass, intent.grant)
    if stopped:
        raise RefusedError(
            f"{stopped[0]} is suspended; nothing was minted", name=ErrorName.SUSPENDED
        )
    active = state.governance.cards.get(intent.glass)
    if active is None or active.digest != card_digest(Note.parse(token.card)):
        raise RefusedError(
            f"this minter knows another card of {intent.glass!r}; nothing was minted",
            name=ErrorName.OLD_CARD,
        )
