"""A neighbour with several addresses: the one that acts is found, and nobody acts twice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.errors import UnavailableError
from breakglass.http.client import Peer
from tests.kit.bad_server import BadServer

STANDBY = json.dumps({"error": "standby", "message": "this ledger stands by", "hint": ""}).encode()
WITHIN = timedelta(seconds=0.4)


@pytest.fixture
def two() -> Iterator[tuple[BadServer, BadServer]]:
    made = BadServer(), BadServer()
    yield made
    for each in made:
        each.close()


def of(*servers: BadServer) -> Peer:
    where = " , ".join(each.address for each in servers)
    return Peer(where, name="ledger", within=WITHIN)


def stand_by(server: BadServer) -> None:
    server.status, server.answer = 503, STANDBY


def bodies(server: BadServer) -> list[bytes]:
    return [each.partition(b"\r\n\r\n")[2] for each in server.asked]


def test_one_that_stands_by_is_passed_over_with_the_same_bytes(
    two: tuple[BadServer, BadServer],
) -> None:
    first, second = two
    stand_by(first)
    neighbour = of(first, second)
    assert neighbour.post("/append", b"same bytes").json() == {"well": True}
    assert bodies(first) == bodies(second) == [b"same bytes"]
    # It is remembered, and so are the connections.
    neighbour.post("/append", b"more")
    assert (len(first.asked), second.connections) == (1, 1)
    # They change places.
    stand_by(second)
    first.status, first.answer = 200, b'{"first": true}'
    assert neighbour.post("/append", b"again").json() == {"first": True}
    assert bodies(second)[-1] == bodies(first)[-1] == b"again"


def test_one_that_is_not_reached_is_passed_over(two: tuple[BadServer, BadServer]) -> None:
    first, second = two
    neighbour = of(first, second)
    first.close()
    assert neighbour.post("/append", b"x").json() == {"well": True}


@pytest.mark.parametrize("mood", ["hangs", "hangs up", "nonsense"])
def test_one_that_may_have_acted_is_not_asked_elsewhere_in_the_same_call(
    two: tuple[BadServer, BadServer], mood: str
) -> None:
    first, second = two
    first.mood = mood
    neighbour = of(first, second)
    with pytest.raises(UnavailableError) as caught:
        neighbour.post("/append", b"x")
    assert caught.value.name in ("unanswered", "nonsense")
    assert second.asked == []
    # The caller's next call, which repeats it because it knows that this does no harm, goes on.
    assert neighbour.post("/append", b"x").json() == {"well": True}


def test_all_stand_by_or_are_away(two: tuple[BadServer, BadServer]) -> None:
    first, second = two
    stand_by(first)
    stand_by(second)
    neighbour = of(first, second)
    with pytest.raises(UnavailableError) as caught:
        neighbour.post("/append", b"x")
    assert caught.value.name == "standby"
    assert (len(first.asked), len(second.asked)) == (1, 1)
    first.close()
    second.close()
    start = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        neighbour.post("/append", b"x")
    assert caught.value.name in ("unreachable", "unanswered")
    assert time.monotonic() - start < 1


def test_another_503_is_an_answer(two: tuple[BadServer, BadServer]) -> None:
    first, second = two
    told = {"error": "unwitnessed", "message": "the standby is well", "hint": ""}
    first.status, first.answer = 503, json.dumps(told).encode()
    assert of(first, second).send("POST", "/append", b"x").status == 503
    assert second.asked == []


def test_a_file_names_several_folders_or_addresses(
    two: tuple[BadServer, BadServer], tmp_path: Path
) -> None:
    first, second = two
    stand_by(first)
    (tmp_path / "ledger-1").mkdir()
    (tmp_path / "ledger-1" / "address").write_text(first.address + "\n")
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "ledgers").write_text(f"../ledger-1\n{second.address}\n")
    neighbour = Peer(tmp_path / "broker" / "ledgers", name="ledger", within=WITHIN)
    assert neighbour.get("/x").json() == {"well": True}
    assert neighbour.several
    # One that has not started yet has no address: not reached, and the other one is.
    (tmp_path / "ledger-1" / "address").unlink()
    stand_by(second)
    with pytest.raises(UnavailableError):
        neighbour.get("/x")
    second.status, second.answer = 200, b'{"second": true}'
    assert neighbour.get("/x").json() == {"second": True}


def test_many_threads_change_over_together(two: tuple[BadServer, BadServer]) -> None:
    first, second = two
    neighbour = of(first, second)
    neighbour.get("/x")
    stand_by(first)
    outcomes: list[bool] = []

    def ask() -> None:
        outcomes.append(neighbour.post("/append", b"x").status == 200)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True] * 12
