from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakglass.errors import MalformedError, MisconfiguredError, UnprovenError
from breakglass.tlog.checkpoint import (
    Checkpoint,
    check_log_signature,
    parse_checkpoint,
    sign_checkpoint,
)
from breakglass.tlog.note import ED25519, Note, SignatureLine, SignerKey, sign_note

LOG = SignerKey("ledger.example/a", ED25519, b"l" * 32)
NEW = SignerKey("ledger.example/a", ED25519, b"n" * 32)
OTHER_LOG = SignerKey("ledger.example/b", ED25519, b"o" * 32)
HEAD = Checkpoint("ledger.example/a", 300, b"r" * 32)


def test_a_signed_head_reads_back_and_is_its_log_s():
    data = sign_checkpoint(HEAD, LOG).encoded()
    checkpoint, note = parse_checkpoint(data)
    assert checkpoint == HEAD
    check_log_signature(checkpoint, note, [OTHER_LOG.verifier, LOG.verifier])


@given(
    st.text("abc /.", min_size=1), st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32)
)
def test_a_checkpoint_has_one_text(origin, size, root):
    head = Checkpoint(origin, size, root)
    assert Checkpoint.parse_text(head.text) == head


ROOT = HEAD.text.split("\n")[2]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "another form"),
        (f"o\n1\n{ROOT}", "another form"),
        (f"o\n1\n{ROOT}\nextra\n", "extension lines"),
        (f"o\n1\n{ROOT}\n\n", "extension lines"),
        (f"\n1\n{ROOT}\n", "is not an origin"),
        (f"o\t\n1\n{ROOT}\n", "is not an origin"),
        (f"o\n\n{ROOT}\n", "is not a decimal number"),
        (f"o\n+5\n{ROOT}\n", "is not a decimal number"),
        (f"o\n-1\n{ROOT}\n", "is not a decimal number"),
        (f"o\n05\n{ROOT}\n", "is not a decimal number"),
        (f"o\n5 \n{ROOT}\n", "is not a decimal number"),
        (f"o\n1_0\n{ROOT}\n", "is not a decimal number"),
        (f"o\n٥\n{ROOT}\n", "is not a decimal number"),
        (f"o\n{2**63}\n{ROOT}\n", "is not a decimal number"),
        (f"o\n{'9' * 5000}\n{ROOT}\n", "is not a decimal number"),
        (f"o\r\n1\n{ROOT}\n", "is not an origin"),
        (f"o\r\n1\r\n{ROOT}\r\n", "is not a decimal number"),
        (f"o\n1\n{ROOT}\r\n", "base64 is broken"),
        ("o\n1\n\n", "the root has 32 bytes, got 0"),
        (f"o\n1\n{ROOT[:-1]}\n", "base64 is broken"),
        (f"o\n1\n{ROOT[:-2]}J=\n", "base64 is not canonical"),
        (f"o\n1\n{ROOT[:-4]}\n", "the root has 32 bytes, got 30"),
        (f"o\n1\n {ROOT}\n", "base64 is broken"),
    ],
)
def test_a_checkpoint_of_another_spelling_is_refused(text, why):
    with pytest.raises(MalformedError, match=why) as failure:
        Checkpoint.parse_text(text)
    assert failure.value.name == "bad_checkpoint"


@pytest.mark.parametrize(
    ("origin", "size", "root"), [("", 0, b"r" * 32), ("o", -1, b"r" * 32), ("o", 2**63, b"r" * 32)]
)
def test_a_checkpoint_cannot_be_made_wrong(origin, size, root):
    with pytest.raises(MalformedError):
        Checkpoint(origin, size, root)


def test_a_log_signs_heads_of_its_own_name_only():
    with pytest.raises(MisconfiguredError, match=r"cannot sign heads of 'ledger\.example/a'") as f:
        sign_checkpoint(HEAD, OTHER_LOG)
    assert f.value.name == "wrong_origin"


def failure_of(note: Note, *keys: SignerKey) -> str:
    with pytest.raises(UnprovenError) as failure:
        check_log_signature(Checkpoint.parse_text(note.text), note, [key.verifier for key in keys])
    return failure.value.name


def test_a_head_is_not_believed_on_another_log_s_word():
    by_other = sign_note(HEAD.text, OTHER_LOG)
    assert failure_of(by_other, OTHER_LOG) == "unknown_log"
    assert failure_of(by_other, OTHER_LOG, LOG) == "log_signature"
    forged = SignatureLine(LOG.name, LOG.verifier.key_id, b"\x00" * 64)
    assert failure_of(by_other.with_lines(forged), LOG) == "log_signature"


def test_during_a_change_of_keys_either_key_will_do_but_neither_may_be_broken():
    for signers in ((LOG,), (NEW,), (LOG, NEW)):
        note = sign_note(HEAD.text, *signers)
        check_log_signature(HEAD, note, [LOG.verifier, NEW.verifier])
    forged = SignatureLine(NEW.name, NEW.verifier.key_id, b"\x00" * 64)
    assert failure_of(sign_note(HEAD.text, LOG).with_lines(forged), LOG, NEW) == "log_signature"
