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
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.key_types import ED25519, P256, SK_ED25519, SK_P256
from breakglass.records.signing.p256_signature import ORDER, P256Signature
from breakglass.records.signing.passkey import Assertion, PasskeyKey, PasskeySignature
from breakglass.records.signing.person_key import check_keys, key_identity
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    STATEMENT_NAMESPACE,
    Factor,
    Signed,
    SignedByPasskey,
    people_who_signed,
    person_line,
    verify_signature,
)
from breakglass.records.signing.ssh_wire import Reader, mpint
from breakglass.records.signing.sshsig import SshPublicKey, SshSignature, verify_sshsig
from breakglass.records.signing.sshsig_form import (
    SshsigParts,
    armored,
    dearmored,
    low_s,
    signed_data,
)
from breakglass.records.trust import accept_trust
from breakglass.tlog.note import Note

from ..kit.organisation import Organisation
from ..kit.people import (
    BACKUP_ELIGIBLE,
    PRESENT,
    VERIFIED,
    SoftKey,
    SoftP256Key,
    SoftP256SecurityKey,
    SoftPasskey,
    SoftPerson,
    SoftSecurityKey,
    parse_soft_key,
)
from ..kit.soft_agent import SoftAgent

SOFT, HARD, PASS = SoftKey.of("p"), SoftSecurityKey.of("p"), SoftPasskey.of("p")
SOFT_P256, HARD_P256 = SoftP256Key.of("p"), SoftP256SecurityKey.of("p")
ALL = [SOFT, HARD, SOFT_P256, HARD_P256]
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


@pytest.mark.parametrize("key", [*ALL, HARD.with_flags(PRESENT), HARD_P256.with_flags(PRESENT)])
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
    with SoftAgent(tmp_path / "agent", ALL) as running:
        yield running


@pytest.mark.parametrize("key", ALL)
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
    signed = Signed(TEXT, base64.b64encode(low_s(dearmored(signature))).decode())
    factor = verify_signature(signed, [key.public], STATEMENT_NAMESPACE)
    assert factor is (Factor.ONE if isinstance(key, SoftKey) else Factor.PHISHING_RESISTANT)


@pytest.mark.parametrize("key", [SOFT, SOFT_P256])
def test_we_believe_what_ssh_keygen_signs_with_a_key_file(key: SoftKey, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(key.private_file())
    path.chmod(0o600)
    signature = keygen("-Y", "sign", "-f", str(path), "-n", STATEMENT_NAMESPACE, stdin=TEXT)
    blob = low_s(dearmored(signature))
    assert str(verify_sshsig(blob, TEXT.encode(), STATEMENT_NAMESPACE).key) == key.public
    assert parse_soft_key(path.read_bytes()) == key


def test_the_agent_is_a_process_that_ends_when_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "soft").write_text(SOFT.encoded())
    (tmp_path / "hard").write_text(HARD.encoded())
    socket = tmp_path / "agent"
    words = [str(socket), str(tmp_path / "soft"), str(tmp_path / "hard")]
    mine = ("--die-with-parent", str(os.getpid()))
    process = subprocess.Popen(
        [sys.executable, "-m", "breakglass.demo.software_agent", *mine, *words],
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
    made = (SoftKey, SoftP256Key, SoftSecurityKey, SoftP256SecurityKey)
    for key in (*ALL, HARD_P256.with_flags(PRESENT), *(kind.generate() for kind in made)):
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
@pytest.mark.parametrize("kind", [HARD, HARD_P256])
def test_the_factor_follows_from_what_the_security_key_says(
    kind: SoftSecurityKey, flags: int, factor: Factor
) -> None:
    """(S-14)"""
    key = kind.with_flags(flags)
    assert (
        verify_signature(key.sign(TEXT, STATEMENT_NAMESPACE), [key.public], STATEMENT_NAMESPACE)
        is factor
    )


@pytest.mark.parametrize("flags", [0, VERIFIED, 0x80])
@pytest.mark.parametrize("key", [HARD, HARD_P256])
def test_a_security_key_that_nobody_touched_is_refused(key: SoftSecurityKey, flags: int) -> None:
    """(S-13) ssh-keygen lets it pass; we do not."""
    with pytest.raises(UnprovenError) as caught:
        verify_sshsig(key.with_flags(flags).sshsig(TEXT, "x@v1"), TEXT.encode(), "x@v1")
    assert caught.value.name == "presence"


def test_factors_are_ordered() -> None:
    assert [a.meets(b) for a in Factor for b in Factor] == [
        True, False, False, True, True, False, True, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize("key", ALL)
def test_a_signature_is_for_one_namespace_and_one_text(key: SoftPerson) -> None:
    """(S-11)"""
    blob = key.sshsig(TEXT, STATEMENT_NAMESPACE)
    with pytest.raises(UnprovenError) as caught:
        verify_sshsig(blob, TEXT.encode(), CARD_NAMESPACE)
    assert caught.value.name == "namespace"
    with pytest.raises(UnprovenError) as caught:
        verify_sshsig(blob, TEXT.encode() + b" ", STATEMENT_NAMESPACE)
    assert caught.value.name == "signature"


@pytest.mark.parametrize("person", [*ALL, PASS])
def test_a_text_of_another_kind_counts_for_nothing_whatever_signed_it(
    person: SoftPerson | SoftPasskey,
) -> None:
    """(S-11) A passkey has no namespace; the text's first line is it."""
    signed = person.sign("breakglass.dev/card/v1\n{}\n", STATEMENT_NAMESPACE)
    with pytest.raises(UnprovenError) as caught:
        verify_signature(signed, [person.public], STATEMENT_NAMESPACE)
    assert caught.value.name == "namespace"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ALL), st.data())
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
        PasskeyKey.parse("passkey d.example " + base64.b64encode(data).decode())


def test_a_signature_with_s_beyond_the_order_is_refused() -> None:
    """(S-12) RFC 8032: else anybody could spell a signature a second time."""
    wire = SOFT.sign_wire(signed_data(TEXT.encode(), "x@v1"))
    s = int.from_bytes(wire[-32:], "little") + L
    other = wire[:-32] + s.to_bytes(32, "little")
    with pytest.raises(UnprovenError):
        verify_sshsig(
            SshsigParts(SOFT.blob, b"x@v1", "sha512", other).encoded(), TEXT.encode(), "x@v1"
        )


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
        PasskeySignature.parse(assertion).verify(TEXT.encode(), PasskeyKey.parse(key.public))
    assert caught.value.name == name


def test_a_passkey_signs_one_text_on_one_host_with_its_user_verified() -> None:
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
    for data in (b"", b"[]", b"{}", b"\xff", b'"x"', b"[" * 1000):
        _assert_passkey(PASS.assertion_of(data), "signature")
    _assert_passkey(PASS.assertion_of(b" " * 1025), "bad_passkey")
    _assert_passkey(replace(good.passkey, authenticator_data="QUJD"), "bad_passkey")
    _assert_passkey(replace(good.passkey, signature="QUJD"), "bad_passkey")
    for keys in ([SOFT.public], []):
        with pytest.raises(UnprovenError) as caught:
            verify_signature(good, keys, STATEMENT_NAMESPACE)
        assert caught.value.name == "foreign_key"


def test_a_passkey_that_lives_in_a_cloud_account_is_two_factors() -> None:
    """(S-14) One that says it is backed up and cannot be says nothing that we read."""
    kept = PASS.with_flags(PRESENT | VERIFIED | BACKUP_ELIGIBLE)
    for flags in (kept.flags, kept.flags | 0x10):
        signed = kept.with_flags(flags).sign(TEXT)
        assert verify_signature(signed, [PASS.public], STATEMENT_NAMESPACE) is Factor.TWO
    _assert_passkey(PASS.with_flags(PRESENT | VERIFIED | 0x10).sign(TEXT).passkey, "bad_passkey")


def test_the_right_one_of_several_passkeys_is_found() -> None:
    """(S-16)"""
    keys = [SoftPasskey.of("q").public, replace(PASS, port=8443).public, PASS.public]
    for several in (keys, keys[::-1]):
        assert verify_signature(PASS.sign(TEXT), several, STATEMENT_NAMESPACE)


@pytest.mark.parametrize(
    "host",
    [
        "", "Breakglass.example", "breakglass.example.", ".example", "a..b", "-a.example", "a_b",
        "breakglass.example:443", "breakglass.example:0", "breakglass.example:08443",
        "breakglass.example:65536", "breakglass.example:", "127.0.0.1", "[::1]", "a" * 64,
        "https://breakglass.example", ".".join(["abc"] * 64),
    ],
)  # fmt: skip
def test_a_passkeys_host_has_one_spelling(host: str) -> None:
    """(S-16)"""
    der = PASS.public.split()[2]
    with pytest.raises(MalformedError) as caught:
        PasskeyKey.parse(f"passkey {host} {der}")
    assert caught.value.name == "bad_passkey"


@pytest.mark.parametrize("host", ["localhost", "sign.shop.example", "xn--bcher-kva.example:8443"])
def test_a_passkeys_line_is_written_as_it_was_read(host: str) -> None:
    """(S-16)"""
    line = f"passkey {host} {PASS.public.split()[2]}"
    assert str(PasskeyKey.parse(line)) == line


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["authenticator_data", "client_data", "signature"]), st.data())
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


# --- P-256 ----------------------------------------------------------------------------------------


def _numbers(key: SoftPerson) -> tuple[int, int]:
    """Return what the key, asked as an agent is, makes of the text in the first namespace."""
    reader = Reader(key.sign_wire(signed_data(TEXT.encode(), "x@v1")), "made", "made")
    reader.string()
    numbers = Reader(reader.string(), "made", "made")
    return numbers.mpint(), numbers.mpint()


def _sshsig(key: SoftPerson, numbers: bytes) -> bytes:
    made = key.sign_wire(signed_data(TEXT.encode(), "x@v1"))
    reader = Reader(made, "made", "made")
    front = _wire(reader.string())
    behind = made[len(front) + 4 + len(reader.string()) :]
    return SshsigParts(key.blob, b"x@v1", "sha512", front + _wire(numbers) + behind).encoded()


@pytest.mark.parametrize("key", [SOFT_P256, HARD_P256])
def test_a_p256_signature_has_one_spelling(key: SoftPerson) -> None:
    """(S-12) Either half holds as mathematics; the low one is taken, as minimal integers."""
    r, s = _numbers(key)
    low = min(s, ORDER - s)
    verify_sshsig(_sshsig(key, mpint(r) + mpint(low)), TEXT.encode(), "x@v1")
    padded = _wire(b"\0" + low.to_bytes(32, "big"))
    assert low.to_bytes(32, "big")[0] < 0x80
    for numbers in (
        mpint(r) + mpint(ORDER - low), mpint(r + ORDER) + mpint(low), mpint(ORDER) + mpint(low),
        mpint(0) + mpint(low), mpint(r) + mpint(0), mpint(r) + padded,
        mpint(r) + mpint(low) + b"\0", mpint(r), b"", _wire(b"\xff") + mpint(low),
        _wire(b"\0") + mpint(low), mpint(r) + mpint(ORDER),
    ):  # fmt: skip
        with pytest.raises(MalformedError) as caught:
            verify_sshsig(_sshsig(key, numbers), TEXT.encode(), "x@v1")
        assert caught.value.name == "bad_sshsig"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=20), st.sampled_from([SoftP256Key, SoftP256SecurityKey]))
def test_the_client_writes_either_half_as_the_low_one(seed: bytes, kind: type[SoftKey]) -> None:
    """(S-12)"""
    key = kind.of(seed.hex())
    r, s = _numbers(key)
    for numbers in (mpint(r) + mpint(s), mpint(r) + mpint(ORDER - s)):
        blob = low_s(_sshsig(key, numbers))
        signature = verify_sshsig(blob, TEXT.encode(), "x@v1")
        assert signature.value == P256Signature(r, min(s, ORDER - s))
        assert low_s(blob) == blob


def test_low_s_leaves_other_keys_alone_and_takes_signatures_only() -> None:
    """(S-12)"""
    for key in (SOFT, HARD):
        blob = key.sshsig(TEXT, "x@v1")
        assert low_s(blob) == blob
    with pytest.raises(MalformedError):
        low_s(b"SSHSIG")


_Q = bytes(SOFT_P256.blob)[-65:]
_OFF = _Q[:-1] + bytes([_Q[-1] ^ 1])


@pytest.mark.parametrize(
    "parts",
    [
        (b"nistp256", b"\0"),  # the point at infinity
        (b"nistp256", b"\x04" + bytes(64)),
        (b"nistp256", bytes([2 + _Q[-1] % 2]) + _Q[1:33]),  # compressed
        (b"nistp256", bytes([6 + _Q[-1] % 2]) + _Q[1:]),  # hybrid
        (b"nistp256", _OFF),
        (b"nistp256", _Q + b"\0"),
        (b"nistp384", _Q),
        (b"", _Q),
    ],
)
def test_a_p256_key_is_one_uncompressed_point_of_its_curve(parts: tuple[bytes, bytes]) -> None:
    """(S-15)"""
    for kind, more in ((P256, ()), (SK_P256, (b"ssh:",))):
        with pytest.raises(MalformedError) as caught:
            SshPublicKey.from_blob(_wire(kind.encode(), *parts, *more))
        assert caught.value.name == "bad_ssh_key"


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("ssh-rsa", "an RSA key"),
        ("ssh-dss", "a DSA key"),
        ("ecdsa-sha2-nistp384", "a P-384 key"),
        ("ecdsa-sha2-nistp521", "a P-521 key"),
        ("ecdsa-sha2-nistp256-cert-v01@openssh.com", "a certificate"),
        ("ssh-ed25519-cert-v01@openssh.com", "a certificate"),
        ("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "a web page's signature"),
        ("ssh-other", "a key of an unknown type"),
    ],
)
def test_other_key_types_are_refused_by_name_with_what_to_generate(kind: str, what: str) -> None:
    """(S-15)"""
    for read in (
        lambda: SshPublicKey.from_blob(_wire(kind.encode(), b"x")),
        lambda: SshPublicKey.parse(f"{kind} AAAA"),
    ):
        with pytest.raises(MalformedError) as caught:
            read()
        assert caught.value.name == "bad_ssh_key"
        assert str(caught.value).startswith(f"{kind!r} is {what}")
        assert "generate: ssh-keygen -t ed25519-sk  (or -t ed25519, -t ecdsa)" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_signatures_type_is_its_keys() -> None:
    """(S-12) Also where both types are of one curve."""
    wire = SOFT_P256.sign_wire(signed_data(TEXT.encode(), "x@v1"))
    for kind in (SK_P256, "webauthn-sk-ecdsa-sha2-nistp256@openssh.com", ED25519):
        other = _wire(kind.encode()) + wire[4 + len(P256) :]
        blob = SshsigParts(SOFT_P256.blob, b"x@v1", "sha512", other).encoded()
        with pytest.raises(MalformedError, match="by a key of type"):
            SshSignature.parse(blob)


def test_one_point_of_p256_is_one_key_whatever_wraps_it() -> None:
    """(C-9) mira's passkey may not be sam's SSH key."""
    point = PASS.key.point
    ssh = str(SshPublicKey.from_blob(_wire(P256.encode(), b"nistp256", point)))
    hardware = str(SshPublicKey.from_blob(_wire(SK_P256.encode(), b"nistp256", point, b"ssh:x")))
    other = replace(PASS, relying_party="other.example", port=8443).public
    for second in (ssh, hardware, other):
        assert key_identity(second) == key_identity(PASS.public) == point
        with pytest.raises(MalformedError) as caught:
            check_keys({"mira": (PASS.public,), "sam": (second,)}, "card")
        assert caught.value.name == "shared_key"


def test_form_then_key_then_purpose_then_signature_then_touch() -> None:
    """(S-13) What is wrong in two ways is refused by the first name."""
    people = [HARD_P256.public]

    def name(blob: bytes, text: str = TEXT) -> str:
        with pytest.raises(BreakglassError) as caught:
            verify_signature(
                Signed(text, base64.b64encode(blob).decode()), people, STATEMENT_NAMESPACE
            )
        return caught.value.name

    stranger = _sshsig(SOFT_P256, mpint(0) + mpint(1))
    assert name(stranger, "other\n") == "namespace"  # the text's first line, before all
    assert name(stranger) == "bad_sshsig"
    assert name(SOFT_P256.sshsig(TEXT, "x@v1")) == "foreign_key"
    untouched = HARD_P256.with_flags(0)
    assert name(untouched.sshsig(TEXT + " ", "x@v1")) == "namespace"
    assert name(untouched.sshsig(TEXT + " ", STATEMENT_NAMESPACE)) == "signature"
    assert name(untouched.sshsig(TEXT, STATEMENT_NAMESPACE)) == "presence"


def test_a_name_counts_once_however_often_and_by_whichever_key_it_signs() -> None:
    """(R-20) A line twice, or by a second key, adds nothing; but each has to hold."""
    text = "breakglass.dev/card/v1\n{}\n"
    people = {"ana": (SOFT.public, HARD_P256.public), "ben": (SOFT_P256.public,)}
    lines = [person_line("ana", key.sshsig(text, CARD_NAMESPACE)) for key in (SOFT, HARD_P256)]
    ben = person_line("ben", SOFT_P256.sshsig(text, CARD_NAMESPACE))
    for several in ([*lines, ben], [ben, *lines[::-1], *lines], [lines[1], lines[1], ben]):
        found = people_who_signed(Note(text, tuple(several)), people, CARD_NAMESPACE)
        assert found == {"ana": Factor.PHISHING_RESISTANT, "ben": Factor.ONE}
    wrong = replace(lines[1], signature=HARD_P256.sshsig(text, STATEMENT_NAMESPACE))
    with pytest.raises(UnprovenError):
        people_who_signed(Note(text, (lines[0], wrong)), people, CARD_NAMESPACE)


def _respelt(note: bytes) -> bytes:
    """Set a low bit that the base64 of the last line leaves unused."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    text = note.decode().rstrip("\n")
    end = len(text.rstrip("="))
    assert end < len(text)
    last = letters[letters.index(text[end - 1]) + 1]
    return (text[: end - 1] + last + text[end:] + "\n").encode()


def test_a_line_in_a_second_spelling_spoils_a_note_of_ours() -> None:
    """(R-20) (D-1) Else a carrier could give one text a second leaf, and take its number first."""
    org = Organisation()
    org.begin()
    for note in (org.trust_note(), org.card_note(), org.log.notes[-1]):
        altered = _respelt(note)
        assert Note.parse(altered).encoded() == altered
        with pytest.raises(MalformedError, match="second spelling"):
            Note.parse(altered).check_spelling()
    with pytest.raises(MalformedError, match="second spelling"):
        accept_trust(Note.parse(_respelt(org.trust_note())), None)
    with pytest.raises(MalformedError, match="second spelling"):
        parse_record(_respelt(org.log.notes[-1]))
