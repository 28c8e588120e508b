"""A credential is sealed to a holder's Ed25519 key, and to nothing else that people sign with."""

from __future__ import annotations

import json
import subprocess

import pyrage
import pytest

from breakglass.errors import MalformedError
from breakglass.minter.credential_sealing import seal
from tests.kit.people import SoftKey, SoftP256Key, SoftP256SecurityKey, SoftPasskey, SoftSecurityKey


def test_the_holder_alone_opens_what_was_sealed():
    holder = SoftKey.of("mira")
    identity = pyrage.ssh.Identity.from_buffer(holder.private_file())
    sealed = seal({"user": "bg_x", "port": 5432}, holder.public)
    assert json.loads(pyrage.decrypt(sealed, [identity])) == {"user": "bg_x", "port": 5432}


@pytest.mark.parametrize("kind", [SoftP256Key, SoftSecurityKey, SoftP256SecurityKey, SoftPasskey])
def test_keys_that_age_cannot_encrypt_to_are_refused_in_one_line_by_their_type(kind):
    public = kind.of("mira").public
    with pytest.raises(MalformedError, match="nothing can be sealed to a key of type") as caught:
        seal({"password": "secret words"}, public)
    assert caught.value.name == "holder_key"
    assert repr(public.split()[0]) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_rsa_key_is_refused_although_age_would_take_it(tmp_path):
    path = tmp_path / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", path], check=True)
    public = path.with_suffix(".pub").read_text()
    assert pyrage.ssh.Recipient.from_str(public)
    with pytest.raises(MalformedError, match="a key of type 'ssh-rsa'; a holder key is"):
        seal({"password": "secret words"}, public)


def test_a_holder_key_that_is_broken_is_refused_without_the_secret():
    with pytest.raises(MalformedError, match="nothing can be sealed to it") as caught:
        seal({"password": "secret words"}, "ssh-ed25519 AAAA")
    assert "secret words" not in str(caught.value)
