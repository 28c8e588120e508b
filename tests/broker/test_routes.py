"""Every route of broker, minter and ledger answers as it always has, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from breakglass.http.request_signer import RequestSigner
from breakglass.records.statement import Declare, Do, Kill, Target, Why
from breakglass.submit.record_header import text_digest
from breakglass.tlog.note import Note
from breakglass.tlog.tiles import encode_bundle
from breakglass.token.token import parse_token
from tests.broker.shop import Asking, _nonce, _now
from tests.doors.door_shop import DoorShop, running_door_shop
from tests.kit.answers import Recorded
from tests.kit.processes import ORIGIN, until

ANSWERS = Path(__file__).parent / "answers.txt"


def test_each_route_answers_as_recorded(tmp_path: Path) -> None:
    with running_door_shop(tmp_path) as shop:
        broker, minter = shop.brokers[0].address, shop.minters[0].address
        ledger = shop.logs.ledger.address
        reads = RequestSigner(ORIGIN, shop.keys["broker"], lambda key: True)
        recorded = Recorded(ANSWERS, dict.fromkeys((broker, minter, ledger), reads))
        _ask_broker(recorded, shop, broker)
        _ask_minter(recorded, shop, minter)
        _ask_ledger(recorded, shop, ledger)
        with shop.without_ledger():
            _ask_door(recorded, shop, broker)
    recorded.compare()


def _ask_broker(recorded: Recorded, shop: DoorShop, broker: str) -> None:
    ask = recorded.ask
    ask(broker, "GET", "/healthz")
    ask(broker, "GET", "/glasses")
    ask(broker, "GET", "/glasses/mine")
    ask(broker, "GET", "/incidents")
    ask(broker, "GET", "/suspensions")
    ask(broker, "GET", "/minters")
    ask(broker, "GET", "/grants", shown="GET /grants, of none")
    plain, minted = shop.asking("deploy-rollback"), shop.asking()
    ask(broker, "POST", "/break", plain.body, "POST /break, a token")
    ask(broker, "POST", "/break", minted.body, "POST /break, a credential")
    until(lambda: shop.kinds(minted.grant) == ["asked", "intent", "minted", "usable"])
    shop.wait_state(minted.grant, "usable")
    ask(broker, "GET", f"/grants/{plain.grant}", shown="GET /grants/ID, recorded")
    ask(broker, "GET", f"/grants/{minted.grant}", shown="GET /grants/ID, usable")
    ask(broker, "GET", f"/grants/{plain.grant}/token", shown="GET /grants/ID/token")
    ask(broker, "GET", f"/grants/{minted.grant}/credential", shown="GET /grants/ID/credential")
    ask(broker, "GET", f"/grants/{plain.grant}/credential", shown="GET credential, of none")
    ask(broker, "GET", "/grants/g-aaaaaaaaaaaa", shown="GET /grants/ID, unknown")
    ask(broker, "GET", "/grants")
    ask(broker, "POST", "/done", _done(shop, plain), "POST /done, no minter")
    ask(broker, "POST", "/done", _done(shop, minted), "POST /done, a minter")
    shop.wait_state(minted.grant, "dead")
    ask(broker, "GET", f"/grants/{minted.grant}", shown="GET /grants/ID, dead")
    _ask_approvers(recorded, shop, broker)
    ask(broker, "POST", "/policy", shop.active, "POST /policy, the same again")
    ask(broker, "POST", "/policy", shop.activation(), "POST /policy, no newer")
    ask(broker, "POST", "/policy", {**shop.activation(), "bundle": "%"}, "POST /policy, no base64")
    ask(broker, "POST", "/trust", {"note": shop.trust_note().encoded().decode()})
    ask(broker, "POST", "/keys", {"party": "broker"}, "POST /keys, fields missing")
    why = Why("suspicion", "not hers")
    kill = Kill(Do.KILL, ORIGIN, Target.GLASS, "key-deletion", "sam", why, _now(), _nonce())
    ask(broker, "POST", "/kill", {"statement": shop.signed(kill)})
    ask(broker, "POST", "/kill", {"statement": "me"}, "POST /kill, no statement")
    declare = Declare(
        Do.DECLARE, ORIGIN, "INC-5", "SEV1", "a title — 5xx", "mira", _now(), _nonce()
    )
    ask(broker, "POST", "/incidents", {"statement": shop.signed(declare)})
    ask(broker, "POST", "/incidents", b"{", "POST /incidents, no JSON")
    ask(broker, "POST", "/done", b" " * 70_000, "POST /done, too long")
    ask(broker, "GET", "/doors")
    ask(broker, "GET", "/doors/g-aaaaaaaaaaaa")
    ask(broker, "GET", "/state")
    ask(broker, "GET", "/trust?after=0")
    ask(broker, "GET", "/nowhere")
    ask(broker, "POST", "/glasses")


def _ask_approvers(recorded: Recorded, shop: DoorShop, broker: str) -> None:
    ask = recorded.ask
    asking, nobody = shop.asking("key-deletion", do=Do.ASK), shop.asking()
    ask(broker, "POST", "/asks", asking.body)
    ask(broker, "POST", "/asks", nobody.body, "POST /asks, where it takes nobody")
    ask(broker, "POST", "/break", asking.body, "POST /break, not approved yet")
    ask(broker, "GET", f"/requests/{asking.grant}", shown="GET /requests/ID, waiting")
    ask(
        broker, "POST", "/answers", shop.answering(Do.APPROVE, asking, "mira"), "POST /answers, own"
    )
    ask(broker, "POST", "/answers", shop.answering(Do.APPROVE, asking, "sam"))
    ask(broker, "GET", f"/requests/{asking.grant}?after=0&wait=20", shown="GET /requests/ID, news")
    ask(broker, "GET", f"/requests/{asking.grant}?wait=21", shown="GET /requests/ID, too patient")
    ask(broker, "GET", "/requests/g-aaaaaaaaaaaa", shown="GET /requests/ID, unknown")
    ask(broker, "GET", "/requests", shown="GET /requests, a process")
    ask(broker, "POST", "/done", _done(shop, asking), "POST /done, of an ask")
    until(lambda: shop.get(f"/grants/{asking.grant}")["ended_at"])


def _ask_minter(recorded: Recorded, shop: DoorShop, minter: str) -> None:
    ask = recorded.ask
    asking = shop.asking()
    token = shop.recorded(asking).encoded()
    ask(minter, "POST", "/mint", {"token": token, "asked_ms_ago": 5})
    ask(minter, "POST", "/mint", {"token": "", "asked_ms_ago": 5}, "POST /mint, no token")
    ask(minter, "GET", f"/grants/{asking.grant}/credential", shown="GET credential, the minter's")
    ask(minter, "GET", "/grants/g-aaaaaaaaaaaa/credential", shown="GET credential, unknown")
    ask(minter, "POST", "/end", _done(shop, asking))
    intent = text_digest(Note.parse(parse_token(token.encode()).intent).text)
    ask(minter, "POST", "/forgo", {"grant": asking.grant, "intent": intent})
    until(lambda: shop.wait_state(asking.grant, "dead")["state"] == "dead")
    ask(minter, "GET", "/state", shown="GET /state, the minter's")
    ask(minter, "GET", "/healthz", shown="GET /healthz, the minter's")


def _ask_ledger(recorded: Recorded, shop: DoorShop, ledger: str) -> None:
    ask = recorded.ask
    last = len(shop.records()) - 1
    found = ask(ledger, "GET", f"/entries?from={last}&wait=0", shown="GET /entries")
    key = shop.keys["broker"].verifier.label
    ask(ledger, "GET", f"/submitter/{key}", shown="GET /submitter/KEYID")
    ask(ledger, "GET", "/submitter/nobody.example+00000000")
    ask(ledger, "GET", "/submitter/zz")
    ask(ledger, "GET", f"/proof/{last}", shown="GET /proof/INDEX")
    ask(ledger, "GET", "/proof/1000000")
    ask(ledger, "GET", "/checkpoint")
    note = found["commits"][0]["entries"][-1].encode()
    ask(ledger, "POST", "/append", encode_bundle([note]), "POST /append, the same again")
    ask(ledger, "POST", "/append", b"", "POST /append, of nothing")
    ask(ledger, "GET", f"/attachment/{'0' * 64}", shown="GET /attachment, unknown")
    ask(ledger, "PUT", f"/attachment/{'0' * 64}", b"x", "PUT /attachment, no permit")
    ask(ledger, "GET", "/tile/x")
    ask(ledger, "GET", "/tile/entries/000")
    until(lambda: shop.logs.ledger.neighbour().get("/healthz").json()["away"] == {})
    ask(ledger, "GET", "/healthz", shown="GET /healthz, the ledger's")


def _ask_door(recorded: Recorded, shop: DoorShop, broker: str) -> None:
    ask = recorded.ask
    asking = shop.asking_door("orders-repair")
    told = ask(broker, "POST", "/doors", {**asking.body, "presentation": None})
    words = shop.words(asking, "ines", "ravi")
    path = f"/doors/{asking.grant}"
    body = {"statement": told["statement"], "countersigned": words}
    told = ask(broker, "POST", path, body, "POST /doors/ID")
    token = shop.minter_token(asking, told)
    ask(broker, "POST", f"{path}/mint", {"token": token}, "POST /doors/ID/mint")
    ask(broker, "GET", path, shown="GET /doors/ID")
    ask(broker, "GET", "/doors", shown="GET /doors, of one")


def _done(shop: DoorShop, asking: Asking) -> dict[str, Any]:
    return {"grant": asking.grant, "statement": shop.done_statement(asking, "mira")}
