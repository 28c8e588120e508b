"""``breakglass up`` starts everything, stays, and takes everything with it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from breakglass.http.client import Peer
from tests.kit.long_log import lengthen

from .isolated import Person, gone_within, processes_naming, running_up


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    person = Person.at(tmp_path)
    said = person.types("breakglass", "init", str(tmp_path / "org"), "--as", "mira")
    assert said.code == 6  # no key yet
    person.types(
        "breakglass", "init", str(tmp_path / "org"), "--as", "mira", "--key", str(person.key)
    )
    return person


def test_up_stands_a_second_up_and_stops_everything_on_sigterm(mira):
    org = str(mira.cwd / "org")
    with running_up(mira, org) as process:
        assert len(processes_naming(f"{org}/")) == 7
        second = mira.types("breakglass", "up", "--org", org)
        assert second.code == 6
        assert f"is in use by process {process.pid}" in second.err
        status = mira.types("breakglass", "status", "--org", org)
        assert (status.code, status.out) == (0, "")
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        assert process.returncode == 0
    assert gone_within(f"{org}/", 1) == []


def test_nothing_outlives_a_kill_9_and_the_next_start_goes_on_with_the_same_log(mira):
    org = str(mira.cwd / "org")
    glasses = ("breakglass", "break", "--org", org, "--json")
    with running_up(mira, org) as process:
        before = mira.types(*glasses)
        process.kill()
        assert gone_within(f"{org}/", 10) == []
    with running_up(mira, org):
        assert mira.types(*glasses).out == before.out
        incidents = mira.types("breakglass", "incident", "list", "--org", org)
        assert (incidents.code, incidents.out) == (0, "")
    assert '"version": 1' in before.out


def test_a_process_that_dies_is_told_of_and_started_again(mira):
    org = str(mira.cwd / "org")
    with running_up(mira, org) as process:
        (witness,) = processes_naming(f"{org}/witness-2")
        os.kill(int(witness.split()[0]), signal.SIGKILL)
        until = time.monotonic() + 60
        while processes_naming(f"{org}/witness-2") in ([], [witness]):
            assert time.monotonic() < until, "it was not started again"
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert "witness-2 ended (-9)" in out
    assert out.rstrip().endswith("breakglass: stopped")


def test_a_folder_without_an_organisation_is_refused(mira):
    said = mira.types("breakglass", "up", "--org", str(mira.home))
    assert said.code == 6
    assert "holds no organisation" in said.err


def test_a_long_log_is_waited_for_and_ctrl_c_breaks_the_wait_off(mira):
    org = mira.cwd / "org"
    with running_up(mira, str(org)):
        pass
    assert gone_within(f"{org}/", 10) == []
    size = lengthen(org, 6000)
    process = mira.starts("breakglass", "up", "--org", str(org))
    until = time.monotonic() + 60
    while not (org / "broker" / "address").exists():
        assert time.monotonic() < until, "the broker did not come up"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "ready" not in said
    assert gone_within(f"{org}/", 10) == []
    with running_up(mira, str(org)):
        for name in ("broker", "monitor"):
            with Peer(org / name, name=name) as each:
                health = each.get("/healthz").json()
            assert (health["ok"], health["current"]) == (True, True)
            assert health["of"] >= health["size"] >= size
