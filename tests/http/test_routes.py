"""The table of routes: held by the type checker, and every row of it told in the reference."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from breakglass.broker.app import build as build_broker
from breakglass.clock import SystemClock
from breakglass.minter.app import build as build_minter
from breakglass.monitor.app import build as build_monitor
from tests.broker.shop import SIMULATED, make_shop
from tests.monitor.stand_ins import Shop, StandInLedger, make_folder

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "reference" / "processes.md").read_text()
ROWS = """\
from dataclasses import dataclass
from breakglass.http.routes import Nobody, Request, Response, Route, get, nobody, post
@dataclass(frozen=True)
class Mira: ...
@dataclass(frozen=True)
class Body: ...
def known(who: Mira, asked: Request[None]) -> Body: return Body()
def echo(who: Nobody, asked: Request[Body]) -> Body: return asked.body
table: list[Route] = [
    post("/x", nobody, Body, echo, Body, 1),
"""


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ('get("/x", nobody, known, Body)', "an asker that nobody has shown to be one"),
        ('post("/x", nobody, bytes, echo, Body, 1)', "another body than it takes"),
        ('post("/x", nobody, Body, echo, Response, 1)', "another answer than it gives"),
        ('get("/x", nobody, lambda who, asked: 3, Body)', "another answer, told in the row"),
    ],
)
def test_the_type_checker_refuses_a_handler_that_does_not_fit_its_row(
    tmp_path: Path, row: str, why: str
) -> None:
    (tmp_path / "rows.py").write_text(f"{ROWS}    {row},\n]\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache")]
    done = subprocess.run(
        [*command, str(tmp_path / "rows.py")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    assert lines == {ROWS.count("\n") + 1}, (why, done.stdout)


def test_every_route_of_broker_minter_and_monitor_stands_in_the_reference(tmp_path: Path) -> None:
    shop = make_shop(tmp_path, SIMULATED)
    organisation = Shop().begin()
    ledger = StandInLedger(organisation)
    channels = {"file": {"type": "log_file", "file": "alarms.jsonl"}}
    monitor = make_folder(tmp_path / "monitor", organisation, ledger, channels)
    built = [
        build_broker(shop.brokers[0].folder, SystemClock()),
        build_minter(shop.minters[0].folder, SystemClock()),
        build_monitor(monitor, SystemClock()),
    ]
    ledger.kill()
    untold = []
    for service in built:
        for route in service.app.routes:
            path = re.sub(r"\{\w+\}", "[A-Z0-9]+", route.path)  # type: ignore[attr-defined]
            method = min(route.methods - {"HEAD"})  # type: ignore[attr-defined]
            if not re.search(rf"`(?:\w+ [^`]*`, `)*{method} {path}[`?]", REFERENCE):
                untold.append(f"{method} {path}")
    assert untold == []
