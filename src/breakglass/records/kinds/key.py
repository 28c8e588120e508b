"""One party's key is followed by another."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Base64, Line, Word
from breakglass.records.fold.context import Submission, Void, in_force, lost_race
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.key_rollover import Handover, check_named, read_handover
from breakglass.records.record import Kind
from breakglass.strict_json import Between
from breakglass.tlog.note import Signer

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class KeyHandedOver(Kind):
    """One party's key is followed by another, under a trust file that names both.

    ``party`` is ``log``, ``witness:NAME`` or a submitter's role; ``old`` and ``new`` are verifier
    keys of one name. Each key signed the text of ``key_rollover.py``.
    """

    kind: ClassVar[str] = "key"
    party: Word
    old: Line
    new: Line
    version: Annotated[int, Between(1, 10**9)]
    old_signature: Base64
    new_signature: Base64

    @classmethod
    def of(cls, handover: Handover, old: Signer, new: Signer, version: int) -> KeyHandedOver:
        """Return the record's body, signed by both keys.

        Args:
            handover: which key follows which.
            old: the key that stands.
            new: the key that follows.
            version: of the trust file that names both.
        """
        both = [
            base64.b64encode(each.sign_bytes(handover.text.encode())).decode()
            for each in (old, new)
        ]
        return cls(handover.party, str(handover.old), str(handover.new), version, *both)


def judge(state: State, stated: Submission) -> None:
    """A key follows another, which both signed, under the trust file in force, which names both."""
    body, believed = stated.body, in_force(state)
    if body.version != believed.version:
        raise Void(ErrorName.MISMATCH, f"trust file {body.version} is not the one in force")
    handover = read_handover(state.log, body)
    check_named(handover, believed)
    if str(handover.new) in state.governance.handed_over:
        raise lost_race(f"key {handover.new.label!r} has followed already")
    state.governance.handed_over[str(handover.new)] = stated.entry.index


RULE = KindRule(KeyHandedOver, by=frozenset({"broker"}), judge=judge)
