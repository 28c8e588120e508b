"""Every maintainer is handed over in turn, and after each step everything goes on working."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from breakglass.cli.client import find
from breakglass.cli.next_trust import change_of
from breakglass.errors import RefusedError
from breakglass.http.client import Peer
from breakglass.operate import next_trust, repository
from breakglass.operate.maintainer_change import MaintainerChange, Progress
from breakglass.operate.maintainer_plan import replaced
from breakglass.operate.signed_file import read_note
from breakglass.operate.trust_copies import Brought, bring_client, bring_gate
from breakglass.person import ssh_keygen
from breakglass.policy.bundle import MAIN_FILE
from breakglass.policy.folder import read_bundle
from breakglass.policy.parse import parse_bundle
from breakglass.records.signing.signature import TRUST_NAMESPACE, person_line
from breakglass.records.trust import Trust, accept_trust
from breakglass.records.trust_handover import check_carried, dying_cards
from breakglass.tlog.note import Note
from tests.embedded.isolated import Person, Typed, running_up
from tests.kit.cutting import CutOffError, cut_everywhere
from tests.kit.organisation import Organisation
from tests.kit.people import SoftKey

DECLARE = ("incident", "declare", "INC-1", "--severity", "SEV1", "--title", "checkout 5xx")
BREAK = ("break", "hello", "--incident", "INC-1", "--why", "a test")


def sign_by(text: str, people: Mapping[str, SoftKey]) -> Note:
    return Note(
        text,
        tuple(person_line(name, key.sshsig(text, TRUST_NAMESPACE)) for name, key in people.items()),
    )


@dataclass
class Laptop:
    """A person on a machine of their own, with a client and a clone of the policy."""

    person: Person
    host: Path
    folder: Path

    @classmethod
    def of(cls, name: str, home: Path, host: Path) -> Laptop:
        home.mkdir()
        person = Person.at(home)
        folder = home / "client"
        folder.mkdir()
        (folder / "trust").write_bytes((host / "trust").read_bytes())
        text = (host / "client.toml").read_text()
        text = text.replace('= "broker', f'= "{host}/broker')
        text = text.replace('= "monitor', f'= "{host}/monitor')
        text = text.replace('= "ledger', f'= "{host}/ledger')
        lines = [line for line in text.splitlines() if line.split(" ")[0] not in ("who", "key")]
        lines += [f'who = "{name}"', f'key = "{person.key}"']
        (folder / "client.toml").write_text("\n".join([*lines, ""]))
        (folder / "client.toml").chmod(0o600)
        subprocess.run(["git", "clone", "-q", host / "bundle", folder / "bundle"], check=True)
        person.cwd = folder
        return cls(person, host, folder)

    @property
    def public(self) -> str:
        return str(self.person.key.with_name("key.pub"))

    def types(self, *words: str) -> Typed:
        return self.person.types("breakglass", *words, "--org", str(self.folder), within_s=120)

    def told(self, *words: str) -> dict:
        said = self.types(*words, "--json")
        assert said.code == 0, said.err
        return json.loads(said.out)

    def pulls(self) -> None:
        git = ["git", "-C", str(self.folder / "bundle")]
        subprocess.run([*git, "fetch", "-q", str(self.host / "bundle"), "main"], check=True)
        subprocess.run([*git, "reset", "-q", "--hard", "FETCH_HEAD"], check=True)

    def signs_trust(self) -> None:
        """The file travels here and back."""
        shutil.copy(self.host / "trust.next", self.folder / "trust.next")
        said = self.types("trust", "sign", "trust.next")
        assert said.code == 0, said.err
        shutil.copy(self.folder / "trust.next", self.host / "trust.next")

    def signs_policy(self) -> None:
        """The bundle travels by git, with the signatures in it."""
        self.pulls()
        said = self.types("policy", "sign", str(self.folder / "bundle"))
        assert said.code == 0, said.err
        signed = self.folder / "bundle" / "signed"
        shutil.copytree(signed, self.host / "bundle" / "signed", dirs_exist_ok=True)
        git = ["git", "-C", str(self.host / "bundle"), "-c", "user.name=x", "-c", "user.email=x@x"]
        subprocess.run([*git, "commit", "-qam", "policy: sign it"], check=True)


@dataclass
class Org:
    """The running organisation, and everybody's laptop by name."""

    person: Person
    folder: Path
    laptops: dict[str, Laptop] = field(default_factory=dict)
    tokens: int = 0

    def types(self, *words: str) -> Typed:
        return self.person.types("breakglass", *words, within_s=120)

    def told(self, *words: str) -> dict:
        said = self.types(*words, "--json")
        assert said.code == 0, said.err
        return json.loads(said.out)

    def trust(self) -> Trust:
        return accept_trust(Note.parse((self.folder / "trust").read_bytes()), None)

    def checks_everything(self) -> None:
        """Break a glass, open the gate with it, and use every command that reads trust."""
        grant = self.told(*BREAK)["grant"]
        self.tokens += 1
        token = str(self.folder.parent / f"token-{self.tokens}")
        run = f"run/{self.tokens}"
        self.told("gate", "token", grant, "--gate", "hello-gate", "--for", run, "--out", token)
        gate = str(self.folder / "gates" / "hello-gate")
        opened = self.person.types(
            "breakglass-gate", "run", "hello-gate", "--folder", gate,
            "--token", token, "--for", run, "--", "false",
        )  # fmt: skip
        assert opened.code == 0, opened.err
        self.told("done", grant)
        version = self.trust().version
        assert self.told("trust", "show")["version"] == version
        assert self.told("trust", "update")["version"] == version
        assert self.types("trust", "sign", "trust").code == 0
        copy = self.folder.parent / f"copy-{self.tokens}"
        self.told("ledger", "export", "--to", str(copy))
        said = self.told("ledger", "verify", str(copy), "--trust", str(self.folder / "trust"))
        assert said["forbidden"] == []
        assert self.told("policy", "check")["holds"] is True
        for laptop in self.laptops.values():
            assert laptop.told("trust", "update")["version"] == version
            assert laptop.told("trust", "show")["version"] == version


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    place = tmp_path_factory.mktemp("handover")
    person = Person.at(place)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    with running_up(person):
        person.cwd = place / "org"
        made = Org(person, person.cwd)
        made.told(*DECLARE)
        for name in ("alex", "kim"):
            made.laptops[name] = Laptop.of(name, place / name, made.folder)
        yield made


def test_every_maintainer_is_handed_over_in_turn_and_a_glass_breaks_after_each_step(org):
    alex, kim = org.laptops["alex"], org.laptops["kim"]
    replace = ("trust", "maintainer", "replace")
    org.checks_everything()
    # The generated key gives its place to alex. Both keys that sign today lie here: the first
    # step is taken at once, and the second waits for alex alone.
    first = org.told(*replace, "second", "alex", "--key", alex.public, "--sign-here")
    assert [each["done"] for each in first["steps"]] == [True, False, False]
    assert "the policy is signed by 1 of 2 maintainers" in first["waits"]
    assert sorted(org.trust().maintainers) == ["alex", "mira", "second"]
    org.checks_everything()
    alex.signs_policy()
    again = org.told(*replace, "second", "alex", "--key", alex.public, "--sign-here")
    assert [each["done"] for each in again["steps"]] == [True, True, False]
    assert "1 of 2 by the file to come (still to sign: alex)" in again["waits"]
    org.checks_everything()
    alex.signs_trust()
    again = org.told(*replace, "second", "alex", "--key", alex.public, "--sign-here")
    assert again["finished"] is True
    assert sorted(org.trust().maintainers) == ["alex", "mira"]
    org.checks_everything()
    # Mira gives her place to kim. Nobody but her signs here now; the files travel.
    waits = org.told(*replace, "mira", "kim", "--key", kim.public)
    assert "1 of 2 by the file in force (still to sign: alex)" in waits["waits"]
    org.checks_everything()
    alex.signs_trust()
    waits = org.told(*replace, "mira", "kim", "--key", kim.public)
    assert sorted(org.trust().maintainers) == ["alex", "kim", "mira"]
    org.checks_everything()
    for laptop in (alex, kim):
        laptop.signs_policy()
    waits = org.told(*replace, "mira", "kim", "--key", kim.public)
    assert waits["finished"] is False
    org.checks_everything()
    for laptop in (alex, kim):
        laptop.signs_trust()
    done = org.told(*replace, "mira", "kim", "--key", kim.public)
    assert done["finished"] is True
    assert sorted(org.trust().maintainers) == ["alex", "kim"]
    org.checks_everything()
    # Again is harmless, and the policy can still be renewed by those who maintain now.
    version = org.trust().version
    assert org.told(*replace, "mira", "kim", "--key", kim.public)["finished"] is True
    assert org.trust().version == version


def test_the_policy_is_renewed_and_people_come_and_go_by_one_command_each(tmp_path):
    person = Person.at(tmp_path)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    noor = tmp_path / "noor"
    ssh_keygen.make_key(noor, "noor")
    with running_up(person):
        person.cwd = tmp_path / "org"
        org = Org(person, person.cwd)
        org.told(*DECLARE)
        file = org.folder / "bundle" / MAIN_FILE
        text = file.read_text()
        file.write_text(f"{text}# somebody is at work here\n")
        busy = org.types("policy", "renew", "--sign-here")
        assert (busy.code, "is not committed; nothing was changed" in busy.err) == (6, True)
        file.write_text(text)
        alone = org.types("policy", "renew")
        assert alone.code == 3
        assert "signed by 1 of 2 maintainers; it is committed" in alone.err
        for words, stands, before_signing in (
            (("renew",), lambda policy: policy.version == 2, "and the very same rules"),
            (
                ("person", "add", "noor", "--key", f"{noor}.pub", "--group", "oncall"),
                lambda policy: "noor" in policy.directory.groups["oncall"].members,
                "widens    noor may now break hello alone (as group:oncall)",
            ),
            (
                ("person", "remove", "noor"),
                lambda policy: "noor" not in policy.directory.people,
                "narrows   noor may no longer break hello",
            ),
            (
                ("channel", "file-2", "--log-file", "other.log"),
                lambda policy: policy.channels["file-2"].target == "other.log",
                "widens    channel file-2: goes elsewhere: other.log (before: copy.log)",
            ),
        ):
            said = org.types("policy", *words, "--sign-here", "--json")
            assert said.code == 0, said.err
            assert before_signing in said.err
            version = json.loads(said.out)["done"][-1]["what"]
            policy = parse_bundle(read_bundle(org.folder / "bundle"))
            assert version.startswith(f"policy {policy.version}, entry ")
            assert stands(policy)
        again = org.types("policy", "person", "remove", "noor", "--sign-here", "--json")
        assert (again.code, json.loads(again.out)["done"]) == (0, [])
        assert "noor holds no live grant" in again.err
        hook = ("policy", "channel", "hook", "--webhook", "secret:chat", "--sign-here")
        refused = org.types(*hook)
        assert refused.code == 3
        assert "the monitor has no webhook channel 'hook'" in refused.err
        assert "# two independent ones" in (org.folder / "bundle" / MAIN_FILE).read_text()
        # A third maintainer, whose key lies on paper: shown once, kept nowhere, and it signs.
        add = ("trust", "maintainer", "add", "third", "--paper", "--sign-here")
        third = org.types(*add)
        assert third.code == 0, third.err
        paper = re.search(
            r"-----BEGIN OPENSSH PRIVATE KEY-----.*?PRIVATE KEY-----\n", third.err, re.DOTALL
        )
        assert paper is not None
        assert sorted(org.trust().maintainers) == ["mira", "second", "third"]
        secret = paper[0].splitlines()[3].encode()
        files = [each for each in org.folder.rglob("*") if each.is_file()]
        assert not [each for each in files if secret in each.read_bytes()]
        typed = tmp_path / "typed"
        typed.write_text(paper[0])
        typed.chmod(0o600)
        assert ssh_keygen.read_key(typed).public == org.trust().maintainers["third"][0]
        found = {
            each["name"]: each["weight"]
            for each in json.loads(org.types("doctor", "--json").out)["findings"]
        }
        assert found["maintainers"] == "OK"
        assert org.types(*add).code == 3  # no second key for the same name
        org.checks_everything()


def test_a_client_walks_over_a_version_that_it_could_not_read_again(tmp_path):
    """(R-24) A broker of an older release recorded it; the next version mends it."""
    org = Organisation()
    first = Note.parse(org.trust_note())
    text = first.text.replace("version 1\n", "version 2\n")
    ben, zoe = org.maintainers["ben"], SoftKey.of("zoe")
    text = text.replace(f"maintainer ben {ben.public}", f"maintainer zoe {zoe.public}")
    second = sign_by(text, {"ana": org.maintainers["ana"], "ben": ben})
    third = sign_by(
        text.replace("version 2\n", "version 3\n"), {"ana": org.maintainers["ana"], "zoe": zoe}
    )
    with pytest.raises(RefusedError, match="1 of 2 of its own maintainers signed it") as caught:
        check_carried(second, accept_trust(second, accept_trust(first, None)))
    assert caught.value.name == "not_carried"
    file = tmp_path / "trust"
    file.write_bytes(first.encoded())
    stolen = sign_by(text, {"zoe": zoe})  # what else lies in the ledger under that kind
    assert bring_client(file, [first, stolen, second]) == Brought(1, 1, 2)
    assert accept_trust(read_note(file), None).version == 1
    assert bring_client(file, [first, stolen, second, third]) == Brought(1, 3, 3)
    assert accept_trust(read_note(file), None).version == 3


def test_a_gate_that_never_ran_in_between_still_follows_version_by_version(tmp_path):
    org = Organisation()
    notes = [Note.parse(org.trust_note())]
    for version in (2, 3, 4):
        text = notes[0].text.replace("version 1\n", f"version {version}\n")
        notes.append(sign_by(text, org.maintainers))
    gate = tmp_path / "gates" / "one"
    (gate / "data").mkdir(parents=True)
    for name in ("trust", "data/trust.accepted"):
        (gate / name).write_bytes(notes[0].encoded())
    bring_gate(gate, notes)
    kept = accept_trust(read_note(gate / "data" / "trust.accepted"), None)
    assert accept_trust(read_note(gate / "trust"), kept).version == 4


def test_cut_off_before_and_behind_each_step_the_change_ends_the_same(tmp_path, monkeypatch):
    person = Person.at(tmp_path)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    folder = tmp_path / "org"
    third = folder / "keys" / "maintainers" / "third"
    ssh_keygen.make_key(third, "third")
    keys = (ssh_keygen.read_key(third).public,)
    with running_up(person):
        client = find(str(folder))
        change = change_of(client, sign_here=True)
        changing = MaintainerChange(change, folder / "bundle", client.log, datetime.now(UTC))

        def run() -> Progress:
            return changing.run(lambda trust: replaced(trust, "second", "third", keys))

        # Also between the written policy and its commit: what lies there is known as ours.
        commit, left_behind = repository.commit_all, list[list[str]]()

        def cut_once(bundle: Path, *given: str) -> str:
            if not left_behind:
                left_behind.append(repository.uncommitted(bundle))
                raise CutOffError
            return commit(bundle, *given)

        monkeypatch.setattr(repository, "commit_all", cut_once)
        progress, cut = cut_everywhere(monkeypatch, run)
        summary = change.ask("GET", "/state", None)["summary"]
        cards = change.cards()
    assert progress.finished
    assert left_behind == [[MAIN_FILE]]
    names = {"add", "policy", "drop", "changed", "signed", "in force", "record", "own copy"}
    assert names <= cut
    trust = change.standing()
    assert (trust.version, sorted(trust.maintainers)) == (3, ["mira", "third"])
    assert dying_cards(cards, trust) == []
    assert summary["void"]["count"] == 0
    assert parse_bundle(read_bundle(folder / "bundle")).version == 2
    assert not (folder / "trust.next").exists()


def test_cut_off_before_and_behind_each_step_a_witness_goes_and_its_key_with_it(
    tmp_path, monkeypatch
):
    person = Person.at(tmp_path)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    folder = tmp_path / "org"
    with running_up(person):
        person.cwd = folder
        org = Org(person, folder)
        org.told(*DECLARE)
        client = find(str(folder))
        change = change_of(client, sign_here=True)
        note = change.signed(next_trust.next_text(change.standing(), drop=["witness-3"]))
        with Peer(client.ledger, name="ledger") as ledger:
            done, cut = cut_everywhere(monkeypatch, lambda: change.activate(note, ledger))
        assert done.version == 2
        assert cut == {
            "let read", "newcomers", "ask both", "record", "ask new", "read no more", "drop keys",
                "gates", "own copy",
        }  # fmt: skip
        assert (folder / "ledger" / "policy").read_text() == org.trust().tlog.text
        assert not (folder / "witness-3" / "key").exists()
        assert (folder / "witness-2" / "key").exists()
        org.checks_everything()
