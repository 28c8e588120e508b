"""Real processes show nothing to who does not say who they are, and the reference says to whom."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from breakglass.clock import SystemClock, to_milliseconds
from breakglass.http.client import Peer
from breakglass.http.request_signature import REQUEST, SESSION, sign_request
from breakglass.http.routes import Route
from breakglass.records.session import Session, carried, session_text
from breakglass.records.signing.signature import SESSION_NAMESPACE
from breakglass.records.statement import Target
from breakglass.tlog.key import ED25519
from breakglass.tlog.note import SignerKey
from breakglass.tlog.tiles import encode_bundle
from tests.broker.shop import Asking, Shop, shared_shop
from tests.http.reader_table import PAGE, rule, tables, written
from tests.kit.processes import ORIGIN, Process, draft, signed, until

TABLES = tables()
CLOSED = [
    (process, row)
    for process, rows in TABLES.items()
    for row in rows
    if rule(row) != "nobody" and process != "monitor"  # that one's: tests/monitor/test_readers.py
]
NAMES = [f"{process} {row.method} {row.path}" for process, row in CLOSED]


def filled(row: Route) -> str:
    """Return a path of this route."""
    values = {"grant": "g-aaaaaaaaaaaa", "digest": "0" * 64, "rest": "000", "gate": "x"}
    path = re.sub(r"\{(\w+)(:path)?\}", lambda name: values[name[1]], row.path)
    return f"{path}?from=0&wait=0" if path == "/entries" else path


@pytest.fixture
def shop() -> Iterator[Shop]:
    return shared_shop()


def process_of(shop: Shop, name: str) -> Process:
    return {"broker": shop.brokers[0], "minter": shop.minters[0], "ledger": shop.logs.ledger}[name]


def keys_of(peer: Peer) -> str:
    return str(peer.get("/healthz").json()["keys"][0])


def headers(key: SignerKey, to: str, target: str, method: str = "GET") -> dict[str, str]:
    now = to_milliseconds(SystemClock().now())
    body = b"{}" if method == "POST" else b""
    return {REQUEST: sign_request(key, ORIGIN, to, method, target, body, now)}


def test_the_reference_says_who_reads_what() -> None:
    assert written() == PAGE.read_text(), "write it again: python -m tests.http.reader_table"


def test_every_route_that_shows_something_asks_who_reads_it() -> None:
    """A new route is closed, or stands here with a reason."""
    open_to_all = {
        "ledger": {  # how the log began; where one's own chain stands; proofs and hashes
            *("/genesis", "/submitter/{key:path}", "/proof/{index}", "/checkpoint"),
            "/tile/{rest:path}",
        },
        # To write a statement with; signed files; where to go.
        "broker": {"/glasses", "/cards", "/trust", "/join"},
        "minter": set(),
        "monitor": set(),
        "witness": {"/{origin_hash}/checkpoint"},
        "archiver": {"/{origin_hash}/checkpoint", "/doctor"},
    }
    for process, rows in TABLES.items():
        found = {row.path for row in rows if row.method == "GET" and rule(row) == "nobody"}
        assert found == open_to_all[process] | {"/healthz"}, process


@pytest.mark.parametrize(("process", "row"), CLOSED, ids=NAMES)
def test_nothing_is_shown_unsigned_nor_to_a_gate_nor_twice_nor_elsewhere(
    shop: Shop, process: str, row: Route
) -> None:
    path, asked = filled(row), process_of(shop, process)
    body = b"{}" if row.method == "POST" else b""
    with Peer(asked.folder, name=process) as peer:
        to = keys_of(peer)
        other = str(shop.keys["monitor"].verifier)
        good = headers(shop.keys["broker"], to, path, row.method)
        attacks = {
            "unsigned": ({}, 401, "unsigned_request"),
            "a stranger": (
                headers(SignerKey.generate("x"), to, path, row.method), 403, "not_a_reader"
            ),
            "a gate": (
                headers(shop.keys["gate:deploy-approval"], to, path, row.method),
                403, "not_a_reader",
            ),
            "made for another": (
                headers(shop.keys["broker"], other, path, row.method), 403, "wrong_process"
            ),
            "made for another path": (
                headers(shop.keys["broker"], to, "/healthz", row.method), 422, "other_request"
            ),
        }  # fmt: skip
        for attack, (shown, status, name) in attacks.items():
            reply = peer.send(row.method, path, body, headers=shown)
            told = json.loads(reply.body)
            assert (reply.status, told["error"]) == (status, name), attack
            assert set(told) == {"error", "message", "hint"}
        first = peer.send(row.method, path, body, headers=good)
        assert b"repeated_request" not in first.body
        again = peer.send(row.method, path, body, headers=good)
        assert (again.status, json.loads(again.body)["error"]) == (403, "repeated_request")


def session(shop: Shop, who: str, key: SignerKey, **changes: object) -> dict[str, str]:
    now = to_milliseconds(SystemClock().now())
    said = Session(
        ORIGIN, who, key.verifier.public.hex(), now, now + timedelta(hours=1), f"{0:032x}"
    )
    text = session_text(replace(said, **changes))  # type: ignore[arg-type]
    return {SESSION: carried(shop.people[who].sign(text, SESSION_NAMESPACE))}


def test_a_session_reads_at_the_broker_until_its_person_is_stopped(shop: Shop) -> None:
    key = SignerKey("session", ED25519, b"\x07" * 32)
    shown = session(shop, "bo", key)
    with Peer(shop.brokers[0].folder, name="broker") as broker:
        to = keys_of(broker)

        def reads() -> tuple[int, str]:
            reply = broker.send("GET", "/grants", headers={**shown, **headers(key, to, "/grants")})
            return reply.status, str(json.loads(reply.body).get("error", ""))

        assert reads() == (200, "")
        try:
            shop.kill(Target.PERSON, "bo")
            until(lambda: reads() == (403, "suspended"))
        finally:
            shop.lift(Target.PERSON, "bo")
        until(lambda: reads() == (200, ""))
        # It reads. It is no word of its person's.
        text = json.loads(base64.b64decode(shown[SESSION]))["session"]
        for path in ("/kill", "/incidents", "/break"):
            value = {"statement": text}
            value |= {"presentation": None} if path == "/break" else {}
            assert broker.send("POST", path, json.dumps(value).encode()).status in (400, 422)


def test_the_holder_key_reads_its_grant_without_a_session(shop: Shop) -> None:
    asking: Asking = shop.asking("deploy-rollback")
    shop.break_glass(asking)
    key = SignerKey("holder", ED25519, asking.holder.seed)
    with Peer(shop.brokers[0].folder, name="broker") as broker:
        to = keys_of(broker)
        for path in (f"/grants/{asking.grant}", f"/grants/{asking.grant}/token"):
            assert broker.send("GET", path, headers=headers(key, to, path)).status == 200
        for path in ("/grants", "/grants/g-aaaaaaaaaaaa", "/state"):
            assert broker.send("GET", path, headers=headers(key, to, path)).status == 403
    shop.done(asking)


def test_trust_files_are_for_everybody_and_in_order(shop: Shop) -> None:
    with Peer(shop.brokers[0].folder, name="broker") as broker:
        told = broker.get("/trust?after=0").json()
        assert told["more"] is False
        assert told["files"][0].startswith("breakglass.dev/trust/v1\n")
        last = len(told["files"])
        assert broker.get(f"/trust?after={last}").json() == {"files": [], "more": False}


def test_the_ledger_shows_its_entries_to_a_reader_who_appends_nothing(shop: Shop) -> None:
    reader = SignerKey.generate("auditor.example")
    path = shop.logs.ledger.folder / "submitters"
    before = path.read_text()
    path.write_text(f"{before}{reader.verifier} reader\n")
    try:
        with Peer(shop.logs.ledger.folder, name="ledger") as ledger:
            to, target = keys_of(ledger), "/entries?from=0&wait=0"
            until(
                lambda: (
                    ledger.send("GET", target, headers=headers(reader, to, target)).status == 200
                )
            )
            note = signed(draft("x"), reader, 0, "0" * 64)
            refusal = ledger.send("POST", "/append", encode_bundle([note]))
            assert json.loads(refusal.body)["error"] == "unknown_submitter"
    finally:
        path.write_text(before)


def test_a_break_asks_for_no_session(shop: Shop) -> None:
    """(Q-14) What a client needs to write a statement is open; people's names are not in it."""
    with Peer(shop.brokers[0].folder, name="broker") as broker:
        told = broker.get("/glasses").json()
    assert {"glass", "does", "mints", "for_s"} <= set(told["glasses"][0])
    assert "mira" not in json.dumps(told)
