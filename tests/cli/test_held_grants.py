"""What a responder holds: one key a grant, and a credential that only it opens."""

from __future__ import annotations

import base64
import json

import pyrage
import pytest

from breakglass.cli import held_grants
from breakglass.errors import MalformedError, MisconfiguredError, UnavailableError
from breakglass.person import ssh_keygen
from breakglass.records.presentation import parse_presentation
from breakglass.records.signing.sshsig import verify_sshsig
from tests.embedded.isolated import Person

GRANT = "g-7kq3m2x4p5ab"


@pytest.fixture
def held(tmp_path):
    folder, _ = held_grants.begin(tmp_path)
    return held_grants.settle(folder, GRANT, {"text": "a statement\n", "sshsig": "x"})


def sealed_to(public: str, value: bytes) -> str:
    return base64.b64encode(pyrage.encrypt(value, [pyrage.ssh.Recipient.from_str(public)])).decode()


def test_the_holder_key_opens_what_was_sealed_to_it(held):
    public = ssh_keygen.read_key(held.folder / "holder").public
    secret = {"user": "bg_x", "password": "secret words"}
    assert held.unseal(sealed_to(public, json.dumps(secret).encode())) == secret


def test_what_was_sealed_to_another_or_is_no_credential_is_refused_without_quoting_it(
    held, tmp_path
):
    other, public = held_grants.begin(tmp_path)
    mine = ssh_keygen.read_key(held.folder / "holder").public
    for sealed in (sealed_to(public, b"{}"), sealed_to(mine, b"secret words"), "!!"):
        with pytest.raises(UnavailableError, match="does not open with its holder key") as caught:
            held.unseal(sealed)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
    held_grants.abandon(other)
    assert not other.exists()


def test_a_presentation_is_signed_by_the_holder_key_for_one_door_and_run(held):
    shown = held.present("shop.example/ledger", "gate:deploy-approval", "812")
    said = parse_presentation(shown["text"])
    assert (said.to, said.run) == ("gate:deploy-approval", "812")
    found = verify_sshsig(
        base64.b64decode(shown["sshsig"]), shown["text"].encode(), "breakglass-token@v1"
    )
    assert str(found.key) == ssh_keygen.read_key(held.folder / "holder").public


def test_only_grants_that_are_here_are_held(held, tmp_path):
    assert [each.grant for each in held_grants.all_held(tmp_path)] == [GRANT]
    for name in ("g-aaaaaaaaaaaa", "g-/../g-7kq3m2x4p5ab"):
        with pytest.raises(MisconfiguredError, match="is not on this machine"):
            held_grants.held(tmp_path, name)
    for name in ("../grants/g-7kq3m2x4p5ab", ".new-1", ""):
        with pytest.raises(MalformedError, match="is not a grant"):
            held_grants.held(tmp_path, name)


def test_no_token_is_signed_for_an_empty_run(tmp_path):
    """What ``--for "$RUN"`` is where nobody has set it."""
    words = ("breakglass", "gate", "token", GRANT, "--gate", "deploy-freeze", "--for", "")
    said = Person.at(tmp_path).types(*words)
    assert (said.code, said.out) == (2, "")
    assert "say which run it may open: --for RUN; it is empty" in said.err
    assert "is the variable set that names this run" in said.err
