"""What the ledger takes, what it refuses, and what everybody gets back."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.http.client import Peer, Reply
from breakglass.submit.blob_upload import put_attachment
from breakglass.submit.record_header import COMMIT, NO_PREV, POSTED, text_digest
from breakglass.tlog.note import Note, SignerKey, sign_note
from breakglass.tlog.proof import TlogProof, verify_head, verify_proof
from breakglass.tlog.tiles import decode_bundle, encode_bundle, entries_path, tile_path
from tests.kit.processes import ORIGIN, LogSet, draft, running_log_set, signed, until


@pytest.fixture(scope="module")
def log_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogSet]:
    with running_log_set(tmp_path_factory.mktemp("appending"), submitters=40) as made:
        yield made


@dataclass
class Submitter:
    """One that does everything by hand."""

    signer: SignerKey
    ledger: Peer
    seq: int = 0
    prev: str = NO_PREV

    def note(self, ident: str, size: int = 0, **given: object) -> bytes:
        """Sign the next note; counts on."""
        note = signed(draft(ident, size=size, **given), self.signer, self.seq, self.prev)  # type: ignore[arg-type]
        self.seq, self.prev = self.seq + 1, text_digest(Note.parse(note).text)
        return note

    def send(self, *notes: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        return self.ledger.send("POST", "/append", encode_bundle(notes), headers=headers)

    def place(self) -> dict[str, object]:
        return self.ledger.get(f"/submitter/{self.signer.verifier.label}").json()


@pytest.fixture
def submitter(log_set: LogSet) -> Submitter:
    """A submitter that has never sent anything."""
    return Submitter(log_set.submitters.pop(), log_set.ledger.neighbour())


def test_a_run_gets_one_proof_per_note(log_set: LogSet, submitter: Submitter) -> None:
    notes = [submitter.note(f"n-{at}") for at in range(5)]
    answer = submitter.send(*notes).checked().json()
    assert (answer["count"], answer["refused"]) == (5, None)
    for at, (note, proof) in enumerate(zip(notes, answer["proofs"], strict=True)):
        proven = verify_proof(note, TlogProof.parse(proof.encode()), log_set.policy)
        assert proven.index == answer["first"] + at
        assert "worm" in proven.cosigners


def test_256_notes_are_one_run(log_set: LogSet, submitter: Submitter) -> None:
    notes = [submitter.note(f"n-{at}") for at in range(256)]
    answer = submitter.send(*notes).checked().json()
    assert answer["count"] == 256
    for note, proof in zip(notes, answer["proofs"], strict=True):
        verify_proof(note, TlogProof.parse(proof.encode()), log_set.policy)
    assert submitter.place() == {"seq": 255, "prev": submitter.prev, "next": 256}


def test_a_new_submitter_starts_from_0(submitter: Submitter) -> None:
    assert submitter.place() == {"seq": None, "prev": NO_PREV, "next": 0}
    assert submitter.ledger.send("GET", "/submitter/nonsense").status == 400


def test_the_same_bytes_get_the_same_entry_and_the_same_proof(submitter: Submitter) -> None:
    note = submitter.note("again")
    first = submitter.send(note).checked().json()
    submitter.send(submitter.note("another"))
    assert submitter.send(note).checked().json() == first


def test_the_same_bytes_at_the_same_time_are_one_entry(submitter: Submitter) -> None:
    note = submitter.note("at once")
    answers: list[dict[str, object]] = []

    def send() -> None:
        answers.append(submitter.send(note).checked().json())

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({str(answer) for answer in answers}) == 1
    assert submitter.place()["next"] == 1


def test_a_run_that_says_that_nobody_waits_is_held_for_half_a_second(submitter: Submitter) -> None:
    begun = time.monotonic()
    assert submitter.send(submitter.note("posted"), headers={POSTED: "1"}).status == 200
    assert time.monotonic() - begun >= 0.5


def test_an_append_that_asks_for_its_commit_gets_what_followers_are_shown(
    submitter: Submitter,
) -> None:
    notes = [submitter.note(f"n-{at}") for at in range(2)]
    answer = submitter.send(*notes, headers={COMMIT: "1"}).checked().json()
    first = answer["commit"]["first"]
    shown = submitter.ledger.get(f"/entries?from={first}&wait=0").json()["commits"][0]
    assert answer["commit"] == shown
    assert set(shown["entries"]) >= {note.decode() for note in notes}
    assert submitter.send(*notes, headers={COMMIT: "1"}).checked().json() == answer
    assert submitter.send(*notes).checked().json() == {**answer, "commit": None}


def test_a_long_commit_does_not_come_with_the_answer(submitter: Submitter) -> None:
    notes = [submitter.note(f"n-{at}", size=15_000) for at in range(5)]
    answer = submitter.send(*notes, headers={COMMIT: "1"}).checked().json()
    assert (answer["count"], answer["commit"]) == (5, None)


def test_a_taken_id_with_other_bytes_is_refused_with_its_index(submitter: Submitter) -> None:
    first = submitter.send(submitter.note("taken")).checked().json()
    reply = submitter.send(submitter.note("taken", size=1))
    assert reply.status == 409
    told = reply.json()
    assert (told["error"], told["index"], told["next"]) == ("id_taken", first["first"], 1)


def test_one_submitters_id_is_free_for_another(log_set: LogSet, submitter: Submitter) -> None:
    other = Submitter(log_set.submitters.pop(), log_set.ledger.neighbour())
    assert submitter.send(submitter.note("both")).status == 200
    assert other.send(other.note("both")).status == 200


def test_a_wrong_number_is_told_the_right_one(submitter: Submitter) -> None:
    submitter.send(submitter.note("zero"))
    known = submitter.prev
    for seq, prev, name in (
        (5, known, "bad_seq"),
        (0, NO_PREV, "bad_seq"),
        (1, NO_PREV, "bad_prev"),
    ):
        note = signed(draft(f"wrong-{seq}-{name}"), submitter.signer, seq, prev)
        reply = submitter.send(note)
        told = reply.json()
        assert (reply.status, told["error"]) == (409, name)
        assert (told["next"], told["prev"]) == (1, known)
    assert submitter.place()["next"] == 1


def test_a_run_is_taken_up_to_its_first_bad_note(submitter: Submitter) -> None:
    good = submitter.note("good")
    submitter.note("left out")
    behind = [submitter.note("behind"), submitter.note("behind that")]
    answer = submitter.send(good, *behind).checked().json()
    assert (answer["count"], len(answer["proofs"])) == (1, 1)
    assert (answer["refused"]["at"], answer["refused"]["error"]) == (1, "bad_seq")
    assert submitter.place()["next"] == 1


@pytest.mark.parametrize(("notes", "forged"), [(2, 1), (40, 1), (40, 25), (256, 255)])
def test_a_run_with_a_forged_note_keeps_what_stands_before_it(
    submitter: Submitter, notes: int, forged: int
) -> None:
    run = [submitter.note(f"note-{at}") for at in range(notes)]
    run[forged] = run[forged].replace(b'"x":""', b'"x":"?"')
    answer = submitter.send(*run).checked().json()
    assert (answer["count"], answer["refused"]["error"]) == (forged, "signature")
    assert submitter.place()["next"] == forged


def test_a_line_in_a_second_spelling_takes_no_number_and_no_place(submitter: Submitter) -> None:
    """Whoever carries a note can write its line otherwise; the honest one must still come in."""
    note = submitter.note("spelt")
    text = note.decode()
    assert text.endswith("=\n")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = f"{text[:-3]}{letters[letters.index(text[-3]) + 1]}=\n".encode()
    refused = submitter.send(other)
    assert (refused.status, refused.json()["error"]) == (400, "bad_note")
    assert submitter.send(note).status == 200


def test_a_run_that_begins_with_a_forged_note_is_refused(submitter: Submitter) -> None:
    run = [submitter.note(f"note-{at}") for at in range(40)]
    run[0] = run[0].replace(b'"x":""', b'"x":"?"')
    reply = submitter.send(*run)
    assert (reply.status, reply.json()["error"]) == (422, "signature")
    assert submitter.place()["next"] == 0


def resigned(note: bytes, *signers: SignerKey, text: str = "") -> bytes:
    return sign_note(text or Note.parse(note).text, *signers).encoded()


def test_refusals_by_name_and_status(log_set: LogSet, submitter: Submitter) -> None:
    note = submitter.note("n")
    text = Note.parse(note).text
    signer = submitter.signer
    stranger = SignerKey.generate("stranger.example")
    cases: list[tuple[bytes, int, str]] = [
        (b"no note", 400, "bad_note"),
        (note[:-10], 400, "bad_note"),
        (resigned(note, stranger), 403, "unknown_submitter"),
        (resigned(note, SignerKey.generate(signer.name)), 403, "unknown_submitter"),
        (note.replace(b'"x":""', b'"x":"!"'), 422, "signature"),
        (resigned(note, signer, log_set.submitters[0]), 400, "two_submitters"),
        (resigned(note, signer, text="another/v1\n{}\n"), 400, "malformed"),
        (resigned(note, signer, text=text.replace(ORIGIN, "other.example")), 403, "other_log"),
        (resigned(note, signer, text=text.replace('"seq":0', '"seq":-1')), 400, "malformed"),
        (resigned(note, signer, text=text.replace('"seq":0', '"seq":0.0')), 400, "malformed"),
        (resigned(note, signer, text=text.replace('"seq":0,', "")), 400, "missing_field"),
        (resigned(note, signer, text=text.replace('"seq":0', '"seq":0,"seq":1')), 400, "malformed"),
        (resigned(note, signer, text=text.replace("}", "")), 400, "malformed"),
        (signed(draft("big", size=17_000), signer, 0, NO_PREV), 413, "too_large"),
        (signed(draft("a", attachments=(b"x",)), signer, 0, NO_PREV), 403, "attachment_missing"),
    ]
    for body, status, name in cases:
        reply = submitter.send(body)
        assert (reply.status, reply.json()["error"]) == (status, name), body[:200]
    assert submitter.place()["next"] == 0
    assert submitter.send(note).status == 200


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x00\x05abc", b"\xff" * 100])
def test_a_broken_bundle_is_400(log_set: LogSet, body: bytes) -> None:
    reply = log_set.ledger.neighbour().send("POST", "/append", body)
    assert reply.status == 400
    assert set(reply.json()) == {"error", "message", "hint"}


def test_257_notes_and_an_endless_body_are_refused(log_set: LogSet, submitter: Submitter) -> None:
    notes = [submitter.note(f"n-{at}") for at in range(257)]
    body = b"".join(len(each).to_bytes(2, "big") + each for each in notes)
    reply = submitter.ledger.send("POST", "/append", body)
    assert (reply.status, reply.json()["error"]) == (400, "bad_bundle")
    reply = submitter.ledger.send("POST", "/append", b"x" * 5_000_000)
    assert (reply.status, reply.json()["error"]) == (413, "too_large")
    assert submitter.place()["next"] == 0


def test_a_note_carries_its_submitters_line_alone_in_its_one_spelling(
    submitter: Submitter,
) -> None:
    """A variant that somebody else appends first would take the honest one's number."""
    note = submitter.note("door")
    stranger = SignerKey.generate("stranger.example")
    longer = Note.parse(note).with_lines(stranger.sign(Note.parse(note).text)).encoded()
    letter = note.rstrip(b"\n=")[-1:]
    spelled = note.rstrip(b"\n=")[:-1] + bytes([letter[0] + 1]) + note[len(note.rstrip(b"\n=")) :]
    for variant, name in ((longer, "extra_lines"), (spelled, "bad_note")):
        reply = submitter.send(variant)
        assert (reply.status, reply.json()["error"]) == (400, name)
    assert submitter.send(note).status == 200


def test_attachments_come_first(submitter: Submitter) -> None:
    data = b"evidence" * 1000
    digest = hashlib.sha256(data).hexdigest()
    ledger = submitter.ledger
    note = submitter.note("attached", attachments=(data,))
    assert submitter.send(note).status == 403
    assert ledger.send("PUT", "/attachment/../key", data).status in (400, 404)
    for _ in range(2):
        put_attachment(ledger, io.BytesIO(data), submitter.signer)
    assert submitter.send(note).status == 200
    assert ledger.get(f"/attachment/{digest}").body == data
    assert ledger.send("GET", f"/attachment/{'0' * 64}").status == 404


def test_quotas_are_each_submitters_own(log_set: LogSet, submitter: Submitter) -> None:
    gate = SignerKey.generate("gate.example")
    path = log_set.ledger.folder / "submitters"
    text = path.read_text()
    path.write_text(f"{text}{gate.verifier} gate note-bytes=700 notes-per-hour=2 attachments=no\n")
    small = Submitter(gate, log_set.ledger.neighbour())
    first = small.note("first")
    until(lambda: small.send(first).status == 200)
    assert small.send(signed(draft("big", size=700), gate, 1, small.prev)).status == 413
    with_data = signed(draft("a", attachments=(b"x",)), gate, 1, small.prev)
    assert small.send(with_data).json()["error"] == "attachments"
    assert small.send(small.note("second")).status == 200
    reply = small.send(small.note("third"))
    assert (reply.status, reply.json()["error"]) == (429, "quota")
    assert submitter.send(submitter.note("others go on")).status == 200
    path.write_text(text)
    gone = small.note("gone")
    until(lambda: small.send(gone).json().get("error") == "unknown_submitter")


def test_a_broken_submitters_file_leaves_the_old_one_in_force(
    log_set: LogSet, submitter: Submitter
) -> None:
    path = log_set.ledger.folder / "submitters"
    text = path.read_text()
    path.write_text("nonsense\n")
    note = submitter.note("still known")

    def sent_and_said() -> bool:
        assert submitter.send(note).status == 200
        return "stays in force" in log_set.ledger.said()

    until(sent_and_said)
    path.write_text(text)


def test_entries_come_by_commits_with_the_head_that_the_receipts_have(
    log_set: LogSet, submitter: Submitter
) -> None:
    answer = submitter.send(submitter.note("a"), submitter.note("b")).checked().json()
    first = answer["first"]
    got = submitter.ledger.get(f"/entries?from={first}&wait=0").json()["commits"]
    proof = TlogProof.parse(answer["proofs"][0].encode())
    assert got[0]["first"] == first
    assert got[0]["head"].encode() == proof.checkpoint
    # From the middle of a commit: the rest of it.
    middle = submitter.ledger.get(f"/entries?from={first + 1}&wait=0").json()["commits"]
    assert (middle[0]["first"], middle[0]["entries"]) == (first + 1, got[0]["entries"][1:])
    assert submitter.ledger.get(f"/proof/{first}").body == answer["proofs"][0].encode()
    assert submitter.ledger.send("GET", "/proof/999999").status == 404
    assert submitter.ledger.send("GET", "/proof/-1").status == 400
    assert submitter.ledger.send("GET", "/entries").status == 400


def test_a_long_poll_ends_with_the_next_commit(submitter: Submitter) -> None:
    size = submitter.ledger.get("/healthz").json()["size"]
    got: list[object] = []

    def poll() -> None:
        path = f"/entries?from={size}&wait=10"
        got.append(submitter.ledger.get(path, within=timedelta(seconds=12)).json()["commits"])

    thread = threading.Thread(target=poll)
    thread.start()
    thread.join(0.3)
    assert not got
    submitter.send(submitter.note("woken"))
    thread.join(2)
    assert got
    assert submitter.ledger.get(f"/entries?from={size + 9999}&wait=0").json() == {"commits": []}


def test_tiles_of_every_size_lead_to_the_checkpoint(log_set: LogSet, submitter: Submitter) -> None:
    submitter.send(*[submitter.note(f"n-{at}") for at in range(256)])
    submitter.send(*[submitter.note(f"m-{at}") for at in range(200)])
    ledger = submitter.ledger
    head = verify_head(ledger.get("/checkpoint").body, log_set.policy).checkpoint
    width = head.size % 256
    n = head.size // 256
    full = decode_bundle(ledger.get("/" + entries_path(0)).body)
    assert len(full) == 256
    assert len(ledger.get("/" + tile_path(0, 0)).body) == 8192
    assert len(ledger.get("/" + tile_path(1, 0, n)).body) == 32 * n
    part = ledger.get("/" + tile_path(0, n, width)).body
    assert len(part) == 32 * width
    # A partial of an earlier size stays readable, also of what is full by now.
    assert ledger.get("/" + tile_path(0, n, width - 1)).body == part[:-32]
    assert len(decode_bundle(ledger.get("/" + entries_path(0, 7)).body)) == 7
    for path in (tile_path(0, n, width + 1), tile_path(0, n), tile_path(2, 0, 1)):
        assert ledger.send("GET", "/" + path).status == 404, path
    assert ledger.send("GET", "/tile/0/00").status == 400


def test_unknown_paths_and_methods_answer_in_the_one_form(log_set: LogSet) -> None:
    ledger = log_set.ledger.neighbour()
    for method, path, status in (("GET", "/nowhere", 404), ("POST", "/entries", 405)):
        reply = ledger.send(method, path, b"x")
        assert reply.status == status
        assert set(reply.json()) == {"error", "message", "hint"}
    assert "Traceback" not in log_set.ledger.said()


def test_a_ledger_with_few_threads_refuses_nobody_who_comes_alone(tmp_path: Path) -> None:
    few = "[serving]\nthreads = 2"
    with running_log_set(tmp_path, ledger_settings=few) as log_set:
        signer, data = log_set.submitters[0], b"the bundle"
        with log_set.ledger.neighbour() as ledger:
            put_attachment(ledger, io.BytesIO(data), signer)
            note = signed(draft("named", attachments=(data,)), signer, 0, NO_PREV)
            assert ledger.post("/append", encode_bundle([note])).status == 200
            assert ledger.get("/entries?from=0&wait=0").status == 200
