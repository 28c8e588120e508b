"""``breakglass gate`` beside a running monitor: read from the ledger, decided by a signature."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from breakglass.cli.main import breakglass
from breakglass.clock import SystemClock
from breakglass.errors import (
    BreakglassError,
    MalformedError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
)
from breakglass.monitor.app import Monitor
from breakglass.monitor.settings import MonitorSettings
from breakglass.process.settings import read_settings
from breakglass.records import all_kinds as kinds
from breakglass.records.signing.signature import TRUST_NAMESPACE
from breakglass.records.statement import GateVerdict
from tests.kit.people import SoftKey
from tests.monitor.served import served
from tests.monitor.stand_ins import Shop, StandInLedger, eventually, make_folder, moment

GATE = "deploy-approval"
FILE = {"file": {"type": "log_file", "file": "alarms.jsonl"}}


@pytest.fixture
def shop() -> Shop:
    return Shop().begin()


@pytest.fixture
def org(tmp_path: Path, shop: Shop) -> Iterator[Path]:
    """A person's folder: ``client.toml`` and bo's key, beside a monitor that runs."""
    ledger = StandInLedger(shop)
    folder = make_folder(tmp_path / "monitor", shop, ledger, FILE)
    monitor = Monitor(folder, read_settings(folder, MonitorSettings), SystemClock())
    monitor.process.start()
    eventually(lambda: monitor.following.live)
    now = moment()
    body = kinds.Passages(GATE, now, now, 900, 40, 10, 1, 0, 1, 2, ())
    shop.states(f"gate:{GATE}", body)
    shop.bypasses(shop.breaks())
    eventually(lambda: monitor.gates.records().bypasses)
    try:
        with served(monitor) as address:
            yield client_folder(tmp_path / "bo", shop, address)
    finally:
        monitor.process.close()
        ledger.kill()


def client_folder(folder: Path, shop: Shop, address: str) -> Path:
    folder.mkdir()
    key = folder / "id_ed25519"
    key.touch(mode=0o600)
    key.write_bytes(SoftKey.of("bo").private_file())
    told = {
        "who": "bo", "key": "id_ed25519", "log": shop.org.log_name, "broker": "nowhere",
        "monitor": address, "ledger": "nowhere", "trust": "trust", "state": "state",
    }  # fmt: skip
    lines = [f"{name} = {json.dumps(value)}" for name, value in told.items()]
    (folder / "client.toml").write_text("\n".join(lines) + "\n")
    (folder / "trust").write_bytes(shop.org.trust_note())
    return folder


def run(org: Path, *words: str) -> Result:
    found = CliRunner().invoke(breakglass, ["gates", *words, "--org", str(org)])
    if isinstance(found.exception, BreakglassError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found


def test_verdict_report_and_draft_come_from_the_ledger(org: Path, tmp_path: Path) -> None:
    (row,) = map(json.loads, run(org, "verdict", "--json").stdout.splitlines())
    assert (row["gate"], row["n"], row["passages"]) == (GATE, 1, 950)
    page = tmp_path / "gates.html"
    assert GATE in run(org, "report", "--html", str(page)).stdout
    assert "<title>Gates of ledger.example/one</title>" in page.read_text()
    assert run(org, "review", GATE).stdout.startswith(f"# Gate `{GATE}`")


def test_a_person_signs_once_to_read_and_the_session_is_theirs_alone(org: Path) -> None:
    asked = "sign to read as 'bo'"
    assert asked in run(org, "verdict").stderr
    kept = org / "state" / "session.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    first = kept.read_bytes()
    assert asked not in run(org, "verdict").stderr
    assert kept.read_bytes() == first
    # Another person's, another log's, one that is over or torn is not shown: they sign again.
    text = (org / "client.toml").read_text()
    for broken in (b"", b"{}", first.replace(b'"seed": "', b'"seed": "0'), first[:-20]):
        kept.write_bytes(broken)
        assert asked in run(org, "verdict").stderr
    (org / "client.toml").write_text(text.replace('"id_ed25519"', '"../bo/id_ed25519"'))
    assert asked in run(org, "verdict").stderr, "with another key"


def test_a_monitor_that_the_trust_file_does_not_name_is_asked_nothing(
    org: Path, shop: Shop
) -> None:
    lines = [line for line in shop.org.trust_lines() if not line.startswith("submitter monitor")]
    text = "\n".join(lines) + "\n"
    (org / "trust").write_bytes(shop.org.people_sign(text, TRUST_NAMESPACE))
    with pytest.raises(UnavailableError, match="asked nothing"):
        run(org, "verdict")
    assert not (org / "state" / "session.json").exists(), "nobody is asked to sign for it"


def test_a_decision_is_signed_recorded_and_on_the_next_page(
    org: Path, shop: Shop, tmp_path: Path
) -> None:
    day = (moment() + timedelta(weeks=9)).date().isoformat()
    words = ("decide", GATE, "--decision", "split the slow suite off")
    said = run(org, *words, "--verdict", "gate_wrong", "--look-again", day)
    (stated,) = shop.bodies(kinds.GateReviewed)
    assert (stated.by, stated.verdict) == ("bo", GateVerdict.GATE_WRONG)
    assert f"gate_reviewed {GATE}: gate_wrong, by bo, entry " in said.stdout
    assert f"look again {day}" in said.stdout
    page = tmp_path / "gates.html"
    run(org, "report", "--html", str(page))
    assert "review: split the slow suite off" in page.read_text()


def test_what_was_not_said_of_a_decision_is_what_the_numbers_say(org: Path, shop: Shop) -> None:
    told = json.loads(run(org, "decide", GATE, "--decision", "wait", "--json").stdout)
    (row,) = map(json.loads, run(org, "verdict", "--json").stdout.splitlines())
    (stated,) = shop.bodies(kinds.GateReviewed)
    assert told["verdict"] == row["verdict"] == stated.verdict.value
    assert stated.look_again > moment()


def test_a_decision_that_cannot_stand_is_refused_and_not_recorded(org: Path, shop: Shop) -> None:
    words = ("--decision", "x", "--verdict", "healthy", "--look-again")
    with pytest.raises(MalformedError, match="not after today; nothing was recorded"):
        run(org, "decide", GATE, *words, "2020-01-01")
    with pytest.raises(RefusedError, match="no gate 'nowhere'; nothing was recorded"):
        run(org, "decide", "nowhere", *words, "2999-01-01")
    with pytest.raises(MalformedError, match="belong to a history folder"):
        run(org, "decide", GATE, *words, "2999-01-01", "--by", "sam")
    with pytest.raises(MisconfiguredError, match="no gate 'nowhere' in 'ledger"):
        run(org, "review", "nowhere")
    assert shop.bodies(kinds.GateReviewed) == []
