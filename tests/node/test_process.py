"""The parts of a process: in which order they start and close, and what stops it before that."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from breakglass.broker.settings import BrokerSettings
from breakglass.clock import SystemClock
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.node.process import NodeProcess
from breakglass.node.submitter import Fact
from breakglass.records.kind_sets import UnknownKindsError
from breakglass.records.kinds.pulse import Pulse
from tests.kit.organisation import Organisation
from tests.kit.processes import make_process


def process_of(folder: Path, log: str = "") -> NodeProcess:
    """Build one whose ledger is nowhere."""
    org = Organisation()
    folder = make_process(
        folder / "broker", "breakglass.broker", org.submitters["broker"], ""
    ).folder
    (folder / "trust").write_bytes(org.trust_note())
    settings = BrokerSettings(log or org.log_name, "nowhere/address")
    process = NodeProcess(folder, settings, SystemClock(), folder / "data")
    process.follow(folder / "data" / "view", (), "recorded")
    return process


def test_parts_start_in_order_and_close_in_reverse(tmp_path: Path) -> None:
    process, said = process_of(tmp_path), list[str]()
    for name in ("stores", "worker"):
        process.add(partial(said.append, f"+{name}"), partial(said.append, f"-{name}"))
    process.start()
    process.closing()
    process.close()
    process.close()
    assert said == ["+stores", "+worker", "-worker", "-stores"]


def test_a_part_that_cannot_be_closed_keeps_no_other_open(tmp_path: Path) -> None:
    process, said = process_of(tmp_path), list[str]()
    process.add(close=lambda: said.append("stores"))
    process.add(close=lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        process.close()
    assert said == ["stores"]
    with pytest.raises(UnavailableError, match="outbox is closed"):
        process.stating.append([Fact("pulse/1", Pulse(0, ("file",)))], timedelta(seconds=1))


def test_a_process_of_a_log_that_its_trust_file_does_not_name_does_not_start(
    tmp_path: Path,
) -> None:
    with pytest.raises(MisconfiguredError, match="names no log 'another'") as caught:
        process_of(tmp_path, "another")
    assert caught.value.name == ErrorName.UNKNOWN_LOG


def test_kinds_that_we_do_not_know_end_the_process(tmp_path: Path) -> None:
    process = process_of(tmp_path)
    process.view._follower._stop(UnknownKindsError("kinds 9"))
    assert isinstance(process.ending.error, UnknownKindsError)
    process.close()
