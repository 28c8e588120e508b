"""The only maker of ``Proven[R]``: a record whose place in the ledger has been checked.

A function that acts on a record takes ``Proven[Intent]``, so that the type checker refuses to mint
from a record that nobody has proven.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from breakglass.clock import format_time
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.records.intent_limits import DOOR_WITHIN
from breakglass.records.kinds.intent import Intent
from breakglass.records.record import Envelope, Kind, parse_as_kind
from breakglass.records.submitter_line import check_single, check_submitter
from breakglass.records.trust import Trust
from breakglass.tlog.proof import ProvenEntry, TlogProof, verify_proof

R_co = TypeVar("R_co", bound=Kind, covariant=True)
K = TypeVar("K", bound=Kind)
_MAKER = object()


@dataclass(frozen=True)
class Proven(Generic[R_co]):
    """A record with its proof checked; made by ``prove`` and by nothing else."""

    body: R_co
    envelope: Envelope
    index: int
    cosigned: Mapping[str, datetime]
    note: bytes
    proof: bytes
    maker: InitVar[object] = None

    def __post_init__(self, maker: object) -> None:
        """Refuse to be made elsewhere; ``dataclasses.replace`` fails too.

        Raises:
            TypeError: always, but from ``prove``.
        """
        if maker is not _MAKER:
            raise TypeError("Proven is made by prove() alone")


def prove(kind: type[K], note: bytes, proof: bytes, trust: Trust, role: str) -> Proven[K]:
    """Check who states a record, that it is in the log, and that it was witnessed at its time.

    Args:
        kind: what the record must be.
        note: the record's bytes as stored.
        proof: a tlog-proof of them.
        trust: whom we believe.
        role: the submitter's role that this kind takes, for example ``broker``.

    Raises:
        MalformedError: note or proof is not in its form, or of another kind.
        UnprovenError: by the names of ``check_submitter`` and ``prove_entry``.
    """
    record = parse_as_kind(kind, note)
    if not isinstance(record.body, kind):
        raise MalformedError(f"expected a record of kind {kind.kind!r}", name=ErrorName.WRONG_KIND)
    check_submitter(record, trust, role)
    check_single(record)
    entry = prove_entry(note, proof, trust, record.envelope)
    return Proven(
        record.body, record.envelope, entry.index, entry.cosigners, note, proof, maker=_MAKER
    )


def prove_door(note: bytes, proof: bytes, trust: Trust) -> Proven[Intent]:
    """Check that a door intent has come into the log, within a day.

    That it stands there is all that is shown; whether it holds there, the fold says.

    Raises:
        MalformedError: note or proof is not in its form, or no intent.
        UnprovenError: as ``prove``; ``proven_late`` beyond 24 h.
    """
    record = parse_as_kind(Intent, note)
    if not isinstance(record.body, Intent):
        raise MalformedError("expected a record of kind 'intent'", name=ErrorName.WRONG_KIND)
    check_submitter(record, trust, "broker")
    check_single(record)
    entry = prove_entry(note, proof, trust, record.envelope, late=DOOR_WITHIN)
    return Proven(
        record.body, record.envelope, entry.index, entry.cosigners, note, proof, maker=_MAKER
    )


def prove_entry(
    note: bytes,
    proof: bytes,
    trust: Trust,
    envelope: Envelope,
    *,
    late: timedelta = timedelta(0),
) -> ProvenEntry:
    """Check that ``note`` is in the log that it names, witnessed within the skew of its ``at``.

    The cosignatures whose own times lie within the skew meet the quorum by themselves, so that a
    record slipped in later under an old date fails. ``late`` allows them to be later than that,
    for what the custodians' door let through.

    Raises:
        MalformedError: the proof is not a tlog-proof.
        UnprovenError: ``unknown_log``, ``log_signature``, ``cosignature``, ``quorum``,
            ``proven_late`` (a quorum, but not at the record's time), ``inclusion``, ``wrong_log``.

    Source: C2SP tlog-proof; LEDGER.md section 3.6.
    """
    parsed = TlogProof.parse(proof)
    latest = max(late, trust.skew)
    try:
        entry = verify_proof(
            note, parsed, trust.tlog, cosigned=lambda at: -trust.skew <= at - envelope.at <= latest
        )
    except UnprovenError as error:
        if error.name != ErrorName.QUORUM:
            raise
        verify_proof(note, parsed, trust.tlog)  # raises again, unless time alone was the trouble
        raise UnprovenError(
            f"witnessed more than {latest.total_seconds():.0f} s from the record's own time"
            f" {format_time(envelope.at)}",
            name=ErrorName.PROVEN_LATE,
        ) from error
    if entry.checkpoint.origin != envelope.log:
        raise UnprovenError(
            f"the record is of log {envelope.log!r}, the proof of {entry.checkpoint.origin!r}",
            name=ErrorName.WRONG_LOG,
        )
    return entry
