"""A monitor whose disk is full still rings, still compares, and says so; then it catches up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from breakglass.monitor.app import Monitor
from breakglass.records import all_kinds as kinds
from breakglass.tlog.checkpoint import Checkpoint, sign_checkpoint
from breakglass.tlog.merkle import leaf_hash
from tests.kit.disks import SmallDisk, small_disk
from tests.monitor.conftest import monitor_of, shop, sink
from tests.monitor.stand_ins import Shop, Sink, StandInLedger, eventually, hook, make_folder

__all__ = ["monitor_of", "shop", "sink"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "small", mib=8) as made:
        yield made


@pytest.fixture
def ledger(shop: Shop) -> Iterator[StandInLedger]:
    made = StandInLedger(shop)
    yield made
    made.kill()


def test_a_broken_glass_and_a_second_history_ring_though_nothing_can_be_written(
    disk: SmallDisk,
    shop: Shop,
    ledger: StandInLedger,
    sink: Sink,
    monitor_of: Callable[..., Monitor],
) -> None:
    folder = make_folder(disk.folder / "monitor", shop, ledger, {"hook": hook(sink)})
    monitor = monitor_of(folder)
    eventually(lambda: monitor.following.live)
    eventually(lambda: "cards_activated" in sink.subjects())
    with disk.full():
        grants = [shop.breaks().grant for _ in range(30)]
        for grant in grants:
            eventually(lambda: "broke_glass" in sink.subjects(grant))  # noqa: B023
        assert monitor.broken == "", "a full disk is no tampering, and nobody stops following"
        other = Checkpoint(shop.org.log_name, 2, leaf_hash(b"another history"))
        ledger.witness_shows = sign_checkpoint(other, shop.org.log.signer).encoded()
        eventually(lambda: "ledger_contradicts" in sink.subjects())
        text = sink.message("ledger_contradicts")["text"]
        assert "THE LEDGER CONTRADICTS ITSELF" in text
        # The proof leaves with the message: here it could not be kept.
        assert json.dumps(other.text)[1:-1] in text
    monitor.process.close()


def test_when_there_is_room_again_nothing_is_missing_and_a_restart_agrees(
    disk: SmallDisk,
    shop: Shop,
    ledger: StandInLedger,
    sink: Sink,
    monitor_of: Callable[..., Monitor],
) -> None:
    folder = make_folder(disk.folder / "monitor", shop, ledger, {"hook": hook(sink)})
    first = monitor_of(folder)
    eventually(lambda: first.following.live)
    with disk.full():
        grants = {shop.breaks().grant for _ in range(30)}
        eventually(lambda: all("broke_glass" in sink.subjects(each) for each in grants))
        for grant in grants:
            assert first.reviews.one(grant).record.audit_verified.startswith("YES")
    grants.add(shop.breaks().grant)
    stated = lambda: {each.grant for each in shop.bodies(kinds.Justified)}  # noqa: E731
    eventually(lambda: shop.bodies(kinds.Alert) and stated() & grants)
    first.process.close()
    second = monitor_of(folder)
    eventually(lambda: second.following.live and stated() == grants)
    for grant in grants:
        # Rung from memory and once more from the disk, under one key.
        assert set(sink.subjects(grant)) == {"broke_glass"}
    assert second.broken == ""
    second.process.close()
