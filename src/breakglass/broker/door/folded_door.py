"""Whether a door of this broker is in the log already, as the folded state has it."""

from __future__ import annotations

from datetime import datetime

from breakglass.errors import BreakglassError
from breakglass.http.client import Peer
from breakglass.node.door_return import Evidence
from breakglass.node.door_store import KeptDoor
from breakglass.node.replica import Replica
from breakglass.records.fold.slices.submitters import SubmitterState


def folded(view: Replica) -> Evidence:
    """Look a door up in the state: what was followed there was checked, also while no ledger is up.

    A number behind the door's own is enough: then the ledger will never take it any more, whatever
    has it. A day later the proof alone would not do (``proven_late``), and the door would stand in
    the way of the next one for ever.
    """

    def found(door: KeptDoor, ledger: Peer, refusal: BreakglassError) -> int | None:
        with view.reading() as state:
            chain = state.submitters.by_key.get(door.record.note.lines[0].label, SubmitterState())
            grant = state.grants.by_id.get(door.grant)
            if chain.next_seq <= door.record.envelope.seq:
                return None
            return grant.index if grant is not None else state.size - 1

    return found


def over(door: KeptDoor, now: datetime) -> bool:
    """Say whether a door's time is over: nothing of this broker stands before it in its chain."""
    return now >= door.intent.not_after
