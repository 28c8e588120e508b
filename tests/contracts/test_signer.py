"""Every signer keeps the contract of ``Signer``: in memory, from each keeping, and far away."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import pytest

from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.process.key_store import KeyStore, read_key
from breakglass.tlog.checkpoint import Checkpoint, check_log_signature, sign_checkpoint
from breakglass.tlog.cosignature import cosign, verify_cosignature
from breakglass.tlog.hashing import EMPTY_ROOT
from breakglass.tlog.key import check_signature
from breakglass.tlog.note import (
    COSIGNATURE,
    ED25519,
    SignatureLine,
    Signer,
    SignerKey,
    VerifierKey,
    sign_note,
    verified_lines,
)

NAME = "ledger.example/one"
TEXT = "a text\n"
_FAR = """
import sys
from breakglass.tlog.signer import SignerKey
key = SignerKey.parse(sys.stdin.readline().strip())
for line in sys.stdin:
    print(key.sign_bytes(bytes.fromhex(line.strip())).hex(), flush=True)
"""


@dataclass
class FarSigner:
    """A key in another process, as a KMS would hold it: this one never sees the seed."""

    verifier: VerifierKey
    process: subprocess.Popen[str]
    lock: Lock

    @property
    def name(self) -> str:
        return self.verifier.name

    @property
    def kind(self) -> int:
        return self.verifier.kind

    def sign(self, text: str) -> SignatureLine:
        if self.kind != ED25519:
            raise MisconfiguredError("for cosignatures", name="wrong_key_kind")
        return SignatureLine(self.name, self.verifier.key_id, self.sign_bytes(text.encode()))

    def sign_bytes(self, message: bytes) -> bytes:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.lock:
            self.process.stdin.write(message.hex() + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        if not answer:
            raise UnavailableError(f"the keeper of {self.verifier.label!r} is gone")
        return bytes.fromhex(answer)


Kept = Callable[[SignerKey], Signer]


@pytest.fixture(params=["memory", "file", "sealed", "credential", "far"])
def kept(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kept]:
    credentials, folder = tmp_path / "credentials", tmp_path / "room"
    credentials.mkdir()
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    started: list[subprocess.Popen[str]] = []

    def keep(key: SignerKey) -> Signer:
        if request.param == "memory":
            return key
        if request.param == "far":
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", _FAR],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            assert started[0].stdin is not None
            started[0].stdin.write(key.encoded() + "\n")
            return FarSigner(key.verifier, started[0], Lock())
        name = {"file": "file", "sealed": "sealed:secret", "credential": "credential:secret"}
        keeping = KeyStore.parse(folder, name[request.param])
        (folder / "settings.toml").write_text(f'key = "{keeping}"\n')
        secret = key.encoded() if request.param == "credential" else "correct horse\n"
        (credentials / "secret").write_text(secret)
        (credentials / "secret").chmod(0o400)
        if request.param != "credential":
            keeping.write("key", key, b"correct horse")
        return read_key(folder)

    yield keep
    for each in started:
        each.kill()
        each.communicate()


@pytest.mark.parametrize("kind", [ED25519, COSIGNATURE], ids=["log", "cosigner"])
def test_its_name_kind_and_public_half_are_the_keys_own(kept, kind):
    key = SignerKey.generate(NAME, kind)
    signer = kept(key)
    assert (signer.name, signer.kind, signer.verifier) == (NAME, kind, key.verifier)


def test_what_it_signs_holds_under_its_public_half_and_again(kept):
    signer = kept(SignerKey.generate(NAME))
    for _ in range(2):
        check_signature(signer.verifier, b"\x00\xff", signer.sign_bytes(b"\x00\xff"))
        assert len(signer.sign_bytes(b"\x00\xff")) == 64
    ((found, _),) = verified_lines(sign_note(TEXT, signer), [signer.verifier])
    assert found == signer.verifier


def test_a_log_signs_heads_with_it(kept):
    signer = kept(SignerKey.generate(NAME))
    head = Checkpoint(NAME, 0, EMPTY_ROOT)
    check_log_signature(head, sign_checkpoint(head, signer), [signer.verifier])


def test_a_cosigner_cosigns_with_it_and_signs_no_bare_text(kept):
    signer = kept(SignerKey.generate("witness.example", COSIGNATURE))
    now = datetime(2026, 6, 22, 3, 14, tzinfo=UTC)
    assert verify_cosignature(TEXT, cosign(TEXT, signer, now), signer.verifier) == now
    with pytest.raises(MisconfiguredError) as failure:
        signer.sign(TEXT)
    assert failure.value.name == "wrong_key_kind"


def test_many_threads_sign_at_once(kept):
    signer = kept(SignerKey.generate(NAME))
    messages = [f"text {n}\n".encode() for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for message, signature in zip(messages, pool.map(signer.sign_bytes, messages), strict=True):
            check_signature(signer.verifier, message, signature)


def test_it_never_shows_its_secret(kept):
    key = SignerKey.generate(NAME)
    signer = kept(key)
    said = repr(signer) + str(signer)
    for secret in (base64.b64encode(key.seed).decode()[:20], key.seed.hex(), repr(key.seed)[2:20]):
        assert secret not in said
