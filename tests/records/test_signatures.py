"""How people sign: checked against ssh-keygen in both directions, and forged."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import BreakglassError, MalformedError, UnprovenError
from breakglass.records.signing.passkey import Assertion, PasskeyKey, verify_assertion
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    STATEMENT_NAMESPACE,
    Factor,
    Signed,
    SignedByPasskey,
    check_keys,
    people_who_signed,
    person_line,
    verify_signature,
)
from breakglass.records.signing.sshsig import (
    ED25519,
    SK_ED25519,
    SshPublicKey,
    armored,
    dearmored,
    signed_data,
    sshsig_blob,
    verify_sshsig,
)
from breakglass.tlog.note import Note

from ..kit.people import (
    PRESENT,
    VERIFIED,
    SoftKey,
    SoftPasskey,
    SoftPerson,
    SoftSecurityKey,
    parse_soft_key,
)
from ..kit.soft_agent import SoftAgent

SOFT, HARD, PASS = SoftKey.of("p"), SoftSecurityKey.of("p"), SoftPasskey.of("p")
TEXT = "breakglass.dev/statement/v1\n{}\n"
L = 2**252 + 27742317777372353535851937790883648493


def _wire(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def keygen(*words: str, stdin: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        ["ssh-keygen", *words],
        input=stdin,
        text=True,
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})},
    )
    return done.stdout


@pytest.mark.parametrize("key", [SOFT, HARD, HARD.with_flags(PRESENT)])
@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_ssh_keygen_believes_what_our_software_people_sign(
    key: SoftPerson, hash_name: str, tmp_path: Path
) -> None:
    """(S-12)"""
    (tmp_path / "sig").write_text(armored(key.sshsig(TEXT, STATEMENT_NAMESPACE, hash_name)))
    (tmp_path / "who").write_text(f"p {key.public}\n")
    said = keygen(
        "-Y", "verify", "-f", str(tmp_path / "who"), "-I", "p", "-n", STATEMENT_NAMESPACE,
        "-s", str(tmp_path / "sig"), stdin=TEXT,
    )  # fmt: skip
    assert "Good" in said


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[SoftAgent]:
    with SoftAgent(tmp_path / "agent", [SOFT, HARD]) as running:
        yield running


@pytest.mark.parametrize("key", [SOFT, HARD])
@pytest.mark.parametrize("more", [[], ["-U"]])
def test_we_believe_what_ssh_keygen_signs_through_an_agent(
    key: SoftPerson, more: list[str], agent: SoftAgent, tmp_path: Path
) -> None:
    """(S-12) The way that the client signs."""
    public = tmp_path / "key.pub"
    public.write_text(key.public + "\n")
    signature = keygen(
        "-Y", "sign", *more, "-f", str(public), "-n", STATEMENT_NAMESPACE,
        stdin=TEXT, env={"SSH_AUTH_SOCK": str(agent.path)},
    )  # fmt: skip
    signed = Signed(TEXT, base64.b64encode(dearmored(signature)).decode())
    factor = verify_signature(signed, [key.public], STATEMENT_NAMESPACE)
    assert factor is (Factor.ONE if key is SOFT else Factor.PHISHING_RESISTANT)


def test_we_believe_what_ssh_keygen_signs_with_a_key_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(SOFT.private_file())
    path.chmod(0o600)
    signature = keygen("-Y", "sign", "-f", str(path), "-n", STATEMENT_NAMESPACE, stdin=TEXT)
    assert str(verify_sshsig(dearmored(signature), TEXT.encode(), STATEMENT_NAMESPACE).key) == (
        SOFT.public
    )
    assert parse_soft_key(path.read_bytes()) == SOFT


def test_the_agent_is_a_process_that_ends_when_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "soft").write_text(SOFT.encoded())
    (tmp_path / "hard").write_text(HARD.encoded())
    socket = tmp_path / "agent"
    words = [str(socket), str(tmp_path / "soft"), str(tmp_path / "hard")]
    process = subprocess.Popen(
        [sys.executable, "-m", "breakglass.demo.software_agent", "--die-with-parent", *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert socket.stat().st_mode & 0o077 == 0
        (tmp_path / "key.pub").write_text(HARD.public + "\n")
        keygen(
            "-Y", "sign", "-U", "-f", str(tmp_path / "key.pub"), "-n", "x@v1",
            stdin=TEXT, env={"SSH_AUTH_SOCK": str(socket)},
        )  # fmt: skip
    finally:
        process.terminate()
        assert process.wait(5) == 0
    assert not socket.exists()


def test_an_agent_without_the_key_signs_nothing(agent: SoftAgent) -> None:
    assert agent.answer(b"\x0d" + _wire(SoftKey.of("q").blob, b"x") + bytes(4)) == b"\x05"
    assert agent.answer(b"\x1b" + _wire(b"session-bind@openssh.com")) == b"\x05"
    agent.remove_all()
    assert agent.answer(b"\x0b") == b"\x0c" + bytes(4)


def test_soft_key_files_are_read_as_written_and_never_quoted() -> None:
    for key in (SOFT, HARD, SoftKey.generate(), SoftSecurityKey.generate(PRESENT)):
        assert parse_soft_key(key.encoded().encode()) == key
        assert base64.b64encode(key.seed).decode() not in repr(key)
    for bad in (
        b"",
        b"x y z",
        SOFT.encoded().encode()[:-8],
        b"-----BEGIN OPENSSH PRIVATE KEY-----",
    ):
        with pytest.raises(MalformedError):
            parse_soft_key(bad)


@pytest.mark.parametrize(
    ("flags", "factor"),
    [
        (PRESENT, Factor.TWO),
        (PRESENT | VERIFIED, Factor.PHISHING_RESISTANT),
        (PRESENT | VERIFIED | 0x80, Factor.PHISHING_RESISTANT),
    ],
)
def test_the_factor_follows_from_what_the_security_key_says(flags: int, factor: Factor) -> None:
    """(S-14)"""
    key = HARD.with_flags(flags)
    assert (
        verify_signature(key.sign(TEXT, STATEMENT_NAMESPACE), [key.public], STATEMENT_NAMESPACE)
        is factor
    )


@pytest.mark.parametrize("flags", [0, VERIFIED, 0x80])
def test_a_security_key_that_nobody_touched_is_refused(flags: int) -> None:
    """(S-13) ssh-keygen lets it pass; we do not."""
    with pytest.raises(UnprovenError) as caught:
        verify_sshsig(HARD.with_flags(flags).sshsig(TEXT, "x@v1"), TEXT.encode(), "x@v1")
    assert caught.value.name == "presence"


def test_factors_are_ordered() -> None:
    assert [a.meets(b) for a in Factor for b in Factor] == [
        True, False, False, True, True, False, True, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize("key", [SOFT, HARD])
def test_a_signature_is_for_one_namespace_and_one_text(key: SoftPerson) -> None:
    """(S-11)"""
    blob = key.sshsig(TEXT, STATEMENT_NAMESPACE)
    with pytest.raises(UnprovenError) as caught:
        verify_sshsig(blob, TEXT.encode(), CARD_NAMESPACE)
    assert caught.value.name == "namespace"
    with pytest.raises(UnprovenError) as caught:
        verify_sshsig(blob, TEXT.encode() + b" ", STATEMENT_NAMESPACE)
    assert caught.value.name == "signature"


@pytest.mark.parametrize("person", [SOFT, HARD, PASS])
def test_a_text_of_another_kind_counts_for_nothing_whatever_signed_it(
    person: SoftPerson | SoftPasskey,
) -> None:
    """(S-11) A passkey has no namespace; the text's first line is it."""
    signed = person.sign("breakglass.dev/card/v1\n{}\n", STATEMENT_NAMESPACE)
    with pytest.raises(UnprovenError) as caught:
        verify_signature(signed, [person.public], STATEMENT_NAMESPACE)
    assert caught.value.name == "namespace"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([SOFT, HARD]), st.data())
def test_no_byte_of_a_signature_is_free(key: SoftPerson, data: st.DataObject) -> None:
    blob = key.sshsig(TEXT, STATEMENT_NAMESPACE)
    at = data.draw(st.integers(0, len(blob) - 1))
    flip = data.draw(st.integers(1, 255))
    altered = blob[:at] + bytes([blob[at] ^ flip]) + blob[at + 1 :]
    signed = Signed(TEXT, base64.b64encode(altered).decode())
    with pytest.raises(BreakglassError):
        verify_signature(signed, [key.public], STATEMENT_NAMESPACE)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_reading_signatures_and_keys_raises_errors_of_ours_alone(data: bytes) -> None:
    for blob in (data, b"SSHSIG" + data, b"SSHSIG\0\0\0\1" + data):
        with pytest.raises(BreakglassError):
            verify_sshsig(blob, b"", "x")
    with pytest.raises(BreakglassError):
        SshPublicKey.from_blob(data)
    with pytest.raises(BreakglassError):
        dearmored(data.decode("latin-1"))
    with pytest.raises(BreakglassError):
        PasskeyKey.parse("passkey d " + base64.b64encode(data).decode())


def test_a_signature_with_s_beyond_the_order_is_refused() -> None:
    """(S-12) RFC 8032: else anybody could spell a signature a second time."""
    wire = SOFT.sign_wire(signed_data(TEXT.encode(), "x@v1"))
    s = int.from_bytes(wire[-32:], "little") + L
    other = wire[:-32] + s.to_bytes(32, "little")
    with pytest.raises(UnprovenError):
        verify_sshsig(sshsig_blob(SOFT.blob, "x@v1", "sha512", other), TEXT.encode(), "x@v1")


@pytest.mark.parametrize(
    "point",
    [
        bytes(32),
        b"\x01" + bytes(31),
        b"\x01" + bytes(30) + b"\x80",
        bytes.fromhex("ec" + "ff" * 30 + "7f"),
        bytes.fromhex("ed" + "ff" * 30 + "7f"),
        bytes.fromhex("ee" + "ff" * 30 + "7f"),
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
        bytes(31),
    ],
)
def test_a_key_that_signs_for_anybody_is_no_key(point: bytes) -> None:
    """(S-15) Points of small order, and second spellings of a point."""
    with pytest.raises(MalformedError):
        SshPublicKey.from_blob(_wire(ED25519.encode(), point))


def test_security_keys_are_made_for_ssh() -> None:
    """(S-15)"""
    point = bytes(HARD.blob)[-40:-8]
    for application in (b"", b"https://login.example", b"ssh:\n"):
        with pytest.raises(MalformedError, match="begins 'ssh:'"):
            SshPublicKey.from_blob(_wire(SK_ED25519.encode(), point, application))
    assert SshPublicKey.from_blob(_wire(SK_ED25519.encode(), point, b"ssh:work")).hardware


def test_one_point_is_one_key_whatever_line_it_stands_on() -> None:
    """(C-9) The same key as two types, or with two applications, is one person's."""
    point = SshPublicKey.parse(HARD.public).point
    soft = str(SshPublicKey.from_blob(_wire(ED25519.encode(), point)))
    other = str(SshPublicKey.from_blob(_wire(SK_ED25519.encode(), point, b"ssh:2")))
    for second in (soft, other, HARD.public):
        with pytest.raises(MalformedError) as caught:
            check_keys({"mira": (HARD.public,), "sam": (second,)}, "card")
        assert caught.value.name == "shared_key"
    check_keys({"mira": (HARD.public, SOFT.public), "sam": (PASS.public,)}, "card")


def test_a_key_has_one_spelling() -> None:
    """(S-15) A security key's base64 leaves bits unused; a second spelling is refused."""
    assert HARD.public.endswith("=")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = HARD.public[-2]
    with pytest.raises(MalformedError):
        SshPublicKey.parse(HARD.public[:-2] + letters[letters.index(last) + 1] + "=")


def test_a_reserved_field_is_refused_as_ssh_keygen_does() -> None:
    message = signed_data(TEXT.encode(), "x@v1").replace(_wire(b"x@v1", b""), _wire(b"x@v1", b"r"))
    parts = _wire(SOFT.blob, b"x@v1", b"r", b"sha512", SOFT.sign_wire(message))
    with pytest.raises(MalformedError, match="reserved"):
        verify_sshsig(b"SSHSIG" + struct.pack(">I", 1) + parts, TEXT.encode(), "x@v1")


def _assert_passkey(assertion: Assertion, name: str, key: SoftPasskey = PASS) -> None:
    with pytest.raises(BreakglassError) as caught:
        verify_assertion(assertion, TEXT.encode(), PasskeyKey.parse(key.public))
    assert caught.value.name == name


def test_a_passkey_signs_one_text_for_one_domain_with_its_user_verified() -> None:
    """(S-16)"""
    good = PASS.sign(TEXT)
    assert verify_signature(good, [SOFT.public, PASS.public], STATEMENT_NAMESPACE) is (
        Factor.PHISHING_RESISTANT
    )
    challenge = hashlib.sha256(TEXT.encode()).digest()
    _assert_passkey(PASS.assertion(hashlib.sha256(b"other").digest()), "signature")
    _assert_passkey(PASS.assertion(challenge, "webauthn.create"), "signature")
    _assert_passkey(PASS.with_flags(PRESENT).sign(TEXT).passkey, "presence")
    _assert_passkey(PASS.with_flags(VERIFIED).sign(TEXT).passkey, "presence")
    _assert_passkey(replace(PASS, relying_party="phish.example").sign(TEXT).passkey, "namespace")
    _assert_passkey(SoftPasskey.of("q").sign(TEXT).passkey, "signature")
    for data in (b"", b"[]", b"{}", b"\xff", b'"x"', b"[" * 5000):
        _assert_passkey(PASS.assertion_of(data), "bad_passkey")
    short = replace(good.passkey, authenticator_data="QUJD")
    _assert_passkey(short, "bad_passkey")
    _assert_passkey(replace(good.passkey, signature="QUJD"), "signature")
    with pytest.raises(UnprovenError) as caught:
        verify_signature(good, [SOFT.public], STATEMENT_NAMESPACE)
    assert caught.value.name == "foreign_key"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["authenticator_data", "client_data"]), st.data())
def test_no_byte_of_a_passkeys_answer_is_free(part: str, data: st.DataObject) -> None:
    good = PASS.sign(TEXT)
    raw = base64.b64decode(getattr(good.passkey, part))
    at = data.draw(st.integers(0, len(raw) - 1))
    altered = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    changed = replace(good.passkey, **{part: base64.b64encode(altered).decode()})
    with pytest.raises(BreakglassError):
        verify_signature(SignedByPasskey(TEXT, changed), [PASS.public], STATEMENT_NAMESPACE)


def test_people_sign_notes_by_lines_and_count_once() -> None:
    """(C-4) (R-20) Lines of strangers are passed over; one key under two names is one person."""
    text = "breakglass.dev/card/v1\n{}\n"
    people = {"ana": (SOFT.public,), "ben": (HARD.public,), "cal": (SOFT.public,)}

    def line(name: str, key: SoftPerson, namespace: str = CARD_NAMESPACE):  # type: ignore[no-untyped-def]
        return person_line(name, key.sshsig(text, namespace))

    def signed(*lines):  # type: ignore[no-untyped-def]
        return people_who_signed(Note(text, lines), people, CARD_NAMESPACE)

    both = signed(line("ana", SOFT), line("ben", HARD), line("zoe", SoftKey.of("z")))
    assert both == {"ana": Factor.ONE, "ben": Factor.PHISHING_RESISTANT}
    assert set(signed(line("ana", SOFT), line("cal", SOFT))) == {"ana"}
    assert signed(line("ben", SOFT)) == {}
    for bad in (line("ana", SOFT, STATEMENT_NAMESPACE), line("ben", HARD.with_flags(0))):
        with pytest.raises(UnprovenError):
            signed(line("ana", SOFT), bad)
