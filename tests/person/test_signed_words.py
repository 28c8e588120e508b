"""What is signed is said before the key is used, and from nothing but what is signed."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from breakglass.errors import UnavailableError
from breakglass.operate.maintainer_signing import Maintainer, sign_policy
from breakglass.person import ssh_keygen
from breakglass.person.signed_words import in_words
from breakglass.policy.starter import starter_bundle
from breakglass.records.card import card_text
from breakglass.records.statement import Do, Target, digest_of, statement_text
from breakglass.tlog.note import Note
from tests.kit.organisation import NOW, Organisation
from tests.kit.people import SoftKey, SoftSecurityKey
from tests.kit.soft_agent import SoftAgent

ORG = Organisation()
ANSWERED = digest_of(statement_text(ORG.statement()))
SAID = {
    "break 'deploy-rollback' for 'INC-4821'": statement_text(ORG.statement()),
    "ask 'orders-repair' for 'INC-4821'": statement_text(
        ORG.statement(do=Do.ASK, glass="orders-repair")
    ),
    "door 'deploy-rollback' for 'INC-4821'": statement_text(ORG.statement(do=Do.DOOR)),
    "kill person 'mira'": statement_text(ORG.kill(Target.PERSON, "mira")),
    "declare 'INC-4821'": statement_text(ORG.declare()),
    "review gate 'deploy-approval'": statement_text(ORG.review_gate()),
    f"approve of statement {ANSWERED[:16]}": statement_text(ORG.answer(ANSWERED)),
    "card 'orders-repair'": card_text(ORG.card("orders-repair")),
    "policy 7": Note.parse(ORG.policy_note()).text,
    "trust file 1": ORG.trust_text(),
    "a text that begins 'text'": "text\n",
    "a text that begins 'breakglass.dev/card/v1'": "breakglass.dev/card/v1\n[]\n",
}


@pytest.mark.parametrize("words", SAID)
def test_each_text_says_itself_what_it_is(words: str) -> None:
    assert in_words(SAID[words]) == words


def test_a_name_in_it_moves_no_terminal() -> None:
    text = 'breakglass.dev/card/v1\n{"glass":"a\\u001b[31m\\u202eb"}\n'
    assert in_words(text) == r"card 'a\\x1b[31m\\u202eb'"


def test_each_touch_is_counted_and_says_what_it_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mira, sam = SoftSecurityKey.of("mira"), SoftSecurityKey.of("sam")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    files = starter_bundle(
        organisation="try-out.example", person="mira", key=mira.public,
        second="sam", second_key=sam.public,
    )  # fmt: skip
    for name, data in files.items():
        (bundle / name).write_bytes(data)
    told: list[str] = []
    with SoftAgent(tmp_path / "agent", [mira, sam]) as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent.path))
        signers = []
        for name, key in (("mira", mira), ("sam", sam)):
            (tmp_path / f"{name}.pub").write_text(f"{key.public}\n")
            signers.append(Maintainer(name, ssh_keygen.read_key(tmp_path / f"{name}.pub")))
        sign_policy(bundle, "ledger.example/one", "-", signers, NOW, told.append)
    what = ["policy 1", "policy 1", "card 'hello'", "card 'hello'"]
    assert told == [
        f"({at} of 4) {each}: touch your security key" for at, each in enumerate(what, start=1)
    ]


def failure(path: Path) -> UnavailableError:
    with pytest.raises(UnavailableError, match="did not sign") as caught:
        ssh_keygen.sign("text\n", "breakglass-card@v1", ssh_keygen.read_key(path))
    return caught.value


def test_ssh_keygens_own_reason_is_told_whole_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R20: the last line of another program is not its reason."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = SoftKey.of("mira")
    path = tmp_path / "my key"
    path.write_bytes(key.private_file())
    path.with_name("my key.pub").write_text(f"{key.public}\n")
    path.chmod(0o644)
    found = failure(path)
    assert "WARNING: UNPROTECTED PRIVATE KEY FILE!; Permissions 0644 for" in str(found)
    assert "No private key found" in str(found)
    assert found.hint == f"nobody else may read a private key: chmod 600 '{path}'"
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "12345", "-f", locked], check=True)
    found = failure(locked)
    assert "incorrect passphrase" in str(found)
    assert found.hint.endswith(f"ssh-add {locked}")
    locked.unlink()
    assert failure(locked.with_suffix(".pub")).hint.startswith("the agent does not hold it")
    assert base64.b64decode(ssh_keygen.sign("x\n", "n", _allowed(path)))


def _allowed(path: Path) -> ssh_keygen.PersonalKey:
    path.chmod(0o600)
    return ssh_keygen.read_key(path)
