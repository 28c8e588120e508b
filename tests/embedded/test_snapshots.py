"""Broker, minter and monitor start on their snapshots, and hold the state of whoever has none."""

from __future__ import annotations

import shutil
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from breakglass.embedded import quickstart
from breakglass.embedded.up import Organisation, activate_once, running
from breakglass.tlog.note import SignerKey
from tests.kit.long_log import lengthen
from tests.kit.processes import make_process, until

FOLDERS = {"broker": "data/view", "minter-shop": "data/view", "monitor": "data/ledger"}
SETTINGS = (
    'name = "shop"\nlog = "shop.example/ledger"\nledger = "../ledger/address"\n'
    'trust = "trust"\nplatform = "simulated"\n'
)


@pytest.fixture
def org(tmp_path: Path) -> Path:
    """An organisation with a minter, whose log has begun and got long meanwhile."""
    key, org = tmp_path / "key", tmp_path / "org"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    quickstart.make(org, "shop.example", "mira", key, datetime.now(UTC), lambda text: None)
    minter = SignerKey.generate("minter-shop")
    make_process(org / "minter-shop", "breakglass.minter", minter, SETTINGS)
    with (org / "ledger" / "submitters").open("a") as file:
        file.write(f"{minter.verifier} minter:shop\n")
    shutil.copy(org / "broker" / "trust", org / "minter-shop" / "trust")
    with running(org) as organisation:
        activate_once(organisation)
    lengthen(org, 600)
    return org


def snapshot(org: Path, name: str) -> Path:
    return org / name / FOLDERS[name] / "snapshot"


def states(organisation: Organisation) -> set[tuple[int, str]]:
    found: list[dict[str, Any]] = [organisation.read(name, "/state") for name in FOLDERS]
    return {(each["size"], each["digest"]) for each in found}


def test_processes_on_their_snapshots_hold_the_state_of_one_without(org: Path) -> None:
    with running(org) as organisation:
        until(lambda: len(states(organisation)) == 1, 60)
    for name in FOLDERS:
        assert snapshot(org, name).is_file()
    shutil.rmtree(org / "broker" / FOLDERS["broker"])
    with running(org) as organisation:
        until(lambda: len(states(organisation)) == 1, 60)
    said = "".join((org / name / "log").read_text() for name in FOLDERS)
    assert "thrown away" not in said


def test_kill_9_again_and_again_while_snapshots_are_written_loses_nothing(org: Path) -> None:
    """The minter writes one at each stop; it is killed at some moment of that."""
    with running(org) as organisation:
        for after_ms in (0, 3, 10, 30, 100, 300):
            minter = organisation.children["minter-shop"].process
            killer = threading.Timer(after_ms / 1000, minter.kill)
            minter.terminate()
            killer.start()
            minter.wait()
            killer.join()
            organisation.restart("minter-shop")
            until(lambda: organisation.get("minter-shop", "/healthz")["current"], 60)
        until(lambda: len(states(organisation)) == 1, 60)
    assert "thrown away" not in (org / "minter-shop" / "log").read_text()
