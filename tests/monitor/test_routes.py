"""Every route of the monitor answers as it always has, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from breakglass.http.request_signer import RequestSigner
from breakglass.monitor.app import Monitor
from breakglass.records import all_kinds as kinds
from breakglass.strict_json import write
from tests.kit.answers import Recorded
from tests.monitor.served import served
from tests.monitor.stand_ins import Shop, eventually, moment

ANSWERS = Path(__file__).parent / "answers.txt"


def test_each_route_answers_as_recorded(
    shop: Shop, folder: Path, monitor_of: Callable[..., Monitor]
) -> None:
    monitor = monitor_of(folder)
    eventually(lambda: monitor.following.live)
    broken = shop.breaks()
    shop.bypasses(broken)
    now, counts = moment(), (900, 40, 10, 1, 0)
    tally = kinds.Passages("deploy-approval", now, now, *counts, p50_ms=1, p99_ms=2, flaky=())
    shop.states("gate:deploy-approval", tally)
    eventually(lambda: monitor.gates.records().bypasses and monitor.gates.records().tallies)
    eventually(lambda: all(each.last_delivered for each in monitor.ringing.summary().values()))
    said = shop.org.review_gate(at=moment(), look_again=moment() + timedelta(weeks=9))
    with served(monitor) as address:
        reads = RequestSigner(shop.org.log_name, shop.org.submitters["broker"], lambda key: True)
        recorded = Recorded(ANSWERS, {address: reads})

        def ask(path: str, shown: str = "") -> None:
            recorded.ask(address, "GET", path, shown=shown)

        ask("/reviews")
        ask(f"/reviews/{broken.grant}", "GET /reviews/GRANT")
        ask(f"/reviews/{broken.grant}/yaml", "GET /reviews/GRANT/yaml")
        ask("/reviews/g-aaaaaaaaaaaa")
        ask("/gates")
        ask("/gates/history")
        recorded.ask(address, "POST", "/gates/deploy-approval/reviewed", b"{}")
        body = {"statement": write(shop.org.sign(said))}
        recorded.ask(address, "POST", "/gates/orders-write/reviewed", body)
        recorded.ask(address, "POST", "/gates/deploy-approval/reviewed", body, "POST …/reviewed")
        ask("/alarms?most=1")
        ask("/state")
        ask("/status")
        ask("/healthz")
        ask("/nowhere")
        recorded.ask(address, "POST", "/status")
        monitor.belief.end("it forked", "", 3)
        ask("/healthz", "GET /healthz, broken")
    recorded.compare()
