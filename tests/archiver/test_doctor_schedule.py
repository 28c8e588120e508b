"""The archiver looks at itself at every start, and fetches the newest head's final form."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.archiver.bucket_examination import BucketFinding
from breakglass.archiver.doctor_schedule import DoctorSchedule, outcome
from breakglass.clock import SystemClock
from breakglass.errors import UnavailableError
from tests.kit.processes import LogSet, draft, make_log_set, running_log_set, signed, until

DAY = timedelta(days=1)


def append(logs: LogSet, count: int) -> None:
    """Append one record after the other."""
    from breakglass.submit.record_header import NO_PREV, text_digest
    from breakglass.tlog.note import Note

    prev = NO_PREV
    with logs.ledger.neighbour() as ledger:
        place = ledger.get(f"/submitter/{logs.submitters[0].verifier.label}").json()
        prev, first = place["prev"], place["next"]
        for seq in range(first, first + count):
            note = signed(draft(f"n-{seq}"), logs.submitters[0], seq, prev)
            prev = text_digest(Note.parse(note).text)
            ledger.post("/append", len(note).to_bytes(2, "big") + note)


def finals(store: Path) -> list[str]:
    """Return the names of the heads that are archived in their final form."""
    return sorted(path.name for path in store.glob("*/cp/[0-9]*"))


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[LogSet]:
    with running_log_set(tmp_path) as made:
        yield made


def test_the_newest_head_is_archived_in_its_final_form_though_nobody_writes_any_more(
    logs: LogSet,
) -> None:
    store = logs.archiver.folder / "data" / "store"
    append(logs, 3)
    until(lambda: finals(store) == ["000000000001", "000000000002", "000000000003"])
    with logs.ledger.neighbour() as ledger:
        (newest,) = store.glob("*/cp/000000000003")
        assert newest.read_bytes() == ledger.get("/checkpoint").body


def test_a_head_whose_final_form_was_missed_is_fetched_after_a_restart(logs: LogSet) -> None:
    store = logs.archiver.folder / "data" / "store"
    append(logs, 1)
    until(lambda: finals(store) == ["000000000001"])
    logs.archiver.stop()
    shutil.rmtree(next(store.glob("*/cp")))
    logs.archiver.start()
    until(lambda: finals(store) == ["000000000001"])


def test_an_archiver_that_begins_late_gets_every_final_head_of_the_past(logs: LogSet) -> None:
    """Or the records that it holds could not be judged from it alone."""
    store = logs.archiver.folder / "data" / "store"
    append(logs, 4)
    until(lambda: len(finals(store)) == 4)
    before = {path.name: path.read_bytes() for path in store.glob("*/cp/[0-9]*")}
    logs.archiver.stop()
    shutil.rmtree(store)  # another archiver takes this one's place, with nothing
    logs.archiver.start()
    append(logs, 1)
    until(lambda: len(finals(store)) == 5)
    after = {path.name: path.read_bytes() for path in store.glob("*/cp/[0-9]*")}
    assert {name: after[name] for name in before} == before


def test_its_doctor_looks_at_every_start_and_the_result_is_told(logs: LogSet) -> None:
    with logs.archiver.neighbour() as archiver:
        until(lambda: archiver.get("/doctor").json()["at"] != "")
        told = archiver.get("/doctor").json()
    assert (told["outcome"], told["archive"]) == (
        "held",
        str(logs.archiver.folder / "data" / "store"),
    )
    assert {each["name"] for each in told["findings"]} >= {"out_of_reach", "modes"}
    append(logs, 1)
    (segment,) = (logs.archiver.folder / "data" / "store").glob("*/seg/*")
    segment.chmod(0o600)  # somebody opens an archived file for writing
    logs.archiver.stop()
    logs.archiver.start()
    with logs.archiver.neighbour() as archiver:
        until(lambda: archiver.get("/doctor").json()["outcome"] == "failed")


def test_a_restart_still_tells_the_last_look(tmp_path: Path) -> None:
    kept = tmp_path / "doctor.json"
    good = [BucketFinding("good", "modes", "well")]
    DoctorSchedule(lambda: good, kept, "here", SystemClock(), DAY).look()
    again = DoctorSchedule(lambda: good, kept, "here", SystemClock(), DAY)
    assert again.told()["outcome"] == "held"
    assert again.told() == json.loads(kept.read_text())


def test_a_look_that_fails_is_told_as_unknown_and_not_as_well(tmp_path: Path) -> None:
    def away() -> list[BucketFinding]:
        raise UnavailableError("the store is away")

    def broken() -> list[BucketFinding]:
        raise ZeroDivisionError

    for examine in (away, broken):
        looking = DoctorSchedule(examine, tmp_path / "doctor.json", "here", SystemClock(), DAY)
        looking.look()
        assert looking.told()["outcome"] == "unknown"
    assert outcome([]) == "unknown"
    assert outcome([BucketFinding("limit", "a", "b")]) == "held"
    assert (
        outcome([BucketFinding("unknown", "a", "b"), BucketFinding("wrong", "c", "d")]) == "failed"
    )


def test_a_damaged_result_is_none(tmp_path: Path) -> None:
    (tmp_path / "doctor.json").write_text("{")
    looking = DoctorSchedule(list, tmp_path / "doctor.json", "here", SystemClock(), DAY)
    assert looking.told()["at"] == ""


def test_a_policy_that_asks_old_and_new_sends_both_archivers_the_entries(tmp_path: Path) -> None:
    """While a key is replaced, the one to come stands beside the old one as NAME.next."""
    from breakglass.tlog.note import COSIGNATURE, SignerKey
    from tests.kit.processes import make_process

    logs = make_log_set(tmp_path)
    key = SignerKey.generate("archiver-2.example", COSIGNATURE)
    second = make_process(tmp_path / "worm-2", "breakglass.archiver", key, 'ledger = "../ledger"\n')
    (second.folder / "logs").write_text(f"{logs.log.verifier}\n")
    try:
        logs.start()
        second.start()
        append(logs, 2)
        policy = (logs.ledger.folder / "policy").read_text().splitlines()
        line = f"witness worm.next {key.verifier} {second.address}"
        at = next(n for n, each in enumerate(policy) if each.startswith("group "))
        joint = [*policy[:at], line, *policy[at:-1], "group now all all worm.next", "quorum now"]
        (logs.ledger.folder / "policy").write_text("\n".join(joint) + "\n")
        time.sleep(0.2)  # the file is looked at every 50 ms
        append(logs, 2)
        stored = second.folder / "data" / "store"
        assert len(list(stored.glob("*/seg/*"))) == 4
        with logs.ledger.neighbour() as ledger:
            head = ledger.get("/checkpoint").body.decode()
        assert "— archiver-2.example " in head
        assert "— archiver.example " in head
    finally:
        second.kill()
        logs.kill()
