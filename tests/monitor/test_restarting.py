"""A monitor that dies, and what it follows that dies: nothing is lost, nothing is rung twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.monitor.alerts.outbox import AlertOutbox
from breakglass.monitor.app import Monitor
from breakglass.records import all_kinds as kinds
from tests.kit.reading import ReadingPeer, signs
from tests.monitor.stand_ins import Shop, Sink, StandInLedger, eventually

Start = Callable[..., Monitor]
GRANTS = 6


@contextmanager
def process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a monitor as its own process; killed at the end if it still lives."""
    (folder / "address").unlink(missing_ok=True)
    command = [sys.executable, "-m", "breakglass.monitor", str(folder)]
    command += ["--die-with-parent", str(os.getpid())]
    running = subprocess.Popen(command)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def ask(shop: Shop, folder: Path, path: str) -> dict[str, object]:
    address = eventually(lambda: _address(folder))
    signer = signs(shop.org.submitters["broker"], shop.org.log_name)
    with ReadingPeer(address, within=timedelta(seconds=5), signer=signer) as monitor:
        return monitor.get(path).json()


def _address(folder: Path) -> str:
    path = folder / "address"
    return path.read_text().strip() if path.exists() else ""


def rung(folder: Path) -> list[str]:
    path = folder / "alarms.jsonl"
    return (
        [json.loads(line)["key"] for line in path.read_text().splitlines()] if path.exists() else []
    )


def test_kill_9_in_the_middle_loses_no_alarm_and_rings_none_twice(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger
) -> None:
    with process(folder):
        eventually(lambda: len(sink.heard()) >= 3)
    threads = []
    for number in range(GRANTS):
        with process(folder) as monitor:
            eventually(lambda: _address(folder))
            threads.append(shop.breaks())
            # Somewhere between hearing of it and having stated every delivery.
            time.sleep(0.02 * number)
            monitor.send_signal(signal.SIGKILL)
            monitor.wait()
    wanted = {f"broke_glass/{each.index}" for each in threads}
    with process(folder):
        eventually(lambda: wanted <= set(sink.heard()) and wanted <= set(rung(folder)))
        eventually(
            lambda: _delivered(shop, "hook") >= wanted and _delivered(shop, "file") >= wanted
        )
        eventually(lambda: len(shop.bodies(kinds.Justified)) == GRANTS)
    # The receiver leaves out a key that it knows; the file is never given one twice.
    assert len(rung(folder)) == len(set(rung(folder)))
    for broken in threads:
        ours = [m["key"] for m, _, _ in sink.taken if m["thread"] == broken.grant]
        assert set(ours) == {f"broke_glass/{broken.index}"}
        assert len(ours) <= 2
    alarms = [(each.channel, each.subject, each.index) for each in shop.bodies(kinds.Alert)]
    assert len(alarms) == len(set(alarms))
    assert "forbidden" not in sink.subjects()


def test_a_restart_in_peace_rings_nothing_again(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    first = monitor_of(folder)
    broken = shop.breaks()
    wanted = f"broke_glass/{broken.index}"
    eventually(lambda: wanted in _delivered(shop, "hook") and wanted in _delivered(shop, "file"))
    first.process.close()
    before = sink.heard()
    second = monitor_of(folder)
    eventually(lambda: second.following.live)
    last = shop.breaks()
    eventually(lambda: f"broke_glass/{last.index}" in sink.heard())
    assert sink.heard()[len(before) :] == [f"broke_glass/{last.index}"]


def test_a_lost_outbox_rings_only_what_the_ledger_does_not_show_as_delivered(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    first = monitor_of(folder)
    heard = shop.breaks()
    eventually(lambda: f"broke_glass/{heard.index}" in _delivered(shop, "hook"))
    first.process.close()
    unheard = shop.breaks()
    before = len(sink.heard())
    shutil.rmtree(folder / "data")
    second = monitor_of(folder)
    eventually(lambda: second.following.live)
    eventually(lambda: f"broke_glass/{unheard.index}" in sink.heard()[before:])
    assert f"broke_glass/{heard.index}" not in sink.heard()[before:]


def test_what_happened_long_ago_is_not_rung_by_a_new_monitor(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    old = shop.breaks()
    time.sleep(1.1)
    monitor = monitor_of(folder, ring_back=timedelta(seconds=0))
    eventually(lambda: monitor.following.live)
    new = shop.breaks()
    eventually(lambda: f"broke_glass/{new.index}" in sink.heard())
    assert f"broke_glass/{old.index}" not in sink.heard()


def test_what_broke_while_no_monitor_ran_rings_and_is_decided_when_one_comes(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    good, bad = shop.breaks(), shop.breaks(ask=False)
    monitor_of(folder)
    eventually(lambda: {"broke_glass", "unjustified"} <= set(sink.subjects(bad.grant)))
    eventually(lambda: [each.grant for each in shop.bodies(kinds.Justified)] == [good.grant])


def test_a_slow_ledger_is_read_to_its_end_before_anything_is_done_again(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    first = monitor_of(folder)
    broken = shop.breaks()
    wanted = f"broke_glass/{broken.index}"
    eventually(lambda: wanted in _delivered(shop, "hook") and wanted in _delivered(shop, "file"))
    first.process.close()
    before = sink.heard()
    shutil.rmtree(folder / "data")
    ledger.drip_s = 4 / shop.org.log.size
    size = shop.org.log.size
    second = monitor_of(folder, catch_up_within=timedelta(0))
    eventually(lambda: second.following.live)
    assert second.view.size >= size
    last = shop.breaks()
    eventually(lambda: f"broke_glass/{last.index}" in sink.heard())
    assert wanted not in sink.heard()[len(before) :]


def test_a_ledger_that_boasts_of_entries_and_hands_out_none_silences_nobody(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    broken = shop.breaks()
    ledger.boasts, ledger.hidden = True, 1
    monitor = monitor_of(folder, catch_up_within=timedelta(seconds=0.2))
    eventually(lambda: f"broke_glass/{broken.index}" in sink.heard())
    assert monitor.view.size < shop.org.log.size


def test_deleted_caches_are_rebuilt_to_the_same_state(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    first = monitor_of(folder)
    broken = shop.breaks()
    shop.bypasses(broken)
    eventually(lambda: len(_delivered(shop, "hook") & _delivered(shop, "file")) >= 5)
    eventually(lambda: first.view.size == shop.org.log.size and not first.process.outbox.waiting)
    seen = _seen(first)
    first.process.close()
    shutil.rmtree(folder / "data" / "ledger")
    # A pulse of the second would move both; it waits while appends are refused.
    ledger.refuse_appends = True
    second = monitor_of(folder)
    eventually(lambda: second.following.live)
    assert _seen(second) == seen
    assert second.reviews.one(broken.grant).record == first.reviews.one(broken.grant).record


def test_a_ledger_that_was_killed_is_followed_again_and_nothing_is_missed(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    monitor = monitor_of(folder, silent_after=timedelta(seconds=0.3))
    eventually(lambda: monitor.following.live)
    ledger.kill()
    eventually(lambda: "ledger_silent" in sink.subjects())
    broken = shop.breaks()
    ledger.start()
    eventually(lambda: f"broke_glass/{broken.index}" in sink.heard())
    eventually(lambda: f"broke_glass/{broken.index}" in _delivered(shop, "hook"))


def test_a_ledger_that_hangs_keeps_no_alarm_from_a_channel(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    sink.status = 503
    monitor = monitor_of(folder)
    broken = shop.breaks()
    eventually(lambda: sink.tried)
    eventually(lambda: monitor.following.live)
    eventually(lambda: monitor.view.size > broken.index)
    ledger.hanging.set()
    sink.status = 200
    eventually(lambda: f"broke_glass/{broken.index}" in sink.heard())
    ledger.hanging.clear()
    eventually(lambda: f"broke_glass/{broken.index}" in _delivered(shop, "hook"))


def test_a_monitor_that_starts_while_the_ledger_is_away_rings_what_waits(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    sink.status = 503
    first = monitor_of(folder)
    broken = shop.breaks()
    eventually(lambda: f"broke_glass/{broken.index}" in rung(folder))
    first.process.close()
    ledger.kill()
    sink.status = 200
    monitor_of(folder)
    eventually(lambda: f"broke_glass/{broken.index}" in sink.heard())


def test_the_process_answers_over_http_and_stops_when_told(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger
) -> None:
    with process(folder) as monitor:
        broken = shop.breaks()
        eventually(lambda: f"broke_glass/{broken.index}" in sink.heard())
        assert ask(shop, folder, "/healthz")["ok"] is True
        status = ask(shop, folder, "/status")
        assert status["broken"] == ""
        assert set(status["channels"]) == {"file", "hook"}  # type: ignore[call-overload]
        state = ask(shop, folder, "/state")
        assert state["size"] > broken.index  # type: ignore[operator]
        assert len(str(state["digest"])) == 64
        reviews = eventually(lambda: ask(shop, folder, "/reviews")["reviews"])
        assert [each["grant"] for each in reviews] == [broken.grant]
        review = ask(shop, folder, f"/reviews/{broken.grant}")
        assert str(review["yaml"]).startswith("# break-glass review record — INC-4821\n")
        keys = [each["key"] for each in ask(shop, folder, "/alarms")["alarms"]]  # type: ignore[attr-defined]
        assert f"broke_glass/{broken.index}" in keys
        monitor.send_signal(signal.SIGTERM)
        assert monitor.wait(60) == 0


def test_a_message_never_overtakes_another_of_its_thread(tmp_path: Path) -> None:
    from breakglass.monitor.alerts.alert import Alert
    from tests.monitor.stand_ins import moment

    outbox = AlertOutbox(tmp_path / "hook.sqlite")
    now = moment()
    first, second = (Alert("broke_glass", "g-a", n, "g-a", now, "text") for n in (1, 2))
    other = Alert("broke_glass", "g-b", 3, "g-b", now, "text")
    outbox.put([first, second, other, first], "log", now)
    assert [each.message.key for each in outbox.waiting()] == ["broke_glass/1", "broke_glass/3"]
    outbox.failed(1, "down")
    assert [each.message.key for each in outbox.waiting()] == ["broke_glass/3", "broke_glass/1"]
    outbox.heard(1, now)
    assert [each.message.key for each in outbox.waiting()] == ["broke_glass/2", "broke_glass/3"]


def _delivered(shop: Shop, channel: str) -> set[str]:
    return {
        f"{each.subject}/{each.index}"
        for each in shop.bodies(kinds.Alert)
        if each.channel == channel and each.delivery.value == "delivered"
    }


def _seen(monitor: Monitor) -> tuple[int, str, str]:
    with monitor.view.reading() as state:
        return state.size, state.digest(), monitor.following.chronicle.digest()


pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
