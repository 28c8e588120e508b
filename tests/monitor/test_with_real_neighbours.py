"""The monitor as a process beside a real ledger, real witnesses and a real archiver."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from breakglass.records import all_kinds as kinds
from breakglass.records.statement import digest_of
from tests.monitor.real_monitor import Town
from tests.monitor.stand_ins import Sink, eventually

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def town(tmp_path: Path, sink: Sink) -> Iterator[Town]:
    town = Town(tmp_path, sink)
    try:
        yield town.start()
    finally:
        for process in town.processes:
            process.kill()


def test_an_intent_rings_and_is_recorded_justified_and_reviewed(town: Town, sink: Sink) -> None:
    eventually(lambda: town.ask("/status")["live"])
    grant = town.breaks()
    eventually(lambda: "broke_glass" in sink.subjects(grant))
    eventually(lambda: [each.grant for each in town.recorded(kinds.Justified)] == [grant])
    eventually(lambda: "broke_glass" in [each.subject for each in town.recorded(kinds.Alert)])
    review = town.ask(f"/reviews/{grant}")
    assert review["record"]["audit_verified"].startswith("YES — entry ")
    assert "archived by worm" in review["record"]["audit_verified"]
    heads = town.ask("/status")["heads"]
    assert set(heads) == {"ledger", "w-sec", "w-plat", "w-audit", "worm"}
    eventually(lambda: all(head["size"] >= 7 for head in town.ask("/status")["heads"].values()))
    assert town.ask("/status")["broken"] == ""
    assert town.recorded(kinds.Pulse)


def test_the_ledger_dies_and_hangs_and_the_monitor_dies_and_nothing_goes_unheard(
    town: Town, sink: Sink
) -> None:
    first = town.breaks()
    eventually(lambda: "broke_glass" in sink.subjects(first))
    town.ledger.kill()
    eventually(lambda: "ledger_silent" in sink.subjects())
    town.ledger.start()
    second = town.breaks()
    eventually(lambda: "broke_glass" in sink.subjects(second))
    town.monitor.kill()
    third = town.breaks()
    town.ledger.signal(signal.SIGSTOP)
    town.monitor.start()
    time.sleep(0.3)
    town.ledger.signal(signal.SIGCONT)
    eventually(lambda: "broke_glass" in sink.subjects(third))
    grants = {first, second, third}
    eventually(lambda: {each.grant for each in town.recorded(kinds.Justified)} == grants)
    for grant in grants:
        # Killed between the answer and its note of it, it sends once more under the same key.
        assert set(sink.subjects(grant)) == {"broke_glass"}
    assert "forbidden" not in sink.subjects()
    assert town.ask("/status")["broken"] == ""


def test_the_monitor_stops_at_kinds_that_it_does_not_know_and_says_which_release_does(
    town: Town, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(F-76) Broker and minter: tests/broker/test_kind_sets.py."""
    town.monitor.kill()
    town.monitor.command = (sys.executable, "-m", "tests.kit.older_kinds", "monitor")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    town.monitor.start()
    eventually(lambda: town.ask("/status")["live"])
    org = town.shop.org
    text = org.trust_text(version="2", kinds="2")
    file = org.people_sign(text, "breakglass-trust@v1")
    body = kinds.TrustActivated(2, digest_of(text))
    assert org.state_that("broker", body, attachments=[file]).holds
    town.push()
    assert town.monitor.wait_ended(20) == 6
    said = town.monitor.said()
    assert "trust file 2 puts kinds 2 in force, and this software knows kinds 1 at most" in said
    assert "hint: install a later release on this machine, one that knows kinds 2" in said
    eventually(lambda: "not_following" in sink.subjects())
    # Started again it comes to the same entry, and stops there.
    town.monitor.start(wait=False)
    assert town.monitor.wait_ended(20) == 6
