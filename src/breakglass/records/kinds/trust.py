"""A trust file takes force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError
from breakglass.records.authority import check_card
from breakglass.records.encoding.text_types import Digest
from breakglass.records.fold.context import Submission, Void, lost_race
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.governance import ActiveCard
from breakglass.records.kind_sets import check_known
from breakglass.records.record import Kind
from breakglass.records.trust import Trust, check_next_trust
from breakglass.strict_json import Between
from breakglass.tlog.note import Note

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class TrustActivated(Kind):
    """A trust file takes force. Attached: the signed file; ``digest`` is of its text."""

    kind: ClassVar[str] = "trust"
    version: Annotated[int, Between(1, 10**9)]
    digest: Digest


def judge(state: State, stated: Submission) -> None:
    """A trust file takes force, in order; cards that it no longer believes fall."""
    accepted = check_next_trust(Note.parse(stated.attachment(0)), state.governance.trust)
    activate_trust(state, stated, accepted)


def activate_trust(state: State, stated: Submission, accepted: Trust) -> None:
    """Put an accepted trust file in force.

    Raises:
        Void: ``mismatch`` (the record names another file than it carries), ``wrong_log``, or
            ``key_id_taken`` (by another submitter's key, of an earlier version too).
        UnknownKindsError: this software does not know the kinds that the file puts in force.
    """
    if (stated.body.version, stated.body.digest) != (accepted.version, accepted.digest):
        raise Void(ErrorName.MISMATCH, "the record names another trust file than it carries")
    if not accepted.names_log(state.log):
        raise Void(ErrorName.WRONG_LOG, "the trust file does not name this log")
    if state.governance.trust is not None and accepted.text == state.governance.trust.text:
        raise lost_race(f"trust file {accepted.version} is in force already")
    taken = state.governance.key_ids
    for each in accepted.submitters:
        if taken.get(each.key_id, each) != each:
            raise Void(
                ErrorName.KEY_ID_TAKEN,
                f"key id {each.key_id.hex()} of submitter {each.name!r} was that of another key",
            )
    # Last, since what does not hold puts nothing in force and stops nobody.
    check_known(accepted.kinds, accepted.version)
    state.governance.key_ids = {**taken, **{each.key_id: each for each in accepted.submitters}}
    state.governance.trust = accepted
    state.governance.cards = {
        glass: active
        for glass, active in state.governance.cards.items()
        if _believed(active, stated, accepted)
    }


def _believed(active: ActiveCard, stated: Submission, trust: Trust) -> bool:
    try:
        check_card(Note.parse(active.note), trust, stated.at)
    except BreakglassError:
        return False
    return True


RULE = KindRule(TrustActivated, by=frozenset({"broker"}), judge=judge, reads=True)
