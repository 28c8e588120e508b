"""``breakglass init`` makes a whole organisation, or nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from breakglass.demo.software_agent import SoftAgent
from breakglass.demo.software_keys import SoftP256SecurityKey, SoftSecurityKey
from breakglass.operate.doctor import Weight, examine
from breakglass.records.kinds.genesis import Genesis
from breakglass.records.record_reader import parse_record
from breakglass.records.trust import accept_trust
from breakglass.tlog.note import Note

from .isolated import Person, real_agent

PROCESSES = ("ledger", "witness-1", "witness-2", "witness-3", "archiver", "broker", "monitor")


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    return Person.at(tmp_path)


def init(person: Person, *more: str) -> Path:
    said = person.types("breakglass", "init", "org", "--as", "mira", *more)
    assert said.code == 0, said.err
    return person.cwd / "org"


def test_every_process_gets_a_closed_folder_with_a_key_of_its_own(mira):
    org = init(mira, "--key", str(mira.key))
    keys = set()
    for name in (*PROCESSES, "gates/hello-gate"):
        folder = org / name
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "key").stat().st_mode & 0o777 == 0o600
        assert (folder / "settings.toml").is_file()
        keys.add((folder / "key").read_text())
    assert len(keys) == len(PROCESSES) + 1


def test_trust_and_genesis_hold_together_and_both_maintainers_signed(mira):
    org = init(mira, "--key", str(mira.key))
    trust = accept_trust(Note.parse((org / "trust").read_bytes()), None)
    genesis = parse_record((org / "broker" / "bootstrap" / "genesis").read_bytes())
    assert isinstance(genesis.body, Genesis)
    assert genesis.text_digest == trust.genesis
    assert sorted(trust.maintainers) == ["mira", "second"]
    assert (trust.maintainers_needed, trust.level.value) == (2, "archived")
    for name in ("broker", "monitor"):
        assert (org / name / "trust").read_bytes() == (org / "trust").read_bytes()


def test_init_says_why_it_is_only_for_trying_out(mira):
    said = mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key))
    assert "for trying out only" in said.err
    assert "second human being" in said.err


def test_a_folder_that_holds_something_is_not_touched(mira):
    (mira.cwd / "org").mkdir()
    (mira.cwd / "org" / "mine").write_text("keep")
    said = mira.types("breakglass", "init", "org", "--key", str(mira.key))
    assert said.code == 6
    assert "nothing was touched" in said.err
    assert [path.name for path in (mira.cwd / "org").iterdir()] == ["mine"]


def test_without_a_key_nothing_is_left_behind_and_the_way_out_is_named(mira):
    said = mira.types("breakglass", "init", "org")
    assert said.code == 6
    assert "no SSH key: none in the agent, and no ~/.ssh/id_ed25519_sk" in said.err
    assert "hint: make one: ssh-keygen -t ed25519-sk" in said.err
    assert not (mira.cwd / "org").exists()


def test_a_key_that_does_not_sign_leaves_nothing_behind_and_asks_nobody(mira):
    locked = mira.home / "locked"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", locked], check=True
    )
    said = mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(locked))
    assert said.code == 5
    assert "did not sign" in said.err
    assert not (mira.cwd / "org").exists()


@pytest.mark.parametrize("kind", [SoftSecurityKey, SoftP256SecurityKey])
def test_the_agents_first_key_is_taken_and_no_file_of_the_home_is_read(mira, tmp_path, kind):
    key = kind.of("mira")
    with SoftAgent(tmp_path / "agent", [key]):
        mira.extra["SSH_AUTH_SOCK"] = str(tmp_path / "agent")
        org = init(mira)
    trust = accept_trust(Note.parse((org / "trust").read_bytes()), None)
    assert trust.maintainers["mira"] == (key.public,)
    assert not (mira.home / ".ssh").exists()
    assert not (mira.home / ".gitconfig").exists()


@pytest.mark.parametrize("option", ["--as", "--organisation"])
def test_a_name_that_no_record_could_hold_makes_nothing(mira, option):
    said = mira.types("breakglass", "init", "org", "--key", str(mira.key), option, 'Mi"ra')
    assert said.code == 2
    assert "expected a name of a-z" in said.err
    assert not (mira.cwd / "org").exists()


def test_an_rsa_key_is_refused_with_what_to_make_instead(mira):
    (mira.home / "rsa.pub").write_text("ssh-rsa AAAA mira\n")
    said = mira.types("breakglass", "init", "org", "--key", str(mira.home / "rsa.pub"))
    assert said.code == 6
    assert "'ssh-rsa' is an RSA key, not accepted; generate: ssh-keygen -t ed25519-sk" in said.err


def test_a_home_with_an_rsa_key_alone_is_told_which_key_and_what_to_generate(mira):
    ssh = mira.home / ".ssh"
    ssh.mkdir()
    rsa = ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", ssh / "id_rsa"]
    subprocess.run(rsa, check=True)
    said = mira.types("breakglass", "init", "org", "--as", "mira")
    assert said.code == 6
    assert said.err == (
        f"breakglass: error: key '{ssh}/id_rsa.pub': 'ssh-rsa' is an RSA key, not accepted;"
        " generate: ssh-keygen -t ed25519-sk  (or -t ed25519, -t ecdsa)\n"
    )
    assert not (mira.cwd / "org").exists()
    with real_agent(mira.home / "agent", ssh / "id_rsa"):
        mira.extra["SSH_AUTH_SOCK"] = str(mira.home / "agent")
        said = mira.types("breakglass", "init", "org", "--as", "mira")
    assert "the agent's key: 'ssh-rsa' is an RSA key, not accepted; generate:" in said.err


@pytest.mark.parametrize(("bits", "accepted"), [("256", True), ("384", False)])
def test_the_usual_ecdsa_key_of_the_home_is_taken_on_p256_alone(mira, bits, accepted):
    path = mira.home / ".ssh" / "id_ecdsa"
    path.parent.mkdir()
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-b", bits, "-N", "", "-f", path], check=True
    )
    said = mira.types("breakglass", "init", "org", "--as", "mira")
    assert (said.code == 0) is accepted, said.err
    if not accepted:
        assert "'ecdsa-sha2-nistp384' is a P-384 key, not accepted; generate:" in said.err
        return
    trust = accept_trust(Note.parse((mira.cwd / "org" / "trust").read_bytes()), None)
    assert trust.maintainers["mira"][0].startswith("ecdsa-sha2-nistp256 ")


def test_the_bundle_is_a_clean_repository_with_its_signatures(mira):
    org = init(mira, "--key", str(mira.key))
    bundle = org / "bundle"
    git = ["git", "-C", str(bundle)]
    log = subprocess.run([*git, "log", "--format=%s %an"], capture_output=True, text=True)
    assert log.stdout.splitlines() == ["policy: sign it mira", "policy: begin mira"]
    status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    assert status.stdout == ""
    assert (bundle / "signed" / "cards" / "hello.card").is_file()


def test_json_names_what_was_made(mira):
    said = mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key), "--json")
    told = json.loads(said.out)
    assert sorted(told["processes"]) == sorted(PROCESSES)
    assert told["maintainers"] == ["mira", "second"]


def test_doctor_says_what_this_does_not_give(mira):
    from breakglass.cli.sign_statement import now

    org = init(mira, "--key", str(mira.key))
    found = {each.name: each for each in examine(org, "mira", mira.key, now()).findings}
    assert "tamper-evident, not out of reach" in found["one_host"].says
    assert "one factor" in found["own_key"].says
    assert found["generated_maintainer"].weight is Weight.WARN
    assert found["alive"].weight is Weight.FAIL  # nothing runs


def test_doctor_finds_a_key_that_others_can_read(mira):
    from breakglass.cli.sign_statement import now

    org = init(mira, "--key", str(mira.key))
    (org / "ledger" / "key").chmod(0o644)
    found = {each.name: each for each in examine(org, "mira", mira.key, now()).findings}
    assert found["modes"].weight is Weight.FAIL
    assert "0644" in found["modes"].says
