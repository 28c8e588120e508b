"""The monitor shows reviews, alerts and verdicts to those whom they concern, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.clock import SystemClock, to_milliseconds
from breakglass.http.client import Peer
from breakglass.http.request_signature import REQUEST, SESSION, sign_request
from breakglass.monitor.app import Monitor
from breakglass.monitor.routes import routes
from breakglass.records.session import USUAL, Session, carried, session_text
from breakglass.records.signing.signature import SESSION_NAMESPACE
from breakglass.tlog.note import SignerKey
from tests.monitor.served import served
from tests.monitor.stand_ins import Shop, eventually


@dataclass
class Asking:
    """A peer of a served monitor, with whatever headers a test gives."""

    shop: Shop
    monitor: Monitor
    peer: Peer

    def signed(self, key: SignerKey, target: str) -> dict[str, str]:
        """Return the headers of one request."""
        to, now = self.monitor.process.check.keys[0], to_milliseconds(SystemClock().now())
        return {REQUEST: sign_request(key, self.shop.org.log_name, to, "GET", target, b"", now)}

    def as_person(self, who: str, target: str) -> tuple[int, dict[str, object]]:
        """Read by a fresh session."""
        key, now = SignerKey.generate("session"), to_milliseconds(SystemClock().now())
        said = Session(
            self.shop.org.log_name, who, key.verifier.public.hex(), now, now + USUAL, "0" * 32
        )
        signed = self.shop.org.people[who].sign(session_text(said), SESSION_NAMESPACE)
        headers = {SESSION: carried(signed), **self.signed(key, target)}
        reply = self.peer.send("GET", target, headers=headers)
        return reply.status, json.loads(reply.body)


@pytest.fixture
def asking(shop: Shop, folder: Path, monitor_of: Callable[..., Monitor]) -> Iterator[Asking]:
    monitor = monitor_of(folder)
    eventually(lambda: monitor.following.live and monitor.process.catching_up.current)
    with served(monitor) as address, Peer(address, within=timedelta(seconds=15)) as peer:
        yield Asking(shop, monitor, peer)


def test_the_monitor_shows_nothing_unsigned_nor_to_a_gate(asking: Asking) -> None:
    org = asking.shop.org
    shown = [row for row in routes(asking.monitor) if row.method == "GET"]
    closed = [re.sub(r"\{\w+\}", "g-aaaaaaaaaaaa", row.path) for row in shown]
    closed.remove("/healthz")
    assert len(closed) == 9
    for target in closed:
        gate = asking.signed(org.submitters["gate:deploy-approval"], target)
        for headers, status in (({}, 401), (gate, 403)):
            reply = asking.peer.send("GET", target, headers=headers)
            told = json.loads(reply.body)
            assert (reply.status, set(told)) == (status, {"error", "message", "hint"}), target
        ours = asking.signed(org.submitters["broker"], target)
        assert asking.peer.send("GET", target, headers=ours).status in (200, 403)
        again = json.loads(asking.peer.send("GET", target, headers=ours).body)
        assert again["error"] == "repeated_request", target


def test_a_review_is_shown_to_who_broke_who_reviews_and_to_nobody_else(asking: Asking) -> None:
    broken = asking.shop.breaks()
    eventually(lambda: asking.monitor.view.size > broken.index)
    path = f"/reviews/{broken.grant}"
    for who, shown in (("mira", True), ("sam", True), ("teo", False)):
        status, told = asking.as_person(who, path)
        assert (status == 200) is shown, (who, told)
        assert shown or told["error"] == "not_a_reader"
        _, listed = asking.as_person(who, "/reviews")
        found = [each["grant"] for each in listed["reviews"]]  # type: ignore[attr-defined]
        assert found == ([broken.grant] if shown else []), who


def test_alerts_are_shown_to_who_reads_all(asking: Asking) -> None:
    status, told = asking.as_person("mira", "/alarms")
    assert (status, told["error"]) == (403, "not_a_reader")
    assert asking.as_person("mira", "/gates")[0] == 200
    assert asking.as_person("mira", "/status")[0] == 200
