"""The attacks of the threat model's section «The ledger», done to real processes.

Each says who notices and when: at once is the very call that fails; at the next look is the
monitor's, which compares heads every 10 s (here 0.2 s); at the next start is the ledger's own.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from breakglass.archiver.archived_log import ArchivedLog
from breakglass.archiver.object_store import PosixObjectStore
from breakglass.errors import UnprovenError
from breakglass.ledger.export import export
from breakglass.ledger.fsck import check_folder
from breakglass.tlog.checkpoint import parse_checkpoint
from breakglass.tlog.note import SignerKey
from breakglass.tlog.policy import TlogPolicy, parse_policy
from breakglass.tlog.proof import verify_head
from breakglass.tlog.tiles import encode_bundle
from tests.kit.processes import Process, make_process
from tests.kit.thief import Thief, edited, served_as_last_head
from tests.monitor.conftest import sink
from tests.monitor.real_monitor import Town
from tests.monitor.stand_ins import Sink, eventually

__all__ = ["sink"]


class Robbed(Town):
    """A town in which somebody holds keys or hosts that are not theirs."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        super().__init__(folder, sink)
        self.sink = sink
        self.thief = Thief(self.shop.org.log.signer)
        self.origin = hashlib.sha256(self.shop.org.log_name.encode()).hexdigest()
        self.policy: TlogPolicy = parse_policy((self.ledger.folder / "policy").read_text())

    @property
    def witnesses(self) -> list[Process]:
        return [each for each in self.others if each.folder.name != "worm"]

    @property
    def archiver(self) -> Process:
        return next(each for each in self.others if each.folder.name == "worm")

    def key(self, name: str) -> SignerKey:
        return self.shop.org.witness_keys[name]

    def notes(self) -> list[bytes]:
        """Everything that the ledger shows."""
        with self.ledger.neighbour() as ledger:
            commits = ledger.get("/entries?from=0&wait=0").json()["commits"]
        return [note.encode() for each in commits for note in each["entries"]]

    def quiet(self) -> list[bytes]:
        """Stop the monitor, which writes too; returns all entries, that all cosigners know."""
        self.monitor.kill()
        eventually(lambda: {self.last(each) for each in self.others} == {len(self.notes())})
        return self.notes()

    def last(self, cosigner: Process) -> int:
        with cosigner.neighbour() as neighbour:
            head = neighbour.get(f"/{self.origin}/checkpoint").body
        return parse_checkpoint(head)[0].size

    def appends(self) -> tuple[int, str]:
        """Let the broker append its next record; returns status and error."""
        org = self.shop.org
        self.shop.refuses()
        note = org.log.notes[-1]
        with self.ledger.neighbour() as ledger:
            reply = ledger.send("POST", "/append", encode_bundle([note]))
        return reply.status, str(reply.json().get("error"))

    def rings(self, subject: str) -> None:
        eventually(lambda: subject in self.sink.subjects())

    def refused_start(self) -> str:
        """Start the ledger; it must refuse, and this is what it says."""
        said = len(self.ledger.said())
        assert self.ledger.start(wait=False).wait_ended() == 6
        return self.ledger.said()[said:]


@pytest.fixture
def town(tmp_path: Path, sink: Sink) -> Iterator[Robbed]:
    town = Robbed(tmp_path, sink)
    try:
        town.start()
        eventually(lambda: town.ask("/status")["live"])
        yield town
    finally:
        for process in town.processes:
            process.kill()


# --- edit or delete a stored entry ----------------------------------------------------------


def test_an_entry_edited_in_the_journal_is_named_by_every_reader_and_at_the_next_start(
    town: Robbed, sink: Sink
) -> None:
    grant = town.breaks()
    town.rings("broke_glass")
    before = town.quiet()
    place = next(at for at, note in enumerate(before) if f'"{grant}/intent"'.encode() in note)
    changed = "cast(replace(cast(note as text), 'mira', 'teo1') as blob)"
    edited(town.ledger, f"update entries set note = {changed} where place = {place}")
    # Who reads the journal, at once; and who looks into it is told where.
    with pytest.raises(UnprovenError) as caught:
        export(town.ledger.folder, town.ledger.folder.parent / "copy", policy_text="")
    assert caught.value.name == "inconsistent_head"
    assert [each.name for each in check_folder(town.ledger.folder).findings] == ["altered_entry"]
    # The ledger itself when it starts again; then it serves nobody, and the monitor rings.
    town.ledger.kill()
    assert "does not lead to its own head" in town.refused_start()
    town.monitor.start()
    town.rings("ledger_silent")
    assert town.ask("/status")["broken"] == "", "nothing false was shown to anybody"
    # And the archive has what was there.
    store = PosixObjectStore(town.archiver.folder / "data" / "store")
    log = ArchivedLog(store, town.shop.org.log_name, [town.thief.log.verifier])
    assert [note for commit in log.commits() for note in commit.entries] == before


def test_an_entry_deleted_from_the_journal_is_missed_at_the_next_start(
    town: Robbed, sink: Sink
) -> None:
    town.breaks()
    town.rings("broke_glass")
    notes = town.quiet()
    edited(town.ledger, f"delete from entries where place = {len(notes) - 2}")
    assert [each.name for each in check_folder(town.ledger.folder).findings] == ["missing_entry"]
    town.ledger.kill()
    assert "not started" in town.refused_start()
    town.monitor.start()
    town.rings("ledger_silent")


CHANGES = {
    "edited": (
        "update entries set note = cast(replace(cast(note as text), 'a', 'b') as blob)"
        " where place = 3"
    ),
    "deleted": "delete from entries where place = 3",
    "emptied": "delete from entries",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_under_a_running_ledger_rings_at_the_monitors_next_look(
    town: Robbed, sink: Sink, change: str
) -> None:
    town.breaks()
    town.rings("broke_glass")
    assert "past_changed" not in sink.subjects()
    edited(town.ledger, CHANGES[change])
    town.rings("past_changed")
    assert sink.message("past_changed")["index"] == (0 if change == "emptied" else 3)
    assert town.ask("/status")["broken"] == "", "what was followed is still believed"


def test_an_entry_that_the_ledger_cannot_give_any_more_rings_and_hides_no_other(
    town: Robbed, sink: Sink
) -> None:
    for _ in range(300):
        town.shop.refuses()
    town.push()
    eventually(lambda: town.ask("/status")["size"] > 300)
    # Whoever reads the third entry gets an error, and with it nothing of its bundle.
    edited(
        town.ledger,
        "alter table entries rename to kept",
        "create view entries as select place, case when place = 3 then"
        " abs(-9223372036854775807 - 1) else note end as note from kept",
    )
    town.rings("past_changed")
    assert sink.message("past_changed")["index"] == 0
    edited(town.ledger, "delete from kept where place = 280")
    eventually(lambda: sink.subjects().count("past_changed") == 2)


def test_the_whole_past_is_read_over_again_and_each_entry_is_missed(
    town: Robbed, sink: Sink
) -> None:
    for _ in range(300):
        town.shop.refuses()
    town.push()
    eventually(lambda: town.ask("/status")["size"] > 300)
    edited(town.ledger, "delete from entries where place = (select max(place) from entries)")
    town.rings("past_changed")
    assert sink.message("past_changed")["index"] > 300
    # After the last bundle the first is read again.
    edited(town.ledger, "delete from entries where place = 0")
    eventually(lambda: sink.subjects().count("past_changed") == 2)


# --- truncation, rollback, another history --------------------------------------------------


def forget_last(ledger: Process, keep: int) -> None:
    """Cut a journal back to its first entries, whole and without a trace in itself."""
    edited(
        ledger,
        f"delete from entries where place >= {keep}",
        f"delete from ids where place >= {keep}",
        f"delete from heads where size > {keep}",
        "delete from submitters",
    )


@pytest.mark.parametrize("how", ["snapshot restored", "end cut off"])
def test_a_journal_that_went_back_is_not_started_and_its_followers_ring(
    town: Robbed, how: str
) -> None:
    town.monitor.kill()
    before = len(town.notes())
    data, copy = town.ledger.folder / "data", town.ledger.folder / "snapshot"
    town.ledger.stop()
    shutil.copytree(data, copy)
    town.ledger.start()
    town.breaks()
    town.monitor.start()
    town.rings("broke_glass")
    town.ledger.stop()
    if how == "snapshot restored":
        shutil.rmtree(data)
        shutil.copytree(copy, data)
    else:
        forget_last(town.ledger, before)
    assert "it was rolled back or replaced; not started" in town.refused_start()
    town.rings("ledger_silent")


@pytest.mark.parametrize("longer", [0, 3], ids=["as long", "longer"])
def test_a_history_written_anew_with_the_logs_own_key_gets_no_quorum_and_is_not_started(
    town: Robbed, longer: int
) -> None:
    town.breaks()
    notes = town.quiet()
    forged = [notes[0], b"another past\n", *notes[2:], *[b"more %d\n" % n for n in range(longer)]]
    # At once: nobody cosigns it.
    for witness in town.witnesses:
        reply = town.thief.brings(witness, len(notes), forged)
        assert reply.status == 422, reply.body
    assert town.thief.archives(town.archiver, len(notes), forged, longer).status == 422
    head = town.thief.head(forged)
    with pytest.raises(UnprovenError) as caught:
        verify_head(head, town.policy)
    assert caught.value.name == "quorum"
    # In the journal's place it is not started; served by a server of the thief's own to whoever
    # follows, it is evidence: see the split view.
    town.ledger.kill()
    forged_head = head.decode().replace("'", "''")
    edited(
        town.ledger,
        "delete from heads where size >= 2",
        "update entries set note = cast('another past\n' as blob) where place = 1",
        f"insert into heads values ({len(notes)}, cast('{forged_head}' as blob), null)"
        if not longer
        else "delete from tiles",
    )
    assert "not started" in town.refused_start()


def test_a_second_history_shown_by_one_witness_ends_all_belief_at_the_next_look(
    town: Robbed, sink: Sink
) -> None:
    """Split view: the log's key and one witness's host in one hand."""
    town.breaks()
    town.rings("broke_glass")
    size = len(town.notes())
    forged = [b"history of the second face %d\n" % place for place in range(size - 1)]
    head = town.thief.head(forged, town.key("w-audit"))
    # A gate or a minter that is shown it: no quorum, at once.
    with pytest.raises(UnprovenError) as caught:
        verify_head(head, town.policy)
    assert caught.value.name == "quorum"
    audit = next(each for each in town.witnesses if each.folder.name == "w-audit")
    served_as_last_head(audit, town.origin, head)
    town.rings("ledger_contradicts")
    (file,) = (town.monitor.folder / "kept" / "evidence").glob("*.json")
    told = json.loads(file.read_text())
    assert {told["ours"]["by"], told["theirs"]["by"]} == {"ledger", "w-audit"}
    assert told["theirs"]["head"].encode() == head
    assert "evidence" in str(town.ask("/status")["evidence"]) or town.ask("/status")["broken"]


def test_a_second_ledger_with_the_same_key_does_not_start(town: Robbed) -> None:
    second = make_process(
        town.ledger.folder.parent / "second", "breakglass.ledger", town.thief.log, ""
    )
    for name in ("settings.toml", "policy", "submitters"):
        (second.folder / name).write_bytes((town.ledger.folder / name).read_bytes())
    town.breaks()
    assert second.start(wait=False).wait_ended() == 6
    assert "it was rolled back or replaced; not started" in second.said()


@pytest.mark.parametrize(
    ("ahead", "status", "error"),
    [(3, 500, "rolled_back"), (1, 503, "unwitnessed")],
    ids=["further than the next commit", "as far as the next commit"],
)
def test_a_head_signed_with_the_stolen_log_key_fails_the_ledgers_next_commit(
    town: Robbed, sink: Sink, ahead: int, status: int, error: str
) -> None:
    """A true extension, so every witness cosigns it; the ledger is the one who does not know it."""
    notes = town.quiet()
    more = [b"never submitted %d\n" % place for place in range(ahead)]
    for witness in town.witnesses:
        assert town.thief.brings(witness, len(notes), [*notes, *more]).status == 200
    told = town.appends()
    assert told == (status, error)
    # And no receipt for what the thief wrote: the archiver wants to see it, the ledger has it not.
    assert town.thief.archives(town.archiver, len(notes), [*notes, *more], 0).status != 200
    if status == 500:
        with town.ledger.neighbour() as ledger:
            assert ledger.send("GET", "/healthz").status == 500


# --- keys -----------------------------------------------------------------------------------


def test_a_record_written_with_the_brokers_stolen_key_rings_as_forbidden(
    town: Robbed, sink: Sink
) -> None:
    town.shop.forges_intent()
    town.push()
    town.rings("forbidden")


def test_one_witnesses_stolen_key_opens_nothing(town: Robbed) -> None:
    notes = town.quiet()
    forged = [*notes, b"forged\n"]
    for names in (["w-sec"], ["w-sec", "worm"], ["w-sec", "w-plat"]):
        head = town.thief.head(forged, *map(town.key, names))
        with pytest.raises(UnprovenError) as caught:
            verify_head(head, town.policy)
        assert caught.value.name == "quorum"
    # Nor without the log's key: with it and a quorum of them it would hold.
    head = town.thief.head(forged, *map(town.key, ["w-sec", "w-plat", "worm"]))
    assert verify_head(head, town.policy).checkpoint.size == len(forged)
    stranger = Thief(SignerKey.generate(town.shop.org.log_name))
    forged_head = stranger.head(forged, *map(town.key, ["w-sec", "w-plat", "worm"]))
    with pytest.raises(UnprovenError):
        verify_head(forged_head, town.policy)


# --- hiding ---------------------------------------------------------------------------------


def test_an_archiver_that_is_not_shown_the_entries_does_not_cosign_and_there_is_no_receipt(
    town: Robbed,
) -> None:
    notes = town.quiet()
    hidden = [*notes, b"hidden\n"]
    reply = town.thief.archives(town.archiver, len(notes), hidden, 0)
    assert reply.status in (400, 422)
    other = [*notes, b"shown instead\n"]
    body = town.thief.archives(town.archiver, len(notes), other, 1)
    assert body.status == 200, "what it is shown it archives"
    reply = town.thief.archives(town.archiver, len(notes), hidden, 1)
    assert reply.status == 409, "and nothing else in its place, ever"
    for witness in town.witnesses:
        assert town.thief.brings(witness, len(notes), hidden).status == 200
    cosigned = town.thief.head(hidden, *map(town.key, ["w-sec", "w-plat", "w-audit"]))
    with pytest.raises(UnprovenError) as caught:
        verify_head(cosigned, town.policy)
    assert caught.value.name == "quorum"


def test_whoever_holds_ledger_and_archiver_is_stopped_by_witnesses_of_others(
    town: Robbed, sink: Sink
) -> None:
    """Both hosts and both keys: a new past in the journal and in the archive."""
    town.breaks()
    town.rings("broke_glass")
    notes = town.quiet()
    town.ledger.kill()
    town.archiver.kill()
    for folder in (town.ledger.folder / "data", town.archiver.folder / "data"):
        shutil.rmtree(folder)
    town.archiver.start()
    # The journal is empty and the archive agrees; the witnesses, in other hands, do not.
    assert "it was rolled back or replaced; not started" in town.refused_start()
    forged = [b"new past %d\n" % place for place in range(len(notes))]
    head = town.thief.head(forged, town.key("worm"))
    with pytest.raises(UnprovenError) as caught:
        verify_head(head, town.policy)
    assert caught.value.name == "quorum"
    for witness in town.witnesses:
        assert town.thief.brings(witness, len(notes), forged).status == 422
    town.monitor.start()
    town.rings("ledger_silent")
