"""Witnesses are asked what they saw; two histories end all belief and are kept as evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.monitor.app import Monitor
from breakglass.monitor.root_history import RootHistory
from breakglass.records import all_kinds as kinds
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from breakglass.tlog.merkle import leaf_hash, root_of, verify_consistency
from tests.kit.organisation import signer
from tests.monitor.stand_ins import Shop, Sink, StandInLedger, eventually

Start = Callable[..., Monitor]


def live(monitor: Monitor) -> Monitor:
    eventually(lambda: monitor.following.live)
    return monitor


def other_history(shop: Shop, size: int) -> bytes:
    """Sign a head of another tree, as a ledger that shows two faces does."""
    checkpoint = Checkpoint(shop.org.log_name, size, leaf_hash(b"another history"))
    return sign_checkpoint(checkpoint, shop.org.log.signer).encoded()


def test_roots_of_every_size_are_those_of_a_plain_tree() -> None:
    leaves = [leaf_hash(bytes([n % 256, n // 256])) for n in range(700)]
    roots = RootHistory()
    for leaf in leaves:
        roots.append(leaf)
    for size in (0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 700):
        assert roots.root(size) == root_of(leaves[:size])


def test_witnesses_who_agree_are_kept_and_change_nothing(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    monitor = live(monitor_of(folder))
    size = shop.org.log.size
    eventually(lambda: monitor.comparing.seen["w-sec"].size >= size)
    assert monitor.broken == ""
    eventually(lambda: monitor.kept.count >= 3)
    assert set(monitor.comparing.seen) == {"ledger", "w-sec", "worm"}


def test_two_histories_end_belief_shout_without_the_ledger_and_are_kept(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    eventually(lambda: "cards_activated" in sink.subjects())
    size = 3
    ledger.refuse_appends = True
    ledger.witness_shows = other_history(shop, size)
    eventually(lambda: "ledger_contradicts" in sink.subjects())
    assert "ledger_contradicts" not in [each.subject for each in shop.bodies(kinds.Alert)]
    (file,) = (folder / "kept" / "evidence").glob("*.json")
    told = json.loads(file.read_text())
    ours, _ = parse_checkpoint(told["ours"]["head"].encode())
    theirs, _ = parse_checkpoint(told["theirs"]["head"].encode())
    our_root = bytes.fromhex(told["our_root"])
    assert (theirs.size, theirs.root) == (size, leaf_hash(b"another history"))
    assert our_root != theirs.root
    growth = [bytes.fromhex(each) for each in told["growth"]]
    verify_consistency(size, ours.size, our_root, ours.root, growth)


def test_after_that_nothing_is_taken_from_the_ledger_also_after_a_restart(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    first = live(monitor_of(folder))
    ledger.witness_shows = other_history(shop, 2)
    eventually(lambda: first.broken)
    first.process.close()
    ledger.witness_shows = None
    pulses = shop.kinds().count("pulse")
    second = live(monitor_of(folder))
    assert "evidence against the ledger is kept" in second.broken
    broken = shop.breaks()
    eventually(lambda: second.view.size > broken.index)
    eventually(lambda: second.pulsing.trouble)
    assert "broke_glass" not in sink.subjects()
    assert shop.kinds().count("pulse") == pulses
    audit = second.reviews.one(broken.grant).record.audit_verified
    assert audit.startswith("NO — ")


def test_a_ledger_that_alters_an_entry_is_not_believed(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    monitor = live(monitor_of(folder))
    with shop.lock:
        # The head of a log whose past was written again, signed and cosigned as ever.
        shop.org.log.leaves[3] = leaf_hash(b"another past")
        shop.breaks()
    eventually(lambda: "ledger_contradicts" in sink.subjects())
    assert monitor.kept.evidence
    assert "broke_glass" not in sink.subjects()


def test_a_witness_that_lies_without_the_logs_key_stops_nobody(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    monitor = live(monitor_of(folder))
    checkpoint = Checkpoint(shop.org.log_name, 2, leaf_hash(b"another history"))
    forger = signer(shop.org.log_name + "x")
    text = sign_checkpoint(Checkpoint(forger.name, 2, checkpoint.root), forger).encoded()
    ledger.witness_shows = text
    eventually(lambda: monitor.comparing.seen["w-sec"].error)
    assert monitor.broken == ""
    broken = shop.breaks()
    eventually(lambda: "broke_glass" in sink.subjects(broken.grant))


def test_entries_that_witnesses_saw_and_the_ledger_hides_ring(
    shop: Shop,
    sink: Sink,
    folder: Path,
    ledger: StandInLedger,
    monitor_of: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("breakglass.monitor.split_view.WITHHELD_AFTER", timedelta(seconds=0.3))
    live(monitor_of(folder))
    with shop.lock:
        ledger.refuse_appends = True
        ledger.hidden = 2  # the request and the intent
        broken = shop.breaks()
    eventually(lambda: "withheld" in sink.subjects())
    assert "broke_glass" not in sink.subjects(broken.grant)
    ledger.hidden = 0
    eventually(lambda: "broke_glass" in sink.subjects(broken.grant))
