from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakglass.errors import MalformedError, MisconfiguredError, UnprovenError
from breakglass.tlog.note import (
    COSIGNATURE,
    ECDSA,
    ED25519,
    ML_DSA_44,
    OTHER,
    Note,
    SignatureLine,
    SignerKey,
    VerifierKey,
    check_signature,
    parse_signature_lines,
    sign_note,
    verified_lines,
)

MIRA = SignerKey("mira.example", ED25519, b"m" * 32)
SAM = SignerKey("sam.example", ED25519, b"s" * 32)
WITNESS = SignerKey("w.example", COSIGNATURE, b"w" * 32)
TEXT = "first\n\nlast, after an empty line\n"
STRANGE = SignatureLine("mira.example", b"\x00\x00\x00\x00", b"of a key nobody knows")


def test_a_signed_note_reads_back_to_the_byte_and_verifies():
    note = sign_note(TEXT, MIRA, SAM)
    assert Note.parse(note.encoded()) == note
    keys = [SAM.verifier, MIRA.verifier]
    assert [key for key, _ in verified_lines(note, keys)] == [MIRA.verifier, SAM.verifier]


def test_a_note_is_laid_out_as_the_specification_says():
    line = base64.b64encode(MIRA.verifier.key_id + MIRA.sign(TEXT).signature).decode()
    assert sign_note(TEXT, MIRA).encoded() == f"{TEXT}\n— mira.example {line}\n".encode()


def test_lines_of_unknown_keys_are_passed_over():
    note = sign_note(TEXT, SAM, MIRA).with_lines(STRANGE)
    assert verified_lines(note, [MIRA.verifier]) == ((MIRA.verifier, note.lines[1]),)


def test_one_broken_line_of_a_known_key_rejects_the_note_whatever_the_others_say():
    good = sign_note(TEXT, MIRA)
    forged = SignatureLine("sam.example", SAM.verifier.key_id, b"\x00" * 64)
    note = good.with_lines(forged)
    with pytest.raises(UnprovenError, match=r"signature of 'sam\.example\+.*' does not hold") as f:
        verified_lines(note, [MIRA.verifier, SAM.verifier])
    assert f.value.name == "signature"
    assert len(verified_lines(note, [MIRA.verifier])) == 1


def test_a_second_broken_line_of_one_key_rejects_too():
    forged = SignatureLine("mira.example", MIRA.verifier.key_id, b"\x00" * 64)
    with pytest.raises(UnprovenError, match="does not hold"):
        verified_lines(sign_note(TEXT, MIRA).with_lines(forged), [MIRA.verifier])


def test_a_repeated_line_counts_once():
    line = MIRA.sign(TEXT)
    note = Note(TEXT, (line, line))
    assert verified_lines(note, [MIRA.verifier]) == ((MIRA.verifier, line),)
    assert note.with_lines(line).lines == (line,)


def test_a_note_that_nobody_known_signed_is_refused():
    note = sign_note(TEXT, MIRA)
    for keys, wanted in ((), "nobody"), ((SAM.verifier,), r"'sam\.example'"):
        with pytest.raises(UnprovenError, match=f"not signed by a known key: wanted {wanted}") as f:
            verified_lines(note, keys)
        assert f.value.name == "unsigned"


def test_a_signature_holds_for_its_own_text_only():
    note = Note(TEXT + "more\n", sign_note(TEXT, MIRA).lines)
    with pytest.raises(UnprovenError, match="does not hold"):
        verified_lines(note, [MIRA.verifier])


def test_keys_of_kinds_without_a_rule_here_are_passed_over():
    """A cosigner's bare signature over a text is nothing, even with the right id."""
    bare = SignatureLine("w.example", WITNESS.verifier.key_id, WITNESS.sign_bytes(TEXT.encode()))
    other = VerifierKey.of("person", OTHER, b"sshsig@breakglass.dev\nblob")
    post_quantum = VerifierKey.of("pq", ML_DSA_44, b"\x01" * 1312)
    lines = (SignatureLine(k.name, k.key_id, b"junk") for k in (other, post_quantum))
    note = sign_note(TEXT, MIRA).with_lines(bare, *lines)
    keys = [WITNESS.verifier, other, post_quantum, MIRA.verifier]
    assert [key for key, _ in verified_lines(note, keys)] == [MIRA.verifier]


def test_two_keys_of_one_name_and_id_are_never_guessed_between():
    with pytest.raises(UnprovenError, match="two keys are named") as failure:
        verified_lines(
            sign_note(TEXT, MIRA), [MIRA.verifier, VerifierKey.parse(str(MIRA.verifier))]
        )
    assert failure.value.name == "ambiguous_key"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no empty line"),
        (b"text\n", "no empty line"),
        (b"text\n\n", "do not end in a line feed"),
        (b"text\n\n\n", "do not end in a line feed"),
        ("text\n\n— a AAAAAAAA\n\n".encode(), "do not end in a line feed"),
        ("\n— a AAAAAAAA\n".encode(), "no empty line"),
        (b"text\n\nnot a line\n", "not a signature line"),
        ("text\n\n— a AAAAAAAA".encode(), "do not end in a line feed"),
        ("text\n\n— a AAAAAAAA\n ".encode(), "do not end in a line feed"),
        ("text\n\n— a\n".encode(), "not a signature line"),
        ("text\n\n—  AAAAAAAA\n".encode(), "cannot name a key"),
        ("text\n\n— a b AAAAAAAA\n".encode(), "base64 is broken"),
        ("text\n\n— a+b AAAAAAAA\n".encode(), "cannot name a key"),
        ("text\n\n— a\u00a0b AAAAAAAA\n".encode(), "cannot name a key"),
        ("text\n\n— a\u2028b AAAAAAAA\n".encode(), "cannot name a key"),
        ("text\n\n— a AAAAAA==\n".encode(), "wanted a key id of 4 bytes and a signature"),
        ("text\n\n— a AAAA\n".encode(), "got 3 and 0 bytes"),
        ("text\n\n— a AAAAAAA\n".encode(), "base64 is broken"),
        ("text\n\n— a AAAA_AAA\n".encode(), "base64 is broken"),
        (b"text\n\n- a AAAAAAAA\n", "not a signature line"),
        ("text\n\n– a AAAAAAAA\n".encode(), "not a signature line"),
        ("te\rxt\n\n— a AAAAAAAA\n".encode(), r"U\+000D"),
        ("te\txt\n\n— a AAAAAAAA\n".encode(), r"U\+0009"),
        ("te\0xt\n\n— a AAAAAAAA\n".encode(), r"U\+0000"),
        ("text\r\n\r\n— a AAAAAAAA\r\n".encode(), "no empty line"),
        (b"\xff\n\n\xe2\x80\x94 a AAAAAAAA\n", "not UTF-8 at byte 0"),
        (b"\xed\xa0\x80\n\n\xe2\x80\x94 a AAAAAAAA\n", "not UTF-8 at byte 0"),
        (b"x" * 65_536 + b"\n", "note of 65537 bytes, at most 65536"),
        (b"text\n\n" + "— a AAAAAAAA\n".encode() * 101, "101 signature lines"),
    ],
)
def test_a_note_of_another_form_is_refused(data, why):
    with pytest.raises(MalformedError, match=why) as failure:
        Note.parse(data)
    assert failure.value.name == "bad_note"


def test_stray_bits_in_a_signature_are_read_as_go_reads_them_and_written_back():
    data = "text\n\n— a AAAAAAB=\n".encode()
    note = Note.parse(data)
    assert note.encoded() == data
    assert note.lines[0].signature == b"\x00"


def test_a_note_cannot_be_made_wrong():
    line = MIRA.sign(TEXT)
    for text in ("", "no line feed", "tab\t\n", "half \ud800\n"):
        with pytest.raises(MalformedError):
            Note(text, (line,))
    for lines in ((), (line,) * 101):
        with pytest.raises(MalformedError, match="signature lines, expected 1 to 100"):
            Note(TEXT, lines)
    with pytest.raises(MalformedError, match="at most 65536"):
        sign_note("x" * 65_536 + "\n", MIRA).encoded()
    for name, key_id, signature in (
        ("a b", b"1234", b"s"),
        ("a", b"123", b"s"),
        ("a", b"1234", b""),
    ):
        with pytest.raises(MalformedError):
            SignatureLine(name, key_id, signature)


@given(st.text("ab \n—é", max_size=30), st.lists(st.sampled_from([MIRA, SAM]), min_size=1))
def test_any_text_can_be_signed_and_read_back(text, signers):
    note = sign_note(text + "\n", *signers)
    assert Note.parse(note.encoded()) == note
    assert {k for k, _ in verified_lines(note, {s.verifier for s in signers})} == {
        s.verifier for s in signers
    }


def test_the_answer_of_a_witness_reads_as_lines():
    lines = (MIRA.sign(TEXT), SAM.sign(TEXT))
    assert parse_signature_lines("".join(map(str, lines))) == lines
    for text in ("", "\n", str(lines[0]).rstrip("\n")):
        with pytest.raises(MalformedError):
            parse_signature_lines(text)


@pytest.mark.parametrize("kind", [ED25519, COSIGNATURE])
def test_a_private_key_reads_back_and_does_not_show_itself(kind):
    signer = SignerKey.generate("ledger.example/a", kind)
    assert SignerKey.parse(signer.encoded()) == signer
    assert signer.encoded().startswith(f"PRIVATE+KEY+{signer.verifier.label}+")
    for shown in (repr(signer), str(signer)):
        assert "ledger.example/a" in shown
        assert repr(signer.seed) not in shown
        assert signer.seed.hex() not in shown
        assert base64.b64encode(signer.seed).decode() not in shown


def test_the_private_form_is_that_of_go():
    """From the documentation of golang.org/x/mod/sumdb/note."""
    signer = SignerKey.parse(
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
    )
    assert str(signer.verifier) == (
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    )


def test_a_broken_private_key_is_refused_without_being_quoted():
    whole = MIRA.encoded()
    secret = whole.split("+", 4)[4]
    for text in (
        whole.removeprefix("PRIVATE+"),
        whole.removeprefix("PRIVATE+KEY+"),
        whole.replace("mira", "sam"),
        whole[:-4],
        whole.replace("+AW", "+BW"),
        str(MIRA.verifier),
        secret,
        "",
        "PRIVATE+KEY+",
    ):
        with pytest.raises(MalformedError, match="not a private key") as failure:
            SignerKey.parse(text)
        assert secret not in str(failure.value)
        assert failure.value.__context__ is None


def test_a_signer_is_of_a_kind_that_signs_and_a_cosigner_signs_no_text():
    with pytest.raises(MalformedError, match="cannot sign with type 0x06"):
        SignerKey("a", ML_DSA_44, b"s" * 32)
    with pytest.raises(MalformedError, match="a seed has 32 bytes, got 31"):
        SignerKey("a", ED25519, b"s" * 31)
    with pytest.raises(MisconfiguredError, match="is for cosignatures") as failure:
        sign_note(TEXT, WITNESS)
    assert failure.value.name == "wrong_key_kind"


@pytest.mark.parametrize(
    ("kind", "public"),
    [
        (ED25519, b"k" * 32),
        (COSIGNATURE, b"k" * 32),
        (ECDSA, b"der"),
        (ML_DSA_44, b"k" * 1312),
        (OTHER, b"sshsig@breakglass.dev\nblob"),
    ],
)
def test_a_verifier_key_reads_back(kind, public):
    key = VerifierKey.of("ledger.example/a", kind, public)
    assert VerifierKey.parse(str(key)) == key
    assert str(key).startswith(f"ledger.example/a+{key.key_id.hex()}+")


def test_an_ecdsa_key_has_the_older_key_id():
    assert VerifierKey.of("sum.example", ECDSA, b"der").key_id == sha256(b"der").digest()[:4]


@pytest.mark.parametrize(
    ("name", "kind", "public"),
    [
        ("a", 0x05, b"k" * 32),
        ("a", 0xFA, b"k" * 32),
        ("a", ED25519, b"k" * 33),
        ("a", COSIGNATURE, b""),
        ("a", ML_DSA_44, b"k" * 1311),
        ("a", OTHER, b""),
        ("", ED25519, b"k" * 32),
        ("a b", ED25519, b"k" * 32),
        ("a+b", ED25519, b"k" * 32),
        ("a\n", ED25519, b"k" * 32),
        ("\ud800", ED25519, b"k" * 32),
    ],
)
def test_no_verifier_key_is_made_of_parts_that_do_not_fit(name, kind, public):
    with pytest.raises(MalformedError) as failure:
        VerifierKey.of(name, kind, public)
    assert failure.value.name in {"bad_key", "unknown_key_kind"}


@pytest.mark.parametrize(
    "bend",
    [
        lambda text: text.replace("mira", "sam"),
        lambda text: text.upper(),
        lambda text: text.replace("=", ""),
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text.replace("+", " "),
        lambda text: text.rpartition("+")[0],
        lambda text: text.rpartition("+")[0] + "+",
        lambda text: text[:-1] + ("B" if text[-1] == "A" else "A"),
    ],
)
def test_a_bent_verifier_key_is_refused(bend):
    text = str(MIRA.verifier)
    if bend(text) == text:
        return
    with pytest.raises(MalformedError):
        VerifierKey.parse(bend(text))


@pytest.mark.parametrize(
    ("kind", "public", "name"),
    [
        (ECDSA, b"der", "ecdsa_unsupported"),
        (ML_DSA_44, b"k" * 1312, "ml_dsa_unsupported"),
        (OTHER, b"k", "unsupported_key_kind"),
    ],
)
def test_a_kind_without_a_rule_is_refused_by_name(kind, public, name):
    with pytest.raises(UnprovenError, match="no rule to check signatures") as failure:
        check_signature(VerifierKey.of("a", kind, public), b"", b"")
    assert failure.value.name == name
