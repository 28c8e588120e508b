"""Answers of brokers that are older than this client, or lack what they are for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.lying_broker import Responder, responder


@pytest.fixture
def mira(tmp_path: Path) -> Iterator[Responder]:
    with responder(tmp_path) as found:
        yield found


def test_an_older_broker_without_requests_still_shows_what_is_granted(mira: Responder) -> None:
    def missing(path: str) -> dict[str, str]:
        return {"error": "no_route", "message": f"no such path: {path}", "hint": ""}

    honest = mira.broker.lie
    honest["/incidents"] = lambda _: {"incidents": []}
    honest["/grants"] = lambda _: {"grants": []}
    honest["/doors"] = lambda _: {"unappended": [], "doors": []}
    honest["/requests"] = lambda _: missing("/requests")
    honest["/suspensions"] = lambda _: missing("/suspensions")
    for more in ((), ("--json",)):
        said = mira.types("breakglass", "status", *more)
        assert said.code == 0, said.err
        assert "requests could not be read: no such path: /requests" in said.err
        assert "what is stopped could not be read: no such path: /suspensions" in said.err
    told = json.loads(said.out)
    assert (told["requests"], told["stopped"]) == (None, None)


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("/requests", {"mine": []}, ("requests",)),
        ("/incidents", {}, ("incident", "list")),
        ("/glasses", {"glasses": []}, ("break",)),
        ("/done", {}, ("done", "GRANT")),
        ("/kill", {}, ("kill", "person:sam")),
    ],
)
def test_an_answer_without_what_it_is_for_is_nonsense_and_no_error_of_ours(
    mira: Responder, path: str, answer: Any, words: tuple[str, ...]
) -> None:
    mira.breaks()
    mira.broker.lie[path] = lambda _: answer
    said = mira.types("breakglass", *(mira.grant if each == "GRANT" else each for each in words))
    assert said.code == 5, said.err
    assert f"broker's answer to {path} makes no sense" in said.err


def test_a_close_that_an_older_broker_recorded_says_so(mira: Responder) -> None:
    """It answers without ``ends``: behind the record nothing of ours may fail."""
    known = {"incident": "INC-4821", "severity": "SEV1", "title": "x", "open": True}
    mira.broker.lie["/incidents"] = lambda _: {"index": 12, "incidents": [known]}
    said = mira.types("breakglass", "incident", "close", "INC-4821")
    assert said.code == 0, said.err
    assert said.row("closed") == "INC-4821 (SEV1), entry 12, by mira"
