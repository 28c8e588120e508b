"""Trying a record on the fold before it is written: the ledger never forgets a mistake.

The same ``apply`` that everybody will run judges the record on a thin copy of our own state, so
whatever it would call void is an error here and nothing is appended.
"""

from __future__ import annotations

import copy
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar, cast

from breakglass.errors import RefusedError
from breakglass.follow.stating import Fact
from breakglass.records.fold import apply
from breakglass.records.judging import Entry
from breakglass.records.record import Attachment, Envelope, record_text
from breakglass.records.state import GrantState, State, SubmitterState
from breakglass.tlog.note import SignerKey, sign_note

K = TypeVar("K")
V = TypeVar("V")


def rehearse(state: State, facts: Sequence[Fact], key: SignerKey, now: datetime) -> None:
    """Raise what the fold would hold against any of ``facts``, stated now, in this order.

    Args:
        state: held still by the caller; it is read and never changed.
        facts: as they will be appended.
        key: ours.
        now: as our record would say.

    Raises:
        RefusedError: by the fold's own name for it (``policy_order``, ``suspended``, …).
    """
    if state.trust is None:
        raise RefusedError("no trust file is in force yet; nothing was recorded", name="no_trust")
    submitter = key.verifier.label
    trial = _thin_copy(state, submitter)
    everybody = dict.fromkeys((each.name for each in state.trust.tlog.witnesses), now)
    for fact in facts:
        chain = trial.submitters[submitter]
        at = max(now, chain.last_at) if chain.last_at else now
        envelope = Envelope(state.log, fact.id, at, chain.next_seq, chain.prev)
        attachments = {Attachment.of(data).digest: data for data in fact.attachments}
        named = tuple(map(Attachment.of, fact.attachments))
        note = sign_note(record_text(envelope, fact.body, named), key)
        judged = apply(trial, Entry(trial.size, note.encoded(), everybody, attachments))
        if judged.void:
            raise RefusedError(
                f"{judged.why or judged.void}; nothing was recorded", name=judged.void
            )


def _thin_copy(state: State, submitter: str) -> State:
    """Copy what the fold changes in such a way that only its changes take room."""
    chain = state.submitters.get(submitter, SubmitterState())
    own = replace(chain, ids=_Also(chain.ids))
    return replace(
        state,
        cards=dict(state.cards),
        submitters={submitter: own},
        incidents=_over(state.incidents),
        asked=_over(state.asked),
        refused=_over(state.refused),
        grants=cast("dict[str, GrantState]", _OwnGrants({}, state.grants)),
        nonces=_over(state.nonces),
        suspended=dict(state.suspended),
        passages={},
        void=[],
        alarms={},
    )


def _over(below: dict[K, V]) -> dict[K, V]:
    """Return what reads like ``below`` and keeps changes to itself."""
    return cast("dict[K, V]", ChainMap({}, below))


class _OwnGrants(ChainMap[str, GrantState]):
    """Grants that are copied when they are first looked at: the fold changes them in place."""

    def __getitem__(self, grant: str) -> GrantState:
        own, below = self.maps
        if grant not in own:
            own[grant] = copy.copy(below[grant])
        return own[grant]


class _Also(set[str]):
    """A set that also holds what another holds, without copying it."""

    def __init__(self, below: set[str]) -> None:
        super().__init__()
        self._below = below

    def __contains__(self, item: object) -> bool:
        return super().__contains__(item) or item in self._below
