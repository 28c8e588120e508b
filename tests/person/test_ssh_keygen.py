"""How people sign from this machine: by ``ssh-keygen``, with a file or an agent, or not at all."""

from __future__ import annotations

import base64
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from breakglass.demo.software_agent import SoftAgent
from breakglass.demo.software_keys import SoftKey, SoftP256SecurityKey, SoftSecurityKey
from breakglass.errors import (
    MalformedError,
    MisconfiguredError,
    UnavailableError,
    UnprovenError,
)
from breakglass.operate.maintainer_signing import Maintainer, read_signed, sign_policy, sign_text
from breakglass.operate.new_gate import make_gate
from breakglass.person import ssh_keygen
from breakglass.policy.starter import starter_bundle
from breakglass.records.signing.signature import TRUST_NAMESPACE
from breakglass.records.signing.sshsig import verify_sshsig
from breakglass.records.trust import Trust, accept_trust, parse_trust
from breakglass.records.trust_lines import next_text, with_submitter

from ..embedded.isolated import Person, real_agent

NOW = datetime(2026, 6, 22, 3, 14, 9, tzinfo=UTC)
NAMESPACE = "breakglass-statement@v1"


def key_file(path: Path, key: SoftKey) -> ssh_keygen.PersonalKey:
    path.write_bytes(key.private_file())
    path.chmod(0o600)
    path.with_name(path.name + ".pub").write_text(f"{key.public}\n")
    return ssh_keygen.read_key(path)


def test_a_key_file_signs_what_our_own_verifier_accepts(tmp_path):
    key = SoftKey.of("mira")
    signed = ssh_keygen.sign("text\n", NAMESPACE, key_file(tmp_path / "mira", key))
    found = verify_sshsig(base64.b64decode(signed), b"text\n", NAMESPACE)
    assert str(found.key) == key.public


def test_a_security_key_in_the_agent_signs_and_the_person_is_told_to_touch_it(
    tmp_path, monkeypatch
):
    key = SoftSecurityKey.of("mira")
    (tmp_path / "mira.pub").write_text(f"{key.public} mira\n")
    told: list[str] = []
    with SoftAgent(tmp_path / "agent", [key]) as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent.path))
        assert ssh_keygen.agent_keys() == [key.public]
        mine = ssh_keygen.read_key(tmp_path / "mira.pub")
        signed = ssh_keygen.sign("text\n", NAMESPACE, mine, told.append)
        agent.remove_all()
        with pytest.raises(UnavailableError, match=r"did not sign: .*; nothing was sent"):
            ssh_keygen.sign("text\n", NAMESPACE, mine)
    assert verify_sshsig(base64.b64decode(signed), b"text\n", NAMESPACE).verified
    assert told == ["(1 of 1) a text that begins 'text': touch your security key"]


@pytest.mark.parametrize("in_agent", [False, True])
def test_what_ssh_keygen_makes_of_a_p256_key_is_handed_in_as_verifiers_take_it(
    tmp_path, monkeypatch, in_agent
):
    """Half of what ``ssh-keygen`` and ``ssh-agent`` sign has the other s."""
    path = tmp_path / "id_ecdsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", path], check=True)
    with real_agent(tmp_path / "agent", path):
        if in_agent:
            monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
            path.unlink()
            path = path.with_suffix(".pub")
        mine = ssh_keygen.read_key(path)
        assert not mine.hardware
        assert ssh_keygen.agent_keys() == ([mine.public] if in_agent else [])
        for number in range(12):  # all low by chance: once in 4096
            text = f"text {number}\n"
            signed = base64.b64decode(ssh_keygen.sign(text, NAMESPACE, mine))
            assert str(verify_sshsig(signed, text.encode(), NAMESPACE).key) == mine.public


def test_a_p256_security_key_in_the_agent_signs_and_is_touched(tmp_path, monkeypatch):
    key = SoftP256SecurityKey.of("mira")
    (tmp_path / "mira.pub").write_text(f"{key.public} mira\n")
    told: list[str] = []
    with SoftAgent(tmp_path / "agent", [key]) as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent.path))
        assert ssh_keygen.agent_keys() == [key.public]
        for number in range(8):
            text = f"text {number}\n"
            mine = ssh_keygen.read_key(tmp_path / "mira.pub")
            signed = base64.b64decode(ssh_keygen.sign(text, NAMESPACE, mine, told.append))
            assert verify_sshsig(signed, text.encode(), NAMESPACE).verified
    assert told[7] == "(1 of 1) a text that begins 'text 7': touch your security key"


@pytest.mark.parametrize("kind", ["rsa", "dsa-cert", "ecdsa-sha2-nistp521"])
def test_a_key_of_another_type_is_refused_in_one_line(tmp_path, kind):
    (tmp_path / "k.pub").write_text(f"{kind} AAAA mira\n")
    with pytest.raises(MisconfiguredError, match="not accepted; generate: ssh-keygen -t") as caught:
        ssh_keygen.read_key(tmp_path / "k.pub")
    assert repr(kind) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_passphrase_is_never_asked_for_where_nobody_sits(tmp_path):
    path = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "12345", "-f", path], check=True)
    with pytest.raises(UnavailableError, match="did not sign"):
        ssh_keygen.sign("text\n", NAMESPACE, ssh_keygen.read_key(path))


def test_without_ssh_keygen_the_missing_program_is_named(tmp_path, monkeypatch):
    key = key_file(tmp_path / "mira", SoftKey.of("mira"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MisconfiguredError, match="there is no 'ssh-keygen' on this machine"):
        ssh_keygen.sign("text\n", NAMESPACE, key)


@pytest.fixture
def two(tmp_path: Path) -> list[Maintainer]:
    return [
        Maintainer(name, key_file(tmp_path / name, SoftKey.of(name))) for name in ("sam", "noor")
    ]


@pytest.fixture
def bundle(tmp_path: Path, two: list[Maintainer]) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    sam, noor = two
    files = starter_bundle(
        organisation="shop.example",
        person=sam.name,
        key=sam.key.public,
        second=noor.name,
        second_key=noor.key.public,
    )
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def trust_of(two: list[Maintainer]) -> Trust:
    from breakglass.operate.plan import Keys, Plan, trust_text

    plan = Plan("shop.example", "shop.example/ledger", {}, tuple(two), "sam", Path(), {}, {}, "")
    return parse_trust(trust_text(plan, Keys.generate(plan), "0" * 64))


def test_the_second_maintainer_signs_the_very_text_of_the_first(bundle, two):
    trust = trust_of(two)
    log = "shop.example/ledger"
    first = sign_policy(bundle, log, "c0ffee", two[:1], NOW)
    assert first.signers(trust) == {"sam"}
    later = NOW.replace(hour=9)
    both = sign_policy(bundle, log, "another commit", two[1:], later)
    assert both.note.text == first.note.text
    assert both.signers(trust) == read_signed(bundle).signers(trust) == {"sam", "noor"}


def test_a_bundle_that_changed_is_signed_anew(bundle, two):
    log = "shop.example/ledger"
    sign_policy(bundle, log, "one", two, NOW)
    path = bundle / "breakglass.yaml"
    path.write_text(path.read_text().replace("version: 1 ", "version: 2 "))
    with pytest.raises(UnprovenError, match="nobody has signed the bundle"):
        read_signed(bundle)
    assert sign_policy(bundle, log, "two", two[:1], NOW).signers(trust_of(two)) == {"sam"}


def test_a_policy_with_a_lint_error_is_signed_by_nobody(bundle, two):
    path = bundle / "breakglass.yaml"
    path.write_text(path.read_text().replace("fail: closed", "fail: open", 1))
    with pytest.raises(MalformedError, match="fails open without a written reason"):
        sign_policy(bundle, "shop.example/ledger", "x", two, NOW)
    assert not (bundle / "signed").exists()


def test_the_next_trust_file_is_one_higher_with_one_submitter_more(two, tmp_path):
    before = trust_of(two)
    signed = sign_text(before.text, TRUST_NAMESPACE, two)
    (tmp_path / "trust").write_bytes(signed.encoded())
    line = make_gate(
        tmp_path / "gate",
        "canary",
        "shop.example/ledger",
        ("hello",),
        "http://x",
        tmp_path / "trust",
    )
    text = next_text(before, lambda lines: with_submitter(lines, line))
    after = sign_text(text, TRUST_NAMESPACE, two)
    trust = accept_trust(after, accept_trust(signed, None))
    assert trust.version == 2
    assert "gate:canary" in [str(role) for role in trust.submitters.values()]
    with pytest.raises(MisconfiguredError, match="is not empty; nothing was made"):
        make_gate(tmp_path / "gate", "canary", "l", (), "http://x", tmp_path / "trust")


def test_too_few_maintainers_keys_here_sign_no_gate_in(tmp_path):
    person = Person.at(tmp_path)
    person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    (tmp_path / "org" / "keys" / "maintainers" / "second").unlink()
    (tmp_path / "org" / "keys" / "maintainers" / "second.pub").unlink()
    person.cwd = tmp_path / "org"
    said = person.types("breakglass", "gate", "add", "two", "--out", "gates/two", "--sign-here")
    assert said.code == 3
    assert "1 of 2 by the file in force (still to sign: second)" in said.err
    assert "is not in force" in said.err
