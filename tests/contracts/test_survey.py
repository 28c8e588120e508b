"""What every survey owes, real or simulated (``surveyor/survey.py``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.minter.platforms.scram_verifier import scram_verifier
from breakglass.surveyor.postgres_setup import setup_statements
from breakglass.surveyor.postgres_survey import PostgresSurvey
from breakglass.surveyor.settings import PostgresSettings
from breakglass.surveyor.simulated_survey import SimulatedSurvey
from breakglass.surveyor.survey import Inventory, Survey, Thing
from tests.kit.postgres import MAJORS, PASSWORD, Postgres, prepare, start_postgres

TEMPLATE = "breakglass_orders_repair"


class Target(Protocol):
    """A target with its survey, and what happens there."""

    @property
    def survey(self) -> Survey: ...
    def give(self) -> Thing: ...  # a login that may write what the template may
    def take(self) -> None: ...  # the same, away
    def hide(self) -> str: ...  # makes the category of that unreadable; returns it
    def show(self) -> None: ...
    def let_write(self, may: bool) -> None: ...  # our own identity
    def away(self) -> None: ...


@dataclass
class Simulated:
    survey: SimulatedSurvey
    thing = Thing("table-write", "update on public.orders", "intern", "orders", (TEMPLATE,))

    def give(self) -> Thing:
        self.survey.put(self.thing)
        return self.thing

    def take(self) -> None:
        self.survey.take(self.thing)

    def hide(self) -> str:
        self.survey.hide("table-write", "orders")
        return "table-write"

    def show(self) -> None:
        with self.survey._open() as file:
            file.execute("delete from unread")

    def let_write(self, may: bool) -> None:
        self.survey.trouble(may_write=may)

    def away(self) -> None:
        self.survey.trouble(away=True)


@dataclass
class Real:
    server: Postgres
    survey: PostgresSurvey

    def give(self) -> Thing:
        self.server.run(
            "create role intern login", "grant update on orders to intern", dbname="orders"
        )
        return Thing("table-write", "update on public.orders", "intern", "orders", (TEMPLATE,))

    def take(self) -> None:
        self.server.run("drop owned by intern", "drop role intern", dbname="orders")

    def hide(self) -> str:
        self.server.run("revoke connect on database orders from surveyor")
        return "table-write"

    def show(self) -> None:
        self.server.run("grant connect on database orders to surveyor")

    def let_write(self, may: bool) -> None:
        words = "grant insert on secrets to" if may else "revoke insert on secrets from"
        self.server.run(f"{words} surveyor", dbname="orders")

    def away(self) -> None:
        self.server.away()


def simulated(folder: Path) -> Iterator[Target]:
    yield Simulated(SimulatedSurvey(folder / "simulated.sqlite"))


def real(major: int) -> Callable[[Path], Iterator[Target]]:
    def started(folder: Path) -> Iterator[Target]:
        server = start_postgres(major=major)
        try:
            prepare(server)
            for each in setup_statements(
                "surveyor", ["orders", "billing"], scram_verifier(PASSWORD)
            ):
                server.run(each, dbname="billing")
            dsn = server.dsn("surveyor", PASSWORD, "billing")
            yield Real(server, PostgresSurvey(PostgresSettings(dsn)))
        finally:
            server.close()

    return started


TARGETS = {"simulated": simulated, **{f"postgres-{major}": real(major) for major in MAJORS}}


@pytest.fixture(scope="module", params=TARGETS)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    yield from TARGETS[request.param](tmp_path_factory.mktemp("target"))


def look(place: Target) -> Inventory:
    return place.survey.survey([TEMPLATE])


def test_what_appears_is_found_with_what_could_replace_it_and_what_goes_is_gone(
    place: Target,
) -> None:
    before = look(place)
    given = place.give()
    assert given in look(place).things
    assert given not in before.things
    assert [each.templates for each in place.survey.survey([]).things if each.key == given.key] == [
        ()
    ]
    place.take()
    assert look(place) == before


def test_two_looks_find_the_same_sorted_and_once(place: Target) -> None:
    first = look(place)
    assert look(place) == first
    assert list(first.things) == sorted(set(first.things))


def test_what_cannot_be_read_is_unknown_and_not_empty(place: Target) -> None:
    given = place.give()
    category = place.hide()
    try:
        found = look(place)
        assert (category, given.database) in found.unread
        assert given not in found.things
        assert found.unread[category, given.database]
    finally:
        place.show()
        place.take()
    assert (category, given.database) not in look(place).unread


def test_an_identity_that_could_write_looks_at_nothing(place: Target) -> None:
    place.let_write(True)
    try:
        with pytest.raises(MisconfiguredError):
            look(place)
    finally:
        place.let_write(False)
    look(place)


def test_a_target_that_is_away_is_said_to_be(place: Target) -> None:
    """The last of these tests: nothing brings it back."""
    place.away()
    with pytest.raises(UnavailableError):
        look(place)
