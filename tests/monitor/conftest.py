"""A shop, a ledger over HTTP, a sink, and monitors that are closed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from breakglass.clock import Clock, SystemClock
from breakglass.monitor.app import Monitor
from breakglass.monitor.settings import MonitorSettings
from breakglass.process.settings import read_settings
from tests.monitor.stand_ins import Shop, Sink, StandInLedger, hook, make_folder


@pytest.fixture
def shop() -> Shop:
    return Shop().begin()


@pytest.fixture
def ledger(shop: Shop) -> Iterator[StandInLedger]:
    ledger = StandInLedger(shop)
    yield ledger
    ledger.kill()


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()


@pytest.fixture
def folder(tmp_path: Path, shop: Shop, ledger: StandInLedger, sink: Sink) -> Path:
    channels = {"file": {"type": "log_file", "file": "alarms.jsonl"}, "hook": hook(sink)}
    return make_folder(tmp_path / "monitor", shop, ledger, channels)


@pytest.fixture
def monitor_of() -> Iterator[Callable[..., Monitor]]:
    """Start a monitor on a folder; all are closed at the end."""
    started: list[Monitor] = []

    def start(folder: Path, clock: Clock | None = None, **changes: Any) -> Monitor:
        settings = read_settings(folder, MonitorSettings)
        for name, value in changes.items():
            object.__setattr__(settings, name, value)
        monitor = Monitor(folder, settings, clock or SystemClock())
        monitor.process.start()
        started.append(monitor)
        return monitor

    yield start
    for monitor in started:
        monitor.process.close()
