"""Trying a record on the fold before it is written: the ledger never forgets a mistake.

The same ``apply`` that everybody will run judges the record on a thin copy of our own state, so
whatever it would call void is an error here and nothing is appended.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.node.submitter import Fact
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import apply
from breakglass.records.fold.state import State
from breakglass.records.record import Attachment, Envelope, record_text
from breakglass.tlog.note import Signer, sign_note

# What helps whoever is refused so; what the message says already is not repeated.
_HINTS: dict[str, str] = {
    ErrorName.NO_INCIDENT: "see: breakglass incident list; open one: breakglass incident declare ID"
    " --severity SEV1 --title TEXT",
}


def rehearse(state: State, facts: Sequence[Fact], key: Signer, now: datetime) -> None:
    """Raise what the fold would hold against any of ``facts``, stated now, in this order.

    Args:
        state: held still by the caller; it is read and never changed.
        facts: as they will be appended.
        key: ours.
        now: as our record would say.

    Raises:
        RefusedError: by the fold's own name for it (``policy_order``, ``suspended``, …).
    """
    if state.governance.trust is None:
        raise RefusedError(
            "no trust file is in force yet; nothing was recorded", name=ErrorName.NO_TRUST
        )
    submitter = key.verifier.label
    trial = state.trial(submitter)
    everybody = dict.fromkeys((each.name for each in state.governance.trust.tlog.witnesses), now)
    for fact in facts:
        chain = trial.submitters.by_key[submitter]
        at = max(now, chain.last_at) if chain.last_at else now
        envelope = Envelope(state.log, fact.id, at, chain.next_seq, chain.prev)
        attachments = {Attachment.of(data).digest: data for data in fact.attachments}
        named = tuple(map(Attachment.of, fact.attachments))
        note = sign_note(record_text(envelope, fact.body, named), key)
        judged = apply(trial, Entry(trial.size, note.encoded(), everybody, attachments))
        if judged.void:
            raise RefusedError(
                f"{judged.why or judged.void}; nothing was recorded",
                name=judged.void,
                hint=_HINTS.get(judged.void, ""),
            )
