"""The archive's own doctor is repeated into the ledger; it rings when bad, or when it stays out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from breakglass.clock import format_time, to_milliseconds
from breakglass.monitor.app import Monitor
from breakglass.records import all_kinds as kinds
from breakglass.records.kinds.attested import Attesting
from tests.monitor.stand_ins import Shop, Sink, StandInLedger, eventually

Start = Callable[..., Monitor]
QUICK = {"attest_every": timedelta(seconds=0.1)}


def look(outcome: str, at: datetime, *findings: tuple[str, str, str]) -> dict[str, Any]:
    """What an archiver answers."""
    listed = [{"level": a, "name": b, "what": c, "hint": ""} for a, b, c in findings]
    archive = "s3://bucket/"
    return {"at": format_time(at), "archive": archive, "outcome": outcome, "findings": listed}


def now() -> datetime:
    return to_milliseconds(datetime.now(UTC))


def attested(shop: Shop) -> list[kinds.Attested]:
    return shop.bodies(kinds.Attested)


def test_each_look_is_recorded_once_with_the_digest_of_what_was_said(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    ledger.doctor = look("held", now(), ("good", "object_lock", "the bucket locks objects"))
    monitor = monitor_of(folder, **QUICK)
    eventually(lambda: attested(shop))
    (first,) = attested(shop)
    assert (first.subject, first.about, first.outcome) == ("archive", "worm", Attesting.HELD)
    assert first.evidence == hashlib.sha256(json.dumps(ledger.doctor).encode()).hexdigest()
    later = now() + timedelta(seconds=1)
    ledger.doctor = look("held", later, ("good", "object_lock", "the bucket locks objects"))
    eventually(lambda: len(attested(shop)) == 2)
    eventually(lambda: monitor.view.size == shop.org.log.size)
    assert attested(shop)[1].looked == later
    assert not {each for each in sink.subjects() if each.startswith("archive")}


def test_a_restart_states_no_look_twice(
    shop: Shop, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    ledger.doctor = look("held", now())
    first = monitor_of(folder, **QUICK)
    eventually(lambda: attested(shop))
    eventually(lambda: first.view.size == shop.org.log.size)
    first.process.close()
    second = monitor_of(folder, **QUICK)
    eventually(lambda: second.attesting.looks > 2)
    assert len(attested(shop)) == 1


def test_an_archive_that_lost_its_lock_rings_and_stands_in_the_ledger(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    wrong = ("wrong", "object_lock", "the bucket does not lock objects")
    ledger.doctor = look("failed", now(), ("good", "clock", "0 s apart"), wrong)
    monitor_of(folder, **QUICK)
    eventually(lambda: "archive_wrong" in sink.subjects())
    assert "object_lock: the bucket does not lock objects" in sink.message("archive_wrong")["text"]
    assert attested(shop)[0].outcome is Attesting.FAILED


def test_a_look_that_could_not_be_made_rings_too(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    ledger.doctor = look("unknown", now(), ("unknown", "policy", "access denied"))
    monitor_of(folder, **QUICK)
    eventually(lambda: "archive_unknown" in sink.subjects())


def test_an_archive_that_nobody_looks_at_any_more_rings_once(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    old = timedelta(hours=26)
    ledger.doctor = look("held", now() - old - timedelta(minutes=1))
    monitor = monitor_of(folder, **QUICK)
    eventually(lambda: "archive_unattested" in sink.subjects())
    rung = monitor.attesting.looks
    eventually(lambda: monitor.attesting.looks > rung + 5)
    assert sink.subjects().count("archive_unattested") == 1
    ledger.doctor = look("held", now())
    eventually(lambda: len(attested(shop)) == 2)


def test_a_doctor_that_never_came_rings_after_its_time(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    monitor_of(folder, **QUICK, attested_within=timedelta(seconds=0.5))
    eventually(lambda: "archive_unattested" in sink.subjects())
    assert "no such path" in sink.message("archive_unattested")["text"]


def test_nonsense_of_an_archiver_is_not_recorded(
    shop: Shop, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    ledger.doctor = {"at": "yesterday", "outcome": "splendid", "findings": []}
    monitor = monitor_of(folder, **QUICK)
    eventually(lambda: monitor.attesting.looks > 3)
    assert attested(shop) == []
