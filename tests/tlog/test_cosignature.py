from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from breakglass.errors import MisconfiguredError, UnprovenError
from breakglass.tlog.checkpoint import Checkpoint
from breakglass.tlog.cosignature import cosign, cosignatures, cosigned_times, verify_cosignature
from breakglass.tlog.note import (
    COSIGNATURE,
    ED25519,
    ML_DSA_44,
    OTHER,
    SignatureLine,
    SignerKey,
    VerifierKey,
    sign_note,
)

LOG = SignerKey("ledger.example/a", ED25519, b"l" * 32)
W0, W1 = (SignerKey(f"w{n}.example", COSIGNATURE, bytes([n]) * 32) for n in range(2))
TEXT = Checkpoint("ledger.example/a", 300, b"r" * 32).text
AT = datetime(2026, 6, 22, 3, 14, 9, tzinfo=UTC)
PQ = VerifierKey.of("pq.example", ML_DSA_44, b"k" * 1312)


def stamped(seconds: int, signer: SignerKey = W0) -> SignatureLine:
    """A cosignature as a signer without care for times would make it."""
    message = f"cosignature/v1\ntime {seconds}\n{TEXT}".encode()
    data = seconds.to_bytes(8, "big") + signer.sign_bytes(message)
    return SignatureLine(signer.name, signer.verifier.key_id, data)


def failure_of(line: SignatureLine, key: VerifierKey = W0.verifier, text: str = TEXT) -> str:
    with pytest.raises(UnprovenError) as failure:
        verify_cosignature(text, line, key)
    return failure.value.name


def test_a_cosignature_gives_back_its_time_in_whole_seconds():
    line = cosign(TEXT, W0, AT + timedelta(microseconds=999_999))
    assert line == stamped(int(AT.timestamp()))
    assert verify_cosignature(TEXT, line, W0.verifier) == AT
    east = AT.astimezone(timezone(timedelta(hours=5)))
    assert cosign(TEXT, W0, east) == line


def test_a_cosignature_holds_for_its_own_head_time_and_key_only():
    line = cosign(TEXT, W0, AT)
    assert failure_of(line, text=TEXT.replace("300", "301")) == "cosignature"
    assert failure_of(line, W1.verifier) == "cosignature"
    later = (int(AT.timestamp()) + 1).to_bytes(8, "big") + line.signature[8:]
    assert failure_of(SignatureLine(line.name, line.key_id, later)) == "cosignature"
    as_w1 = SignatureLine(W1.name, W1.verifier.key_id, line.signature)
    assert failure_of(as_w1, W1.verifier) == "cosignature"


def test_a_cosignature_under_another_name_is_not_the_key_s_own():
    """The signature does not cover the name, so the line must match it."""
    line = cosign(TEXT, W0, AT)
    for renamed in (
        SignatureLine("other.example", line.key_id, line.signature),
        SignatureLine(line.name, b"\x00\x00\x00\x00", line.signature),
    ):
        with pytest.raises(UnprovenError, match="is not by 'w0"):
            verify_cosignature(TEXT, renamed, W0.verifier)


@pytest.mark.parametrize("cut", [slice(0, 8), slice(0, 71), slice(8, None), slice(0, 1)])
def test_a_cosignature_of_another_length_is_refused(cut):
    line = cosign(TEXT, W0, AT)
    short = SignatureLine(line.name, line.key_id, line.signature[cut])
    with pytest.raises(UnprovenError, match=f"wanted 72 bytes, got {len(short.signature)}") as f:
        verify_cosignature(TEXT, short, W0.verifier)
    assert f.value.name == "cosignature"


@pytest.mark.parametrize("seconds", [0, 253_402_300_800, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_signed_time_that_is_no_time_is_refused(seconds):
    assert failure_of(stamped(seconds)) == "cosignature"


def test_the_last_second_of_the_calendar_can_be_read():
    assert verify_cosignature(TEXT, stamped(253_402_300_799), W0.verifier).year == 9999


def test_keys_of_other_kinds_are_refused_by_name():
    assert failure_of(SignatureLine(PQ.name, PQ.key_id, b"s" * 2428), PQ) == "ml_dsa_unsupported"
    assert failure_of(LOG.sign(TEXT), LOG.verifier) == "wrong_key_kind"
    other = VerifierKey.of("a", OTHER, b"x")
    assert failure_of(SignatureLine("a", other.key_id, b"s"), other) == "wrong_key_kind"


def test_a_log_key_cannot_cosign_and_nobody_cosigns_without_a_time():
    with pytest.raises(MisconfiguredError, match="is not for cosignatures"):
        cosign(TEXT, LOG, AT)
    for at in (datetime(2026, 6, 22), datetime(1970, 1, 1, tzinfo=UTC)):  # noqa: DTZ001
        with pytest.raises(MisconfiguredError, match="cannot cosign at") as failure:
            cosign(TEXT, W0, at)
        assert failure.value.name == "bad_clock"


def test_cosignatures_tells_who_and_when_and_passes_over_the_unknown():
    note = sign_note(TEXT, LOG).with_lines(
        cosign(TEXT, W0, AT),
        cosign(TEXT, W1, AT + timedelta(seconds=1)),
        SignatureLine(PQ.name, PQ.key_id, b"s" * 2428),
        SignatureLine("stranger", b"1234", b"s"),
    )
    keys = [W0.verifier, W1.verifier, PQ, LOG.verifier]
    assert cosignatures(note, keys) == {
        W0.verifier: AT,
        W1.verifier: AT + timedelta(seconds=1),
    }
    assert cosignatures(note, [PQ]) == {}


def test_a_cosigner_that_stands_twice_counts_once_from_the_earliest_time():
    times = [AT + timedelta(seconds=5), AT, AT + timedelta(seconds=9)]
    note = sign_note(TEXT, LOG).with_lines(*(cosign(TEXT, W0, at) for at in times))
    assert cosignatures(note, [W0.verifier]) == {W0.verifier: AT}
    assert [at for _, at in cosigned_times(note, [W0.verifier])] == times


def test_a_broken_cosignature_of_a_known_key_rejects_even_beside_a_good_one():
    forged = SignatureLine(W0.name, W0.verifier.key_id, b"\x00" * 7 + b"\x01" + b"\x00" * 64)
    note = sign_note(TEXT, LOG).with_lines(cosign(TEXT, W0, AT), forged)
    with pytest.raises(UnprovenError, match=r"cosignature of 'w0\.example\+.*' does not hold"):
        cosignatures(note, [W0.verifier])
    assert cosignatures(note, [W1.verifier]) == {}


def test_two_cosigners_of_one_name_and_id_are_never_guessed_between():
    note = sign_note(TEXT, LOG)
    with pytest.raises(UnprovenError, match="two keys are named") as failure:
        cosignatures(note, [W0.verifier, W0.verifier, VerifierKey.parse(str(W0.verifier))])
    assert failure.value.name == "ambiguous_key"
