"""Cosignatures: a witness's word that, at a time, this head was the largest it had seen.

Source: C2SP tlog-cosignature v1.0.1, Ed25519 form. The ML-DSA-44 form of v1.1.0-rc.1 is read as
a line like any other, and never counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnprovenError
from breakglass.tlog.note import (
    COSIGNATURE,
    ML_DSA_44,
    Note,
    SignatureLine,
    Signer,
    VerifierKey,
    check_signature,
)

_TIME_BYTES = 8
_SIGNATURE_BYTES = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = int((datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH).total_seconds())


def cosign(checkpoint_text: str, signer: Signer, at: datetime) -> SignatureLine:
    """Cosign a head. That it grew from the last one is checked, and kept, before this is called.

    Args:
        checkpoint_text: text of the head's note, with its final line feed.
        signer: key of kind ``COSIGNATURE``, used for nothing else.
        at: now, aware; cut to whole seconds.

    Raises:
        MisconfiguredError: ``wrong_key_kind``; or ``bad_clock`` for a time without zone, or
            before 1970-01-01T00:00:01Z.
    """
    if signer.kind != COSIGNATURE:
        raise MisconfiguredError(
            f"key {signer.verifier.label!r} is not for cosignatures", name=ErrorName.WRONG_KEY_KIND
        )
    seconds = (at - _EPOCH) // timedelta(seconds=1) if at.tzinfo else 0
    if seconds < 1:
        raise MisconfiguredError(f"cannot cosign at {at.isoformat()}", name=ErrorName.BAD_CLOCK)
    signature = signer.sign_bytes(_message(checkpoint_text, seconds))
    stamped = seconds.to_bytes(_TIME_BYTES, "big") + signature
    return SignatureLine(signer.name, signer.verifier.key_id, stamped)


def verify_cosignature(checkpoint_text: str, line: SignatureLine, key: VerifierKey) -> datetime:
    """Check a cosignature and return its time, in UTC.

    Raises:
        UnprovenError: ``cosignature`` if the line is not this key's, or of another length, or of
            no time (0, or after the year 9999), or does not hold; ``ml_dsa_unsupported`` or
            ``wrong_key_kind`` if the key is of a kind that we cannot check.
    """
    if key.kind != COSIGNATURE:
        name = ErrorName.ML_DSA_UNSUPPORTED if key.kind == ML_DSA_44 else ErrorName.WRONG_KEY_KIND
        raise UnprovenError(
            f"key {key.label!r} of type 0x{key.kind:02x} makes no Ed25519 cosignatures", name=name
        )
    if (line.name, line.key_id) != (key.name, key.key_id):
        raise UnprovenError(
            f"cosignature of {line.name!r} is not by {key.label!r}", name=ErrorName.COSIGNATURE
        )
    if len(line.signature) != _TIME_BYTES + _SIGNATURE_BYTES:
        raise UnprovenError(
            f"cosignature of {key.label!r}: wanted {_TIME_BYTES + _SIGNATURE_BYTES} bytes,"
            f" got {len(line.signature)}",
            name=ErrorName.COSIGNATURE,
        )
    seconds = int.from_bytes(line.signature[:_TIME_BYTES], "big")
    if not 1 <= seconds <= _LAST_SECOND:
        raise UnprovenError(
            f"cosignature of {key.label!r}: {seconds} s after 1970 is no time",
            name=ErrorName.COSIGNATURE,
        )
    try:
        check_signature(key, _message(checkpoint_text, seconds), line.signature[_TIME_BYTES:])
    except UnprovenError as error:
        raise UnprovenError(
            f"cosignature of {key.label!r} does not hold", name=ErrorName.COSIGNATURE
        ) from error
    return _EPOCH + timedelta(seconds=seconds)


def cosigned_times(
    note: Note, keys: Iterable[VerifierKey]
) -> tuple[tuple[VerifierKey, datetime], ...]:
    """Return every cosignature on ``note`` by ``keys``, with its time, in the note's order.

    A cosigner may stand there twice, at two times. Keys of kinds other than ``COSIGNATURE``, and
    lines of unknown keys, are passed over.

    Raises:
        UnprovenError: ``cosignature``; one by a known key does not hold. ``ambiguous_key``; two
            of ``keys`` have one name and key id.
    """
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.key_id), key) is not key:
            raise UnprovenError(f"two keys are named {key.label!r}", name=ErrorName.AMBIGUOUS_KEY)
    found = []
    for line in dict.fromkeys(note.lines):
        cosigner = known.get((line.name, line.key_id))
        if cosigner is not None and cosigner.kind == COSIGNATURE:
            found.append((cosigner, verify_cosignature(note.text, line, cosigner)))
    return tuple(found)


def cosignatures(note: Note, keys: Iterable[VerifierKey]) -> dict[VerifierKey, datetime]:
    """Return who of ``keys`` cosigned ``note``, and when; the earliest time if twice.

    Raises:
        UnprovenError: as ``cosigned_times``.
    """
    found: dict[VerifierKey, datetime] = {}
    for key, at in cosigned_times(note, keys):
        found[key] = min(at, found.get(key, at))
    return found


def _message(checkpoint_text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{checkpoint_text}".encode()
