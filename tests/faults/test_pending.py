"""More appends than can be taken: refused at once and by name, and what was taken is kept."""

from __future__ import annotations

import asyncio
import json
import resource
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.clock import SystemClock
from breakglass.errors import UnavailableError
from breakglass.submit.outbox import Outbox, Receipt
from breakglass.submit.record_header import NO_PREV, numbered, text_digest
from breakglass.tlog.note import SignerKey
from breakglass.tlog.tiles import encode_bundle
from tests.faults.ledger_client import Clerk, on_disk, told
from tests.kit.processes import Process, draft, signed, until

Answers = list[tuple[int, dict[str, object]]]
GROWN_AT_MOST_MB = 200


def chain(signer: SignerKey, notes: int, size: int = 0) -> list[bytes]:
    """Sign a submitter's first notes."""
    made, prev = [], NO_PREV
    for seq in range(notes):
        text = draft(f"n-{seq}", size=size)
        made.append(signed(text, signer, seq, prev))
        prev = text_digest(numbered(text.text, seq, prev))
    return made


def resident_mb(process: Process) -> int:
    assert process.popen is not None
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    return (
        int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
        // 1024
    )


async def posted(
    process: Process, bodies: Sequence[bytes], meanwhile: Callable[[int], bool]
) -> Answers:
    """Post all of them at the same time; ``meanwhile`` is asked, with how many are answered."""
    host, port = process.address.removeprefix("http://").split(":")
    answers: Answers = []

    async def post(body: bytes) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /append HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}"
        )
        writer.write(head.encode() + b"\r\n\r\n" + body)
        told, _, value = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        answers.append((int(told.split()[1]), json.loads(value)))

    under_way = [asyncio.create_task(post(body)) for body in bodies]
    while meanwhile(len(answers)):
        await asyncio.sleep(0.05)
        for each in under_way:
            if each.done():
                each.result()  # one that was cut off would be waited for for ever
    await asyncio.gather(*under_way)
    return answers


@pytest.mark.parametrize("count", [1_500, pytest.param(10_000, marks=pytest.mark.long)])
def test_so_many_appends_at_a_stuck_disk_are_refused_at_once_and_reads_go_on(
    make: Callable[..., Clerk], count: int
) -> None:
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < 4 * count:
        pytest.skip(f"{files} files may be open here, {4 * count} are wanted")
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    # What is tried is the crowd at the disk; how many may come at all is another test's.
    places = f"[serving.limits]\nconnections = {2 * count}\nper_peer = {2 * count}\n"
    clerk = make(submitters=51, ledger_settings=places)
    ledger = clerk.log_set.ledger
    disk = on_disk(ledger)
    clerk.log_set.start()
    clerk.appended("before")
    writers = clerk.log_set.submitters[1:]
    chains = {writer.name: chain(writer, count // 50) for writer in writers}
    bodies = [encode_bundle([note]) for notes in chains.values() for note in notes]
    before = resident_mb(ledger)
    at_work = 256 * 7 // 16
    stuck = disk.stuck()
    stuck.__enter__()
    looks = 0

    def meanwhile(answered: int) -> bool:
        """While the disk is stuck: those that cannot wait are told, and everything can be read."""
        nonlocal looks
        clerk.read()
        looks += 1
        if answered < count - at_work:
            return True
        stuck.__exit__(None, None, None)
        return False

    answers = asyncio.run(posted(ledger, bodies, meanwhile))
    assert looks > 0
    found = Counter((status, value.get("error")) for status, value in answers)
    # Who was let in is answered when the disk is well again, or was told that nobody knows.
    assert set(found) <= {
        (200, None), (409, "bad_seq"), (429, "pool_full"), (503, "unanswered")
    }  # fmt: skip
    assert found[429, "pool_full"] >= count - 2 * at_work
    full = next(value for status, value in answers if status == 429)
    assert "nothing of this was recorded" in str(full["message"])
    assert full["hint"] == "send it again in a moment"
    assert resident_mb(ledger) - before < GROWN_AT_MOST_MB
    # Everybody sends again, in order, and everything is there, once.
    for writer in writers:
        for start in range(0, count // 50, 200):
            notes = chains[writer.name][start : start + 200]
            given = clerk.send(*notes).checked().json()
            for place, (note, proof) in enumerate(zip(notes, given["proofs"], strict=True)):
                index = int(proof.split("\n", 2)[1].removeprefix("index "))
                receipt = Receipt(index, note, proof.encode())
                clerk.book.acknowledged[writer.name, f"n-{start + place}"] = receipt
    assert len(clerk.book.acknowledged) == count + 1
    clerk.whole()


def test_ten_thousand_notes_in_batches_fill_the_pool_and_no_more(
    make: Callable[..., Clerk],
) -> None:
    clerk = make(submitters=41)
    ledger = clerk.log_set.ledger
    disk = on_disk(ledger)
    clerk.log_set.start()
    clerk.appended("before")
    writers = clerk.log_set.submitters[1:]
    runs = {writer.name: chain(writer, 256) for writer in writers}
    stuck = disk.stuck()
    stuck.__enter__()

    def meanwhile(answered: int) -> bool:
        # One commit is at the disk, 4,096 notes wait for the next ones, the rest is told so.
        if answered < len(runs) - 17:
            return True
        stuck.__exit__(None, None, None)
        return False

    bodies = [encode_bundle(run) for run in runs.values()]
    answers = asyncio.run(posted(ledger, bodies, meanwhile))
    found = Counter((status, value.get("error")) for status, value in answers)
    assert set(found) <= {(200, None), (429, "pool_full"), (503, "unanswered")}
    assert found[429, "pool_full"] >= len(runs) - 17
    full = next(value for status, value in answers if status == 429)
    assert "notes wait already, 4096 at most; nothing of this was recorded" in str(full["message"])
    for writer, run in zip(writers, runs.values(), strict=True):
        for place, proof in enumerate(clerk.send(*run).checked().json()["proofs"]):
            index = int(proof.split("\n", 2)[1].removeprefix("index "))
            clerk.book.acknowledged[writer.name, f"n-{place}"] = Receipt(
                index, run[place], proof.encode()
            )
    assert len(clerk.book.acknowledged) == 40 * 256 + 1
    clerk.whole()


def quota(clerk: Clerk, notes: int) -> None:
    """Give the second submitter so many notes an hour."""
    first, second = clerk.log_set.submitters
    (clerk.log_set.ledger.folder / "submitters").write_text(
        f"{first.verifier} broker\n{second.verifier} gate:g notes-per-hour={notes}\n"
    )


def test_a_spent_quota_sets_no_note_aside_and_harms_nobody_else(
    make: Callable[..., Clerk], tmp_path: Path
) -> None:
    clerk = make()
    quota(clerk, 5)
    clerk.log_set.start()
    signer = clerk.log_set.submitters[1]
    (tmp_path / "gate").mkdir()
    outbox = Outbox(clerk.log_set.ledger.neighbour(), signer, tmp_path / "gate", SystemClock())
    for place in range(8):
        outbox.post(draft(f"n-{place}"))
        clerk.book.posted.add((signer.name, f"n-{place}"))
    until(lambda: outbox.waiting == 3)
    # The flood of one is refused at once, and is nobody else's.
    clerk.appended("somebody-else")
    assert told(clerk.send(signed(draft("n-9"), signer, 5, NO_PREV))) == (429, "quota")
    with pytest.raises(UnavailableError):
        outbox.append([draft("n-10")], timedelta(seconds=0.5))
    assert outbox.refused() == []
    assert outbox.waiting == 3
    # An hour later; or an administrator gives more.
    quota(clerk, 100)
    assert outbox.flush(timedelta(seconds=20))
    assert outbox.refused() == []
    outbox.close()
    clerk.whole()


def test_repeating_an_unanswered_append_spends_no_quota(make: Callable[..., Clerk]) -> None:
    clerk = make()
    quota(clerk, 2)
    clerk.log_set.start()
    clerk.appended("somebody-else")
    clerk.log_set.archiver.kill()
    signer = clerk.log_set.submitters[1]
    notes = chain(signer, 2)
    for _ in range(3):
        assert told(clerk.send(notes[0])) == (503, "unwitnessed")
    clerk.log_set.archiver.start()
    until(lambda: clerk.send(notes[0]).status == 200)
    assert clerk.send(notes[1]).status == 200
    # The hour's two are spent; their own bytes get their receipts all the same.
    assert clerk.send(*notes).status == 200
    clerk.whole()
