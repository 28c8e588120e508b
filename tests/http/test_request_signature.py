"""Signed requests: every broken one is refused by name, and a good one counts once."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from vectors.request.make import made

from breakglass.clock import parse_time
from breakglass.errors import BreakglassError, RefusedError, UnavailableError
from breakglass.http.request_check import NonceMemory, RequestCheck
from breakglass.http.request_signature import REQUEST, read_request, request_text, sign_request
from breakglass.http.request_signer import RequestSigner
from breakglass.http.routes import Request, StatusError
from breakglass.tlog.note import COSIGNATURE, SignerKey
from tests.kit.reading import PROCESS, READER, REQUEST_TEXT

CASES = Path(__file__).resolve().parents[2] / "vectors" / "request" / "cases.json"
TOLD: dict[str, Any] = json.loads(CASES.read_text())


@dataclass(frozen=True)
class StillClock:
    """A clock that stands."""

    at: datetime

    def now(self) -> datetime:
        """Return its time."""
        return self.at


def check() -> RequestCheck:
    process = TOLD["process"]
    skew = timedelta(seconds=process["skew_s"])
    clock = StillClock(parse_time(process["now"]))
    return RequestCheck(process["log"], process["keys"], clock, lambda: skew)


def asked(case: dict[str, Any]) -> Request[bytes]:
    headers = {REQUEST: case["header"]} if case["header"] else {}
    return Request({}, {}, case["body"].encode(), headers, case["method"], case["target"])


@pytest.mark.parametrize("case", TOLD["cases"], ids=lambda case: case["name"])
def test_a_request_comes_out_as_its_vector_says(case: dict[str, Any]) -> None:
    """(Q-1) (Q-2) (Q-3) (Q-4) (Q-5)"""
    if not case["want"]:
        assert check().signed(asked(case)).key == READER.verifier.public
        return
    with pytest.raises(BreakglassError) as refusal:
        check().signed(asked(case))
    assert refusal.value.name == case["want"]
    assert refusal.value.http_status in (400, 401, 403, 422)


def test_the_vectors_are_those_that_are_made() -> None:
    assert made() == TOLD


def test_who_says_nothing_is_told_with_401_where_to_read_on() -> None:
    """(Q-1)"""
    with pytest.raises(StatusError, match="nobody signed this request") as refusal:
        check().signed(Request({}, {}, b"", {}, "GET", "/grants"))
    assert refusal.value.http_status == 401
    assert "docs/spec/request.md" in refusal.value.hint


def test_no_text_that_a_submitter_signs_for_the_log_is_a_request_and_none_is_a_record() -> None:
    """(Q-2)"""
    assert request_text(REQUEST_TEXT).startswith("breakglass.dev/request/v1\n")
    for header in ("record", "attach", "session", "statement", "presentation", "trust"):
        text = request_text(REQUEST_TEXT).replace("request", header, 1)
        assert text.split("\n")[0] != request_text(REQUEST_TEXT).split("\n")[0]


def test_the_same_request_counts_once_and_another_ones_nonce_is_no_matter() -> None:
    """(Q-7)"""
    process, now = check(), REQUEST_TEXT.at
    other = SignerKey.generate("other.example")
    found = []
    for key in (READER, other):
        value = sign_request(key, REQUEST_TEXT.log, str(PROCESS.verifier), "GET", "/x", b"", now)
        found.append(read_request(value))
    first, second = found
    process.once(first)
    with pytest.raises(RefusedError, match="made before") as refusal:
        process.once(first)
    assert refusal.value.name == "repeated_request"
    process.once(replace(second, text=replace(second.text, nonce=first.text.nonce)))


def test_the_memory_of_nonces_is_bounded_for_each_key_and_refuses_what_it_cannot_keep() -> None:
    """(Q-7)"""
    memory, kept = NonceMemory(kept_of_a_key=3), timedelta(seconds=60)
    for number in range(3):
        assert memory.new(b"a", f"{number:032x}", kept)
    with pytest.raises(StatusError, match="more than 3 requests") as refusal:
        memory.new(b"a", f"{3:032x}", kept)
    assert (refusal.value.http_status, refusal.value.name) == (429, "busy")
    assert memory.new(b"b", f"{3:032x}", kept), "one key that is busy keeps nobody else out"


def test_a_nonce_is_forgotten_when_its_time_is_over() -> None:
    memory = NonceMemory(kept_of_a_key=1)
    assert memory.new(b"a", "0" * 32, timedelta(0))
    assert memory.new(b"a", "0" * 32, timedelta(0))


def test_a_cosigners_key_signs_requests_too() -> None:
    key = SignerKey.generate("archiver.example", COSIGNATURE)
    now = REQUEST_TEXT.at
    value = sign_request(key, REQUEST_TEXT.log, str(PROCESS.verifier), "GET", "/x", b"", now)
    assert read_request(value).key == key.verifier.public


def test_nothing_is_signed_for_a_process_that_the_trust_file_does_not_give() -> None:
    """(Q-8)"""
    stolen = SignerKey.generate("monitor.example")
    signer = RequestSigner(REQUEST_TEXT.log, READER, lambda key: key == PROCESS.verifier)
    assert signer.choose([str(stolen.verifier), str(PROCESS.verifier)], "'x'") == str(
        PROCESS.verifier
    )
    for keys in ([str(stolen.verifier)], [], None, ["no key"], "text", [{}]):
        with pytest.raises(UnavailableError, match="asked nothing") as refusal:
            signer.choose(keys, "'broker'")
        assert refusal.value.name == "wrong_process"
