"""A token of the custodians' door was taken here, and by whom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Digest, GrantId, Handle, Line, Word
from breakglass.records.fold.context import Submission, Void, check_not_closed, lost_race
from breakglass.records.fold.forgetting import known_door
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.gates import DoorState, DoorUse
from breakglass.records.intent_limits import DOOR_LIFE
from breakglass.records.record import Kind
from breakglass.strict_json import Many

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Door(Kind):
    """A token of the custodians' door was taken, since the ledger could not be reached.

    ``intent`` is the SHA-256 of the intent's text, which must come into the log by itself;
    ``tried`` says how the ledger did not answer; ``custodians`` are those whose lines counted.
    """

    kind: ClassVar[str] = "door"
    grant: GrantId
    intent: Digest
    who: Handle
    glass: Handle
    run: Word
    not_after: datetime
    custodians: Annotated[tuple[Handle, ...], Many(16)]
    tried: Line


def judge(state: State, stated: Submission) -> None:
    """A gate or minter took a token of the custodians' door; its intent must follow, or be here.

    The word of one party: it grants nothing, and only makes the missing intent heard.
    """
    body = stated.body
    if body.not_after > stated.at + DOOR_LIFE:
        raise Void(ErrorName.LIFE_LENGTHENED, "a door is open for one hour at most")
    check_not_closed(state, body.grant)
    use = DoorUse(str(stated.role), body.run)
    known = known_door(state, body.intent)
    if known is None:
        known = DoorState(
            body.grant, body.intent, body.who, body.glass, stated.entry.index, stated.witnessed
        )
    elif (known.grant, known.who, known.glass) != (body.grant, body.who, body.glass):
        raise Void(ErrorName.MISMATCH, "another record says something else of this door intent")
    if use in known.uses:
        raise lost_race("this use of the door already exists")
    state.gates.doors[body.intent] = replace(known, uses=(*known.uses, use))


RULE = KindRule(Door, by=frozenset({"gate", "minter"}), judge=judge, outcome=True)
