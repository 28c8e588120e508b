"""The interface as it is written down: compared with the routes, and tried on real processes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from breakglass.clock import SystemClock, to_milliseconds
from breakglass.errors import MalformedError
from breakglass.http.client import Peer
from breakglass.http.request_signature import REQUEST, sign_request
from breakglass.tlog.note import SignerKey
from tests.broker.shop import Shop, shared_shop
from tests.embedded.monitored import monitored_shop, process_of
from tests.http.openapi import FOLDER, written
from tests.kit.processes import ORIGIN, Process

DOCUMENTS: dict[str, Any] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
# What changes the shared shop if it is asked rightly; a wrong body is what is tried here anyway.
EXAMPLES = 12


def operations(process: str) -> list[tuple[str, str]]:
    """Return method and path of every operation."""
    return [
        (method.upper(), path)
        for path, methods in DOCUMENTS[process]["paths"].items()
        for method in methods
    ]


OPERATIONS = [
    (process, *operation)
    for process in ("broker", "ledger", "minter", "witness", "archiver")
    for operation in operations(process)
]


def test_the_documents_are_those_of_the_routes() -> None:
    found = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert found == written(), "write them again: python -m tests.http.openapi"


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    return shared_shop()


def running(shop: Shop, process: str) -> Process:
    logs = shop.logs
    return {
        "broker": shop.brokers[0],
        "minter": shop.minters[0],
        "ledger": logs.ledger,
        "witness": logs.witnesses[0],
        "archiver": logs.archiver,
    }[process]


@pytest.mark.parametrize(
    ("process", "method", "path"), OPERATIONS, ids=[" ".join(each) for each in OPERATIONS]
)
def test_no_request_gets_an_answer_that_is_not_written_down(
    shop: Shop, process: str, method: str, path: str
) -> None:
    """Made up by schemathesis, signed and unsigned, of the right form and of wrong ones."""
    asked = running(shop, process)
    tried(DOCUMENTS[process], asked.address, shop.keys["broker"], ORIGIN, method, path)
    assert "Traceback" not in asked.said()


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with monitored_shop(tmp_path_factory.mktemp("monitored")) as found:
        yield found


@pytest.mark.parametrize(
    ("method", "path"),
    operations("monitor"),
    ids=[" ".join(each) for each in operations("monitor")],
)
def test_no_request_gets_an_answer_of_the_monitor_that_is_not_written_down(
    monitored: Shop, method: str, path: str
) -> None:
    """As the others; a broker reads there as a neighbour does."""
    asked = process_of(monitored, "monitor")
    key = monitored.keys["broker"]
    tried(DOCUMENTS["monitor"], asked.address, key, ORIGIN, method, path)
    assert "Traceback" not in asked.said()


def tried(
    document: dict[str, Any], address: str, key: SignerKey, log: str, method: str, path: str
) -> None:
    """Try one operation of a running process; see the test."""
    with Peer(address) as peer:
        keys = peer.get("/healthz").json().get("keys")
        to = str(keys[0]) if keys else str(key.verifier)  # who reads there is not asked
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=address)
    operation = schema[path][method]
    cases = operation.as_strategy() | operation.as_strategy(
        generation_mode=schemathesis.GenerationMode.NEGATIVE
    )

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, signs=st.booleans())
    def run(case: Any, signs: bool) -> None:
        if "wait" in case.query:
            case.query["wait"] = 0  # seconds that a poll may take; another test waits
        headers = {}
        if signs:
            headers[REQUEST] = signature(case.as_transport_kwargs(base_url=address))
        response = case.call(base_url=address, headers=headers)
        case.validate_response(response, checks=list(CHECKS))

    def signature(sent: dict[str, Any]) -> str:
        given_ = {name: sent.get(name) for name in ("params", "json", "data")}
        made = requests.Request(method, sent["url"], **given_).prepare()
        body = made.body or b""
        raw = body.encode() if isinstance(body, str) else bytes(body)
        now = to_milliseconds(SystemClock().now())
        with contextlib.suppress(MalformedError):
            return sign_request(key, log, to, method, made.path_url, raw, now)
        return "a target that cannot be signed"

    run()
