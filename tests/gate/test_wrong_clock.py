"""A wrong clock on a gate's machine is told of there, and is no theft in the ledger."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime

import pytest

from breakglass.records.kinds.bypassed import Bypassed
from breakglass.records.kinds.passages import Passages
from tests.gate.conftest import FAIL, PASS, GateHome

DAY = timedelta(days=1)


@pytest.fixture
def ledger(home: GateHome) -> Iterator[list[str]]:
    """A ledger whose answers are dated, and that takes nothing; gives what it was asked."""
    asked: list[str] = []
    true = home.org.now

    class Dated(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response_only(503)
            self.send_header("Date", format_datetime(true, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815  the library's name

        def log_message(self, *said: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dated)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    toml = home.folder / "settings.toml"
    text = toml.read_text().replace("http://127.0.0.1:9", f"http://127.0.0.1:{server.server_port}")
    toml.write_text(text.replace("send_within_s = 0.1", "send_within_s = 5"))
    yield asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("off", "said"), [(DAY, "1440 min ahead of"), (-2 * DAY, "2880 min behind")]
)
def test_a_gate_with_a_wrong_clock_says_so_and_states_nothing(
    home: GateHome,
    ledger: list[str],
    capfd: pytest.CaptureFixture[str],
    off: timedelta,
    said: str,
) -> None:
    home.clock.time += off
    assert home.run("run", "deploy-approval", "--", *PASS) == 0, "its check needs no clock"
    told = capfd.readouterr().err
    assert f"the clock of this machine is {said} the ledger's (limit 120 s)" in told
    assert "hint: fix: timedatectl set-ntp true" in told
    assert home.run("flush", "deploy-approval") == 3
    assert set(ledger) == {"GET /checkpoint"}
    assert not home.spool.exists()


def test_what_was_counted_while_the_clock_was_ahead_is_stated_with_the_right_time(
    home: GateHome, ledger: list[str]
) -> None:
    true = home.clock.time
    home.clock.time += DAY
    assert home.run("run", "deploy-approval", "--", *PASS) == 0
    home.clock.time = true
    assert home.run("run", "deploy-approval", "--", *FAIL) == 3
    (tally,) = home.spooled()
    assert isinstance(tally, Passages)
    assert (tally.passed, tally.blocked) == (1, 1)
    assert tally.end <= true
    assert home.dates() == [true]
    assert "POST /append" in ledger or len(ledger) > 2, "nothing was sent with the right clock"


def test_a_bypass_spooled_while_the_clock_was_ahead_does_not_wait_for_that_time(
    home: GateHome, ledger: list[str]
) -> None:
    """Nor does any record behind it: a gate's times may not go back."""
    true = home.clock.time
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    home.clock.time += timedelta(minutes=20)
    given = ("--token", token, "--for", "42", "--", *FAIL)
    assert home.run("run", "deploy-approval", *given) == 0
    (bypass,) = home.spooled()
    assert isinstance(bypass, Bypassed)
    home.clock.time = true + timedelta(seconds=1)
    assert home.run("run", "deploy-approval", "--", *PASS) == 0
    assert home.dates() == [home.clock.time] * 2
    judged = home.org.state_that("gate:deploy-approval", home.spooled()[0])
    assert judged.holds, judged.why


def test_without_an_answer_of_the_ledger_the_clock_is_taken_for_right(home: GateHome) -> None:
    home.clock.time += DAY
    assert home.run("run", "deploy-approval", "--", *PASS) == 0
    (tally,) = home.spooled()
    assert isinstance(tally, Passages)
