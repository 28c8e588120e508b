"""Who has to go when more connections come than a process has places for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from breakglass.http.connection_table import (
    ConnectionLimits,
    ConnectionTable,
    ServedConnection,
    Standing,
)

LIMITS = ConnectionLimits(connections=10, per_peer=10)


class Clock:
    """A monotonic time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Peers:
    """Connections by name, and which of them were closed, in order."""

    def __init__(self, limits: ConnectionLimits = LIMITS) -> None:
        self.clock = Clock()
        self.table = ConnectionTable(limits, self.clock)
        self.closed: list[str] = []
        self.unsent: dict[str, int] = {}
        self.by_name: dict[str, ServedConnection] = {}

    def comes(self, name: str, peer: str = "192.0.2.1") -> bool:
        made = ServedConnection(
            peer, lambda: self.closed.append(name), lambda: self.unsent.get(name, 0)
        )
        self.by_name[name] = made
        return self.table.admit(made)

    def come(self, *names: str, peer: str = "192.0.2.1") -> None:
        for name in names:
            assert self.comes(name, peer)

    def asks(self, name: str) -> None:
        self.table.working(self.by_name[name])

    def is_answered(self, name: str, standing: Standing = Standing.ANSWERED) -> None:
        self.table.answered(self.by_name[name], standing)


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def test_the_oldest_that_says_nothing_goes_first_and_never_one_at_work() -> None:
    peers = Peers()
    peers.come("working", "oldest", *_names("silent", 7))
    peers.asks("working")
    peers.come("new", "newer")
    assert peers.closed == ["oldest", "silent0"]
    assert len(peers.table) == 9


def test_those_that_were_answered_stay_longer_than_those_that_never_asked() -> None:
    peers = Peers()
    peers.come("answered", *_names("silent", 8))
    peers.asks("answered")
    peers.is_answered("answered")
    peers.come(*_names("later", 12))
    assert "answered" not in peers.closed
    assert len(peers.closed) == 12


def test_when_all_are_at_work_a_new_one_is_refused() -> None:
    peers = Peers()
    peers.come(*_names("working", 9))
    for name in _names("working", 9):
        peers.asks(name)
    assert not peers.comes("new")
    assert peers.closed == []


def test_strangers_never_take_the_places_of_those_whose_signature_was_accepted() -> None:
    """A neighbour at rest keeps its connection under any number of strangers that were answered."""
    peers = Peers(replace(LIMITS, connections=20, per_peer=20))
    peers.come("neighbour")
    peers.asks("neighbour")
    peers.is_answered("neighbour", Standing.PROVEN)
    for name in _names("stranger", 100):
        peers.come(name)
        peers.asks(name)
        peers.is_answered(name)
    assert "neighbour" not in peers.closed
    assert len(peers.table) == 1 + 18, "strangers took a reserved place"


def test_a_neighbour_that_restarts_finds_a_place_among_neighbours_alone() -> None:
    peers = Peers()
    peers.come(*_names("neighbour", 9))
    for name in _names("neighbour", 9):
        peers.asks(name)
        peers.is_answered(name, Standing.PROVEN)
    peers.come("tenth", "eleventh")
    assert peers.closed == ["neighbour0"] or peers.closed == ["tenth"]


def test_one_address_takes_its_share_and_loses_its_own_first() -> None:
    peers = Peers(replace(LIMITS, connections=100, per_peer=3))
    peers.come("other", peer="192.0.2.2")
    peers.come(*_names("one", 6))
    assert peers.closed == ["one0", "one1", "one2"]


def test_a_head_has_its_time_and_a_drip_does_not_lengthen_it() -> None:
    peers = Peers()
    peers.come("silent", "drips")
    peers.clock.now += 4
    peers.table.heard(peers.by_name["drips"])
    peers.table.sweep()
    assert peers.closed == []
    peers.clock.now += 1
    peers.table.sweep()
    assert sorted(peers.closed) == ["drips", "silent"]


def test_the_next_head_on_a_kept_connection_has_its_time_too() -> None:
    peers = Peers()
    peers.come("kept")
    peers.asks("kept")
    peers.is_answered("kept")
    peers.clock.now += 60
    peers.table.sweep()
    assert peers.closed == [], "a kept connection may rest"
    peers.table.heard(peers.by_name["kept"])
    peers.clock.now += 5
    peers.table.sweep()
    assert peers.closed == ["kept"]


def test_an_answer_of_which_nothing_is_taken_is_given_up_and_a_slow_reader_is_not() -> None:
    peers = Peers()
    peers.come("stuck", "slow")
    for name in ("stuck", "slow"):
        peers.asks(name)
        peers.is_answered(name)
        peers.unsent[name] = 1_000_000
    for _ in range(40):
        peers.unsent["slow"] -= 1000
        peers.table.sweep()
        peers.clock.now += 1
    assert peers.closed == ["stuck"]


def test_who_leaves_gives_its_place_back_once() -> None:
    peers = Peers()
    peers.come("one")
    peers.is_answered("one", Standing.PROVEN)
    for _ in range(2):
        peers.table.leave(peers.by_name["one"])
    assert len(peers.table) == 0
    peers.is_answered("one", Standing.PROVEN)  # its last answer, after it has gone
    peers.come(*_names("silent", 9))
    assert peers.closed == []


@pytest.mark.parametrize(("files", "most"), [(64, 32), (1024, 512), (8192, 1000), (1, 1)])
def test_half_of_the_files_are_for_our_own_use(files: int, most: int) -> None:
    fitted = ConnectionLimits().fitted(files)
    assert fitted.connections == most
    assert fitted.per_peer <= max(1, most * 3 // 4)


def test_limits_that_let_nobody_in_are_refused() -> None:
    with pytest.raises(ValueError, match="1 at least"):
        ConnectionLimits(connections=0)
    assert ConnectionLimits(head_within=timedelta(seconds=1)).reserved == 100
