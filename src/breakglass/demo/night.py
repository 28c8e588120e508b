"""The night itself: an incident, a row repaired, a gate opened, and the end of a grant."""

from __future__ import annotations

import http.server
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from breakglass.clock import Deadline, SystemClock, parse_time
from breakglass.demo.shop import GATE, MINTER, REPAIR, ROLLBACK, Shop
from breakglass.demo.stage import Stage
from breakglass.demo.target import Target
from breakglass.demo.terminal import Terminal
from breakglass.demo.webhook_sink import WebhookSink
from breakglass.embedded.up import Organisation

INCIDENT = "INC-4821"
RUN = "812"
_ALARM_WITHIN_S = 10.0
_RECORDED_WITHIN = timedelta(seconds=25)


@dataclass
class Night:
    """Everything that the acts share: the stage, the organisation, and what happened so far."""

    stage: Stage
    shop: Shop
    running: Organisation
    target: Target
    hook: WebhookSink
    mira: Terminal
    folder: Path
    repair: dict[str, Any] = field(default_factory=dict)
    rollback: dict[str, Any] = field(default_factory=dict)
    session: Any = None
    session_said: str = ""
    secret: str = field(default="", repr=False)

    def token_file(self, name: str) -> Path:
        """Return where a token is kept."""
        return self.folder / f"token-{name}"


def opening(night: Night) -> None:
    """An incident is declared, by mira's own signed word."""
    stage, mira = night.stage, night.mira
    stage.scene("03:14, orders are stuck")
    with stage.check("an incident is declared, signed by mira's security key") as check:
        said = mira.types(
            "incident", "declare", INCIDENT, "--severity", "SEV1", "--title", "orders stuck"
        )
        check.took = said.took
        check.require(said.code == 0, said.last)


def repair(night: Night) -> None:
    """The first glass: a credential for one table, made now, gone in seconds."""
    stage, mira = night.stage, night.mira
    asked = time.monotonic()
    with stage.check("mira breaks orders-repair") as check:
        said = mira.types("break", REPAIR, "--incident", INCIDENT, "--why", "order 2 is stuck")
        check.took = said.took
        check.require(said.code == 0, said.last)
        found = said.row("grant  ")
        # The minter answers first and records ``usable`` behind it.
        recorded = _until(lambda: night.running.read("broker", f"/grants/{found}")["usable_at"])
        night.repair = mira.asks("status", found)
        check.require(recorded, f"no 'usable' within {_RECORDED_WITHIN.total_seconds():g} s")
        usable = night.repair["since_asked_ms"]
        check.says(f"mira broke {REPAIR}: usable {usable} ms after she asked")
    grant = night.repair.get("grant", "none")
    with stage.check("with the credential she repairs the row") as check:
        fix = "update orders set state = 'paid' where id = 2"
        said = mira.types("psql", grant, "-q", "-c", fix)
        check.took = said.took
        check.require(said.code == 0, said.last)
        state = night.target.value("select state from orders where id = 2")
        check.require(state == "paid", f"the row says {state!r}")
    with stage.check("what the glass does not grant is refused by the database") as check:
        said = mira.types("psql", grant, "-c", "select * from cards_on_file")
        check.took = said.took
        check.require(said.code != 0 and "permission denied" in said.err, said.last)
    with stage.check("she leaves a psql session open, and ends the client that guards it"):
        _leave_session_open(night, grant)
    with stage.check("everybody heard it: the alarm is at the webhook") as check:
        heard = night.hook.wait_for(
            lambda each: each.body.get("subject") == "broke_glass" and each.body["about"] == grant,
            _ALARM_WITHIN_S,
        )
        check.require(heard is not None, "no alarm within 10 s")
        assert heard is not None
        check.took = heard.at - asked
        check.require(night.hook.forged == 0, "an alarm came that the monitor did not sign")
        stage.said(str(heard.body.get("text", ""))[:225] + " …")


def _leave_session_open(night: Night, grant: str) -> None:
    """Open psql and end the client that watches over it, as somebody would who wants to stay."""
    secret = night.mira.types("run", grant, "--", "printenv", "PGPASSWORD", show=False)
    night.secret = secret.out.strip()
    night.session = night.mira.opens("psql", grant, "-qAt")
    night.session.stdin.write("select 'open as', current_user;\n")
    night.session.stdin.flush()
    # The line comes when the session stands; from then on only the database can end it.
    night.session_said = night.session.stdout.readline().strip()
    night.session.kill()
    night.session.wait()


def gate(night: Night) -> None:
    """The second glass: a gate whose check service is down is opened by a token, offline."""
    stage, mira, shop = night.stage, night.mira, night.shop
    stage.scene("03:16, the deploy gate cannot be asked")
    check_file, service = _check_service(night.folder)
    command = ("--folder", str(shop.gate), "--", sys.executable, str(check_file))
    shown = ("breakglass-gate", "run", GATE, "--", "./checks.sh")
    with stage.check("while its check service answers, the gate opens by itself") as check:
        said = mira.gate("run", GATE, *command)
        check.took = said.took
        check.require(said.code == 0, said.last)
    service.shutdown()
    service.server_close()
    with stage.check("its check service is down: the gate is shut") as check:
        said = mira.gate("run", GATE, *command, show=shown)
        check.took = said.took
        check.require(said.code == 5, f"exit {said.code}: {said.last}")
    with stage.check("mira breaks deploy-rollback; it mints nothing, the token is all") as check:
        said = mira.types("break", ROLLBACK, "--incident", INCIDENT, "--why", "roll back 4711")
        check.took = said.took
        check.require(said.code == 0, said.last)
        night.rollback = mira.asks("status", said.row("grant  "))
    grant = night.rollback.get("grant", "none")
    token = night.token_file("good")
    made = mira.types(
        "gate", "token", grant, "--gate", GATE, "--for", RUN, "--out", str(token), show=False
    )
    stage.command("breakglass", "gate", "token", grant, "--gate", GATE, "--for", RUN, ">", "token")
    shop.cut_off_gate()
    with stage.check("the token opens the gate offline: its line to the ledger is cut") as check:
        check.require(made.code == 0, made.last)
        said = mira.gate(
            "run", GATE, "--token", str(token), "--for", RUN, *command,
            show=(*shown[:3], "--token", "token", "--for", RUN, *shown[3:]),
        )  # fmt: skip
        check.took = said.took
        check.require(said.code == 0, f"exit {said.code}: {said.last}")
    shop.connect_gate()
    with stage.check("the line is back: the bypass is handed over to the ledger") as check:
        said = mira.gate("flush", GATE, "--folder", str(shop.gate), "--json")
        check.took = said.took
        check.require(said.code == 0 and said.json()["left"] == 0, said.last)
    with stage.check("the same token for another run is refused") as check:
        said = mira.gate("run", GATE, "--token", str(token), "--for", "813", *command)
        check.took = said.took
        check.require(said.code == 3 and "wrong_run" in said.err, f"exit {said.code}: {said.last}")


def expiry(night: Night) -> None:
    """The grant ends while a session is open; nobody does anything."""
    stage, mira = night.stage, night.mira
    stage.scene("The first grant ends; nobody has to remember to")
    grant = night.repair.get("grant", "none")
    until = parse_time(night.repair["not_after"]) if night.repair else SystemClock().now()
    left = max(0.0, (until - SystemClock().now()).total_seconds())
    stage.tell(f"It ends at {until:%H:%M:%S}, {left:.0f} s from now; a psql session is still open.")
    handle = f"bg_{grant.removeprefix('g-')}"
    with stage.check("the open psql session is cut when the grant ends") as check:
        check.require("open as" in night.session_said, f"psql said {night.session_said!r}")
        live = f"select count(*) from pg_stat_activity where usename = '{handle}'"
        check.require(_until(lambda: night.target.value(live) == 0), "it is still open")
        late = max(0.0, (SystemClock().now() - until).total_seconds())
        night.session.stdin.write("select 'still here';\n")
        out, _ = night.session.communicate(timeout=_RECORDED_WITHIN.total_seconds())
        check.require("still here" not in out, "the session still answers")
        check.require("terminating connection" in out, f"psql said {out[-200:]!r}")
        check.took = late
    with stage.check("a login with the same password is refused by the database") as check:
        why = night.target.refuses(handle, night.secret)
        check.require(night.secret, "the credential was never read")
        check.require(why, "the database let it in")
        said = mira.types("psql", grant, "-c", "select 1")
        check.took = said.took
        check.require(said.code == 3, f"exit {said.code}: {said.last}")
    with stage.check("its death is recorded") as check:
        check.require(
            _until(lambda: night.running.read("broker", f"/grants/{grant}")["state"] == "dead"),
            "no 'dead' within 25 s",
        )
        found = night.running.read("broker", f"/grants/{grant}")
        left = night.target.value(f"select count(*) from pg_roles where rolname = '{handle}'")
        check.require(left == 0, f"the role {handle!r} is still there")
        tail = found["tail_ms"] / 1000
        check.says(f"'dead' is on record: access outlived the grant by {tail:.1f} s")


def _until(holds: Callable[[], object]) -> bool:
    return any(holds() for _ in Deadline(_RECORDED_WITHIN).tries(0.1))


def _check_service(folder: Path) -> tuple[Path, http.server.ThreadingHTTPServer]:
    """Make the gate's check: it asks a service, and says 75 if that cannot be reached."""

    class Yes(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *unused: object) -> None:
            """Say nothing."""

    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Yes)
    service.daemon_threads = True
    threading.Thread(target=service.serve_forever, daemon=True).start()
    port = service.server_address[1]
    check = folder / "check.py"
    check.write_text(
        "import http.client, sys\n"
        "try:\n"
        f"    line = http.client.HTTPConnection('127.0.0.1', {port}, timeout=3)\n"
        "    line.request('GET', '/signed-off')\n"
        "    sys.exit(0 if line.getresponse().status == 204 else 1)\n"
        "except OSError:\n"
        "    sys.exit(75)  # could not be evaluated\n",
        "ascii",
    )
    return check, service


__all__ = ["GATE", "INCIDENT", "MINTER", "Night", "expiry", "gate", "opening", "repair"]
