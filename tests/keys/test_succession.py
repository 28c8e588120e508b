"""The drill: the log's key is stolen, a fork is signed, and a new log follows the old one."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from breakglass.http.client import Peer
from breakglass.process.key_store import read_key
from breakglass.records.trust import Trust, accept_trust
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from breakglass.tlog.note import Note, Signer
from breakglass.witness.heads import Heads
from tests.embedded.isolated import Person, Typed, running_up

DECLARE = ("incident", "declare", "INC-1", "--severity", "SEV1", "--title", "checkout 5xx")
BREAK = ("break", "hello", "--incident", "INC-1", "--why", "a test")
TWO = "try-out.example/ledger-two"


@dataclass
class Drill:
    """An organisation whose log's key was stolen; everything stands still."""

    person: Person
    org: Path
    stolen: Signer
    before: str = ""
    late: str = ""

    @property
    def top(self) -> Path:
        return self.org.parent

    @property
    def copy(self) -> Path:
        return self.top / "copy"

    @property
    def fork(self) -> Path:
        """Another history from the same genesis: all keys are in one hand, and signed both."""
        return self.top / "fork"

    def types(self, *words: str) -> Typed:
        return self.person.types("breakglass", *words, "--org", str(self.org), within_s=120)

    def told(self, *words: str) -> dict:
        said = self.types(*words, "--json")
        assert said.code == 0, said.err
        return json.loads(said.out)

    def succeed(self, out: str, **changes: str | Path) -> Typed:
        given = {"from": self.copy / "checkpoint", "origin": TWO, "copy": self.copy, **changes}
        words = [str(each) for name, value in given.items() for each in (f"--{name}", value)]
        return self.types("ledger", "succeed", *words, "--out", str(self.top / out))

    def trust(self, file: Path) -> Trust:
        return accept_trust(Note.parse(file.read_bytes()), None)

    def shows(self, grant: str, run: str) -> Path:
        file = self.top / f"token-{grant}-{run}"
        said = self.types(
            "gate", "token", grant, "--gate", "hello-gate", "--for", run, "--out", str(file)
        )
        assert said.code == 0, said.err
        return file

    def gate(self, token: Path, run: str) -> Typed:
        return self.person.types(
            "breakglass-gate", "run", "hello-gate", "--folder", str(self.org / "gates/hello-gate"),
            "--token", str(token), "--for", run, "--", "false",
        )  # fmt: skip


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Drill:
    top = tmp_path_factory.mktemp("succession")
    person = Person.at(top)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    made = Drill(person, top / "org", read_key(top / "org" / "ledger"))
    shutil.copytree(top / "org", top / "org-too")
    with running_up(person, str(top / "org-too")):
        liar = Drill(person, top / "org-too", made.stolen)
        liar.told(*DECLARE)
        for _ in range(4):
            liar.told(*BREAK)
        liar.told("ledger", "export", "--to", str(made.fork))
    with running_up(person):
        made.told(*DECLARE)
        made.before = made.told(*BREAK)["grant"]
        assert made.gate(made.shows(made.before, "1"), "1").code == 0
        made.told("ledger", "export", "--to", str(made.copy))
        a_fork_is_refused_by_all_who_saw_the_log(made)
        # Under the thief's hand the log goes on; nobody will believe what follows.
        made.late = made.told(*BREAK)["grant"]
        made.shows(made.late, "late")
    return made


def a_fork_is_refused_by_all_who_saw_the_log(made: Drill) -> None:
    for name in ("witness-1", "witness-2", "witness-3", "archiver"):
        with Peer(made.org / name, name=name) as each:
            origin = hashlib.sha256(made.stolen.name.encode()).hexdigest()
            size = parse_checkpoint(each.get(f"/{origin}/checkpoint").body)[0].size
            for fork, old, status in ((size, size, 422), (size + 1, size, 422), (size, 1, 409)):
                head = Checkpoint(made.stolen.name, fork, b"f" * 32)
                note = sign_checkpoint(head, made.stolen).encoded()
                path, body = "/add-checkpoint", f"old {old}\n\n".encode() + note
                if name == "archiver":
                    entries = b"" if fork == old or old == 1 else b"\0\1x"
                    lengths = f"old {old}\nhead {len(note)}\nlast 0\n\n".encode()
                    path, body = "/add-segment", lengths + note + entries
                reply = each.send("POST", path, body, "application/octet-stream")
                assert reply.status == status, (name, fork, old, reply.body)


def test_only_a_proven_head_that_the_copy_leads_to_is_carried_over(drill):
    copied = parse_checkpoint((drill.copy / "checkpoint").read_bytes())[0]
    alone = drill.top / "alone"
    alone.write_bytes(sign_checkpoint(copied, drill.stolen).encoded())
    said = drill.succeed("x", **{"from": alone})
    assert (said.code, "quorum 'kept' is not met" in said.err) == (4, True)
    said = drill.succeed("x", origin=drill.stolen.name)
    assert (said.code, "is the log that is given up; nothing was written" in said.err) == (6, True)
    # A later head, which a quorum did see: this copy does not reach it.
    journal = drill.top / "later"
    later = Heads(drill.org / "witness-1" / "data" / "heads").last(drill.stolen.name)
    journal.write_bytes(later.note)
    assert drill.succeed("x", **{"from": journal}).code == 4
    # Of two histories that one quorum signed, none is taken for the other.
    said = drill.succeed("x", copy=drill.fork)
    assert (said.code, "does not lead to the head of size" in said.err) == (4, True)
    said = drill.succeed("x", like=drill.org / "broker")
    assert (said.code, "is no ledger's folder" in said.err) == (6, True)
    (drill.top / "there").mkdir()
    assert "already exists; nothing was written" in drill.succeed("there").err
    assert not (drill.top / "x").exists()
    assert [each.name for each in drill.top.glob(".*.partial")] == []


def sign_as_both(drill: Drill, file: Path) -> None:
    """Have each maintainer sign, the second one from a client of their own."""
    second = drill.top / "second.toml"
    text = (drill.org / "client.toml").read_text()
    text = text.replace('who = "mira"', 'who = "second"')
    lines = [line for line in text.splitlines() if not line.startswith("key = ")]
    key = drill.org / "keys" / "maintainers" / "second"
    moved = [line.replace('= "', f'= "{drill.org}/', 1) if "address" in line or
             line.startswith(("trust", "state")) else line for line in lines]  # fmt: skip
    second.write_text("\n".join([*moved, f'key = "{key}"', ""]))
    said = drill.types("trust", "sign", str(file))
    assert said.code == 0, said.err
    assert f"+ succeeds {drill.stolen.name} " in said.err
    said = drill.person.types("breakglass", "trust", "sign", str(file), "--org", str(second))
    assert said.code == 0, said.err
    shutil.rmtree(drill.org / "bundle" / "signed")
    for org in (str(drill.org), str(second)):
        bundle = str(drill.org / "bundle")
        said = drill.person.types("breakglass", "policy", "sign", bundle, "--org", org)
        assert said.code == 0, said.err


def move(drill: Drill, two: Path) -> None:
    """Move every process to the new log, as docs/how-to/keys.md says, «After a theft»."""
    org, trust = drill.org, (two / "trust.next").read_bytes()
    vkey = f"{read_key(two / 'ledger').verifier}\n"
    (org / "ledger").rename(drill.top / "ledger.stolen")
    (two / "ledger").rename(org / "ledger")
    for folder in (*org.glob("witness-*"), org / "archiver"):
        (folder / "logs").write_text(vkey)
    for name in ("broker", "monitor", "gates/hello-gate"):
        folder = org / name
        settings = (folder / "settings.toml").read_text()
        assert f'log = "{drill.stolen.name}"' in settings
        (folder / "settings.toml").write_text(
            settings.replace(f'"{drill.stolen.name}"', f'"{TWO}"')
        )
        (folder / "trust").write_bytes(trust)
    for folder in (org / "broker" / "data", org / "monitor" / "data", org / "monitor" / "kept"):
        folder.rename(drill.top / f"{folder.parent.name}-{folder.name}.old")
    shutil.rmtree(org / "broker" / "bootstrap")
    (two / "bootstrap").rename(org / "broker" / "bootstrap")
    (org / "broker" / "bootstrap" / "trust").write_bytes(trust)
    (org / "trust").write_bytes(trust)


def test_a_new_log_follows_glass_breaks_on_it_and_the_old_one_ends_at_its_last_good_head(drill):
    old_token, late_token = drill.shows(drill.before, "2"), drill.top / f"token-{drill.late}-late"
    said = drill.succeed("two")
    assert said.code == 0, said.err
    assert "breakglass trust sign" in said.err
    two = drill.top / "two"
    size = parse_checkpoint((drill.copy / "checkpoint").read_bytes())[0].size
    assert said.row("follows").startswith(f"{drill.stolen.name}, {size} records, seen by archiver")
    client = (drill.org / "client.toml").read_text()
    (drill.org / "client.toml").write_text(client.replace(drill.stolen.name, TWO))
    sign_as_both(drill, two / "trust.next")
    move(drill, two)
    believed = drill.trust(drill.org / "trust")
    assert not believed.names_log(drill.stolen.name)
    assert believed.succeeds is not None
    assert believed.succeeds.size == size
    with running_up(drill.person):
        drill.told(*DECLARE)
        after = drill.told(*BREAK)["grant"]
        # The gate takes the successor's file by its own maintainers' signatures, and nothing of
        # the old log any more: neither what came after the head nor what came before it.
        assert drill.gate(drill.shows(after, "3"), "3").code == 0
        for token, run in ((old_token, "2"), (late_token, "late")):
            refused = drill.gate(token, run)
            assert refused.code == 4, refused.err
        gate_trust = drill.org / "gates" / "hello-gate" / "trust"
        gate_trust.write_bytes((drill.copy / "trust").read_bytes())
        refused = drill.gate(drill.shows(after, "4"), "4")
        assert (refused.code, "names another genesis" in refused.err) == (4, True)
        gate_trust.write_bytes((drill.org / "trust").read_bytes())
        with Peer(drill.org / "witness-1", name="witness") as witness:
            note = sign_checkpoint(Checkpoint(drill.stolen.name, 9, b"x" * 32), drill.stolen)
            body = b"old 0\n\n" + note.encoded()
            assert witness.send("POST", "/add-checkpoint", body, "text/plain").status == 404
        drill.told("ledger", "export", "--to", str(drill.top / "copy-two"))
    copy, trust = str(drill.top / "copy-two"), str(drill.org / "trust")
    both = drill.told("ledger", "verify", copy, "--trust", trust, "--before", str(drill.copy))
    assert both["follows"]["said"]["size"] == size
    assert both["forbidden"] == []
    # The new log's link holds for that history alone.
    for other, why in ((drill.fork, "older copy does not lead to the head"), (copy, "")):
        said = drill.types("ledger", "verify", copy, "--trust", trust, "--before", str(other))
        assert (said.code, why in said.err) == (4, True), said.err
    said = drill.types("ledger", "verify", str(drill.copy), "--trust",
                       str(drill.copy / "trust"), "--before", str(drill.copy))  # fmt: skip
    assert (said.code, "follows no other one" in said.err) == (4, True)
