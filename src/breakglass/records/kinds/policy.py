"""A policy takes force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Digest, Word
from breakglass.records.fold.context import Submission, Void, in_force, lost_race
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.people_list import parse_people
from breakglass.records.policy_note import check_policy_people, check_policy_signatures
from breakglass.records.record import Attachment, Kind
from breakglass.strict_json import Between
from breakglass.tlog.note import Note

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Policy(Kind):
    """A policy takes force. Attached, in this order: the bundle, the signed policy note, the
    list of its people.

    ``bundle`` is the SHA-256 of the bundle's bytes and the policy digest of statements and cards.
    """

    kind: ClassVar[str] = "policy"
    version: Annotated[int, Between(1, 10**9)]
    bundle: Digest
    commit: Word


def judge(state: State, stated: Submission) -> None:
    """A policy takes force, signed by the maintainers; until its cards stand, no glass opens."""
    believed, body = in_force(state), stated.body
    bundle, note = stated.attachment(0), Note.parse(stated.attachment(1))
    said = check_policy_signatures(note, believed)
    if said.log != state.log:
        raise Void(ErrorName.WRONG_LOG, f"the policy is of log {said.log!r}")
    if (said.version, said.bundle, said.commit) != (body.version, body.bundle, body.commit):
        raise Void(ErrorName.MISMATCH, "the record and the signed policy note differ")
    if Attachment.of(bundle).digest != said.bundle:
        raise Void(ErrorName.MISMATCH, "the bundle is not the one that was signed")
    if said == state.governance.policy:
        raise lost_race(f"policy {said.version} is in force already")
    newest = max(
        state.governance.policy.version if state.governance.policy else 0,
        believed.policy_at_least - 1,
    )
    if said.version <= newest:
        raise Void(
            ErrorName.POLICY_ORDER, f"policy {said.version} is not newer than the one in force"
        )
    people = parse_people(stated.attachment(2))
    check_policy_people(said, people)
    state.governance.policy, state.governance.policy_index, state.governance.bundle = (
        said,
        stated.entry.index,
        bundle,
    )
    state.governance.people = people
    state.governance.cards = {}


RULE = KindRule(Policy, by=frozenset({"broker"}), judge=judge, reads=True)
