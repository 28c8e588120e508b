"""Each party's key is replaced in a running organisation; breaking glass works all the while."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from breakglass.errors import UnprovenError
from breakglass.http.client import Peer
from breakglass.process.key_store import keeping_of, read_key
from breakglass.records.trust import Trust, accept_trust
from breakglass.tlog.checkpoint import parse_checkpoint, sign_checkpoint
from breakglass.tlog.cosignature import cosign
from breakglass.tlog.note import Note, Signer
from breakglass.tlog.proof import verify_head
from breakglass.tlog.tiles import encode_bundle
from tests.embedded.isolated import Person, Typed, running_up
from tests.kit.processes import draft, signed, until
from tests.kit.reading import folder_peer

DECLARE = ("incident", "declare", "INC-1", "--severity", "SEV1", "--title", "checkout 5xx")
BREAK = ("break", "hello", "--incident", "INC-1", "--why", "a test")
GATE = "gates/hello-gate"


@dataclass
class Org:
    """A running organisation and the person who types."""

    person: Person
    folder: Path

    def types(self, *words: str) -> Typed:
        return self.person.types("breakglass", *words, within_s=180)

    def told(self, *words: str) -> dict:
        said = self.types(*words, "--json")
        assert said.code == 0, said.err
        return json.loads(said.out)

    def trust(self) -> Trust:
        return accept_trust(Note.parse((self.folder / "trust").read_bytes()), None)

    def ask(self, name: str, path: str) -> bytes:
        with folder_peer(self.folder, name) as neighbour:
            return neighbour.get(path).body

    def opens(self, grant: str, run: str) -> int:
        """Show a grant's token at the gate, whose check fails; returns the gate's code."""
        token = str(self.folder.parent / f"{grant}-{run.replace('/', '-')}")
        said = self.types(
            "gate", "token", grant, "--gate", "hello-gate", "--for", run, "--out", token
        )
        assert said.code == 0, said.err
        gate = str(self.folder / GATE)
        return self.person.types(
            "breakglass-gate", "run", "hello-gate", "--folder", gate, "--token", token,
            "--for", run, "--", "false",
        ).code  # fmt: skip

    def rotate(self, party: str) -> dict:
        return self.told("key", "rotate", party)

    def finish(self, party: str) -> dict:
        return self.told("key", "rotate", party, "--finish")

    def refused(self, party: str) -> str:
        """Try to finish while an older grant lives."""
        said = self.types("key", "rotate", party, "--finish", "--json")
        assert said.code == 3, said.err
        return json.loads(said.err.splitlines()[-1])["error"]

    def hand_back(self, *grants: str) -> None:
        for grant in grants:
            assert self.types("done", grant).code == 0

    def rung(self) -> set[str]:
        alarms = json.loads(self.ask("monitor", "/alarms"))["alarms"]
        return {f"{each['subject']} {each['about']}" for each in alarms}


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    person = Person.at(tmp_path_factory.mktemp("rotation"))
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    with running_up(person):
        person.cwd = person.cwd / "org"
        made = Org(person, person.cwd)
        made.told(*DECLARE)
        yield made


def whole_story(org: Org, party: str, *, waits: bool | None) -> Signer:
    """Rotate one party's key; returns the old one.

    Args:
        org: it runs.
        party: whose key.
        waits: whether a token made before stops working when the old key goes; ``None`` where
            that hangs on which two of three witnesses were quicker.
    """
    old = read_key(org.folder / party)
    before = org.told(*BREAK)["grant"]
    version = org.trust().version
    # During: both stand, and neither what was made before nor what is made now is doubted.
    done = org.rotate(party)
    assert done["trust_version"] == version + 1
    assert org.types("key", "rotate", party).code in (0, 6)  # again: harmless, or told to finish
    during = org.told(*BREAK)["grant"]
    assert org.opens(before, f"{party}-before") == 0
    assert org.opens(during, f"{party}-during") == 0
    # After: the old one goes, once nothing rests on it any more.
    if waits:
        assert org.refused(party) == "grants_live"
        assert org.trust().version == version + 1
    if waits is not False:
        org.hand_back(before)
    assert org.finish(party)["trust_version"] == version + 2
    assert org.types("key", "rotate", party, "--finish").code == 6
    new = read_key(org.folder / party).verifier
    assert new != old.verifier
    assert keeping_of(org.folder / party).past()[-1] == old.verifier
    named = org.trust().text
    assert str(new) in named
    assert str(old.verifier) not in named
    if party != "broker":
        assert org.opens(during, f"{party}-after") == 0
    after = org.told(*BREAK)["grant"]
    assert org.opens(after, f"{party}-new") == 0
    org.hand_back(*({before, during, after} - (set() if waits is False else {before})))
    # Everybody heard, and a stranger with the newest trust file alone finds all of it in order.
    told = f"key_rotated key/{version + 1}/"
    until(lambda: any(each.startswith(told) for each in org.rung()))
    copy = org.folder.parent / f"copy-{party.replace('/', '-')}"
    org.told("ledger", "export", "--to", str(copy))
    audited = org.told("ledger", "verify", str(copy), "--trust", str(org.folder / "trust"))
    assert audited["forbidden"] == []
    return old


def test_the_logs_key_is_replaced_and_heads_of_the_old_one_alone_are_refused(org):
    old = whole_story(org, "ledger", waits=True)
    # Whoever stole the old key signs the very head that the log has: nobody takes it any more.
    head, _ = parse_checkpoint(org.ask("ledger", "/checkpoint"))
    stolen = sign_checkpoint(head, old)
    with pytest.raises(UnprovenError) as said:
        verify_head(stolen.encoded(), org.trust().tlog)
    assert said.value.name == "log_signature"
    with Peer(org.folder / "witness-1", name="witness") as witness:
        body = f"old {head.size}\n\n".encode() + stolen.encoded()
        assert witness.send("POST", "/add-checkpoint", body, "text/plain").status == 403
    with Peer(org.folder / "archiver", name="archiver") as archiver:
        length = len(stolen.encoded())
        body = f"old {head.size}\nhead {length}\nlast 0\n\n".encode() + stolen.encoded()
        assert archiver.send("POST", "/add-segment", body, "application/octet-stream").status == 403
    # The journal's older heads are still examined, by the key that signed them.
    examined = org.told("ledger", "fsck", str(org.folder / "ledger"))
    assert examined["findings"] == []


@pytest.mark.parametrize(("party", "waits"), [("witness-1", None), ("archiver", True)])
def test_a_cosigners_key_is_replaced_and_the_old_one_counts_for_nothing(org, party, waits):
    old = whole_story(org, party, waits=waits)
    head = Note.parse(org.ask("ledger", "/checkpoint"))
    others = {"witness-1": ("witness-2", "archiver"), "archiver": ("witness-1", "witness-2")}
    keys = {w.name: w.vkey for w in org.trust().tlog.witnesses}
    kept = [
        line
        for line in head.lines
        if any(line.key_id == keys[each].key_id for each in others[party])
    ]
    log = [line for line in head.lines if line.name == org.trust().tlog.logs[0].vkey.name]
    stolen = cosign(head.text, old, datetime.now(UTC))
    with pytest.raises(UnprovenError, match="is not met by") as said:
        verify_head(Note(head.text, (*log, *kept, stolen)).encoded(), org.trust().tlog)
    assert said.value.name == "quorum"


@pytest.mark.parametrize(("party", "waits"), [("broker", True), ("monitor", False), (GATE, False)])
def test_a_submitters_key_is_replaced_and_records_of_the_old_one_are_refused(org, party, waits):
    old = whole_story(org, party, waits=waits)
    log = org.trust().tlog.logs[0].vkey.name
    note = signed(draft("stolen/1", log), old, 0, "0" * 64)
    with Peer(org.folder / "ledger", name="ledger") as ledger:
        reply = ledger.send("POST", "/append", encode_bundle([note]))
    assert (reply.status, reply.json()["error"]) == (403, "unknown_submitter")


def test_a_party_that_is_none_and_a_step_out_of_turn_are_refused(org):
    said = org.types("key", "rotate", "ledgre")
    assert (said.code, "holds no key; nothing was changed" in said.err) == (6, True)
    said = org.types("key", "rotate", "witness-2", "--finish")
    assert (said.code, "no two keys of 'witness-2' stand" in said.err) == (6, True)
